"""Detections drawn over their images."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from decaf.analysis.thumbnails import pillow_image
from decaf.datasets import ImageFiles
from decaf.datasets.passed_over import some_names
from decaf.errors import DataError
from decaf.escapes import csv_path, csv_word, figure_text
from decaf.progress import log
from decaf.report.drawing import COLOURS, house_style, save
from decaf.whole_files import require_writable

MOST = 20
"""More boxes hide the image."""

Box = tuple[str, float, tuple[float, float, float, float]]


def require_folder(folder: Path) -> None:
    """Refuse, before work is done, a folder that cannot be written; it is made.

    Raises
    ------
    DataError
        If it cannot.
    """
    require_writable(folder / "image.png")


def draw_detections(
    detections: Path, folder: Path, min_score: float = 0.0, images: Iterable[str] = ()
) -> list[Path]:
    """Draw each image of a file of detections, with its boxes.

    Parameters
    ----------
    detections : pathlib.Path
        What `decaf.detect` wrote.
    folder : pathlib.Path
        Where the drawings go, as ``<image>.png``; images of one name are numbered.
    min_score : float
        Boxes with this score or more are drawn, 20 at most.
    images : iterable of str
        Images that are drawn as well, without boxes; those that cannot be read are left out.

    Returns
    -------
    list of pathlib.Path
        The drawings.

    Raises
    ------
    DataError
        If a drawing cannot be written.
    """
    found = _read(detections, min_score)
    names = sorted({name for boxes in found.values() for name, _, _ in boxes})
    outs: dict[Path, None] = {}
    bare = []
    asked: dict[str, list[Box]] = {csv_path(name): [] for name in images}
    for path, boxes in (asked | found).items():
        image = pillow_image(ImageFiles(), path)
        if image is None and path in found:
            raise DataError(f"asked to draw {path}, which cannot be read any more; put it back")
        if image is None:
            continue
        if not boxes:
            bare.append(path)
        stem, number = Path(path).stem, 1
        while (out := folder / f"{stem}{f'-{number}' if number > 1 else ''}.png") in outs:
            number += 1
        outs[save(boxes_figure(image, boxes[:MOST], names), out)] = None
    if bare:
        log(
            f"no box is drawn on {len(bare)} of {len(outs)} images ({some_names(bare)}), as none "
            f"has a score of {min_score:g} or more; for others give a lower --min-score"
        )
    return list(outs)


def boxes_figure(image: Image.Image, boxes: Sequence[Box], names: Sequence[str]) -> Figure:
    """Return a figure of an image with named boxes.

    Parameters
    ----------
    image : PIL.Image.Image
        The image.
    boxes : sequence of (str, float, tuple)
        Class, score and half-open box.
    names : sequence of str
        Of all classes that are drawn; each has a colour.
    """
    with house_style():
        figure = Figure((6.4, 6.4 * image.height / image.width))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(image)
        axes.set_axis_off()
        for name, score, (x1, y1, x2, y2) in reversed(boxes):
            colour = COLOURS[names.index(name) % len(COLOURS)]
            axes.add_patch(
                Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=2)
            )
            said = axes.text(
                x1, y1, figure_text(f"{name} {score:.2f}"), color="white", fontsize=8, va="bottom"
            )
            said.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1})
    return figure


def _read(detections: Path, min_score: float) -> dict[str, list[Box]]:
    """Return the boxes of a file of detections by image, even if it has none of such a score."""
    by_image: dict[str, list[Box]] = {}
    with detections.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            boxes = by_image.setdefault(line["path"], [])
            x1, y1, x2, y2 = (float(line[edge]) for edge in ("x1", "y1", "x2", "y2"))
            if (score := float(line["score"])) >= min_score:
                boxes.append((csv_word(line["class"]), score, (x1, y1, x2, y2)))
    return by_image
