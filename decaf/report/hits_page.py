"""Answers to a search as a page: a row of small images for each query."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decaf.analysis.thumbnails import data_uri
from decaf.datasets import ImageFiles
from decaf.progress import log
from decaf.report.page import write_page
from decaf.store.searched import Answer


@dataclass(frozen=True)
class _Tile:
    name: str
    label: str
    source: str | None
    note: str
    kind: str


def write_hits(
    answers: Sequence[Answer],
    out: Path,
    *,
    title: str,
    files: ImageFiles | None = None,
) -> Path:
    """Write answers as one page, in a single file.

    Parameters
    ----------
    answers : sequence of Answer
        Of `decaf.search`.
    out : pathlib.Path
        The page.
    title : str
        Its title.
    files : ImageFiles, optional
        Where the store's images lie; names stand for them if not given.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    judged = [hit.right for answer in answers for hit in answer.hits if hit.right is not None]
    rows = [[_query(answer, files), *_hits(answer, files)] for answer in answers]
    tiles = [tile for row in rows for tile in row]
    if n_missing := sum(tile.source is None for tile in tiles):
        log(
            f"{n_missing} of {len(tiles)} images on the page are not shown, as their files are not "
            "found; give where the store's images lie with --images"
        )
    return write_page(
        "hits.html.j2", out, title, rows=rows, n_right=sum(judged), n_judged=len(judged)
    )


def _query(answer: Answer, files: ImageFiles | None) -> _Tile:
    source = _image(files, answer.query) or _image(ImageFiles(Path()), answer.query)
    return _Tile(answer.query, answer.label, source, "query", "query")


def _hits(answer: Answer, files: ImageFiles | None) -> list[_Tile]:
    marks = {True: ("✓", "right"), False: ("✗", "wrong"), None: ("", "open")}
    return [
        _Tile(
            hit.image_id,
            hit.label,
            _image(files, hit.image_id),
            f"{hit.rank} · {hit.distance:.3g} {marks[hit.right][0]}",
            marks[hit.right][1],
        )
        for hit in answer.hits
    ]


def _image(files: ImageFiles | None, image_id: str) -> str | None:
    return None if files is None else data_uri(files, image_id)
