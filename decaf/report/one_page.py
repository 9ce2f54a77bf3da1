"""The one-page report of results."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from decaf.analysis.thumbnails import image_files
from decaf.errors import StoreError
from decaf.metrics import METRICS
from decaf.records import Images, takes_records
from decaf.report.compare import comparison
from decaf.report.details import Details
from decaf.report.page import grid_table, write_page
from decaf.report.sections import section, sections
from decaf.store import FeatureStore, Provenance
from decaf.whole_files import require_output


@takes_records
def write_report(
    paths: Sequence[Path],
    *,
    out: str | Path = "report.html",
    features: str | Path = "features",
    images: Images = Images(),
) -> Path:
    """Write results as one page that can be sent to a colleague: a single file, no network.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Results of `decaf.evaluate`; ``results/*.csv`` will do.
    out : str or pathlib.Path
        The page.
    features : str or pathlib.Path
        Folder of the stores, or one; versions and precision are shown of those that are there.
    images : Images
        Where the images are; mistakes are shown where they are there.

    Raises
    ------
    DataError
        If there are no results, or they cannot be read, the folder of images is missing, or the
        page cannot be written.
    """
    require_output(Path(out), ".html")
    details = Details.read(paths)
    parts = sections(details)
    stores = _provenances(Path(features))
    files = {
        name: image_files(name, images)
        for name in dict.fromkeys(part.table.results[0].dataset for part in parts)
    }
    made = [
        section(part, number, stores.get(first.digest), files[first.dataset])
        for number, part in enumerate(parts, 1)
        for first in [part.table.results[0]]
    ]
    titles = Counter(one.title for one in made)
    made = [
        replace(one, title=" · ".join((one.title, METRICS[first.metric].label, digest)))
        if titles[one.title] > 1
        else one
        for one, part in zip(made, parts, strict=True)
        for first in part.table.results[:1]
        for digest in [f"images {first.dataset_digest[:8]}"]
    ]
    compared = comparison(details.table)
    words = frozenset({"protocol", "layer and head", "inside"})
    return write_page(
        "report.html.j2",
        Path(out),
        f"{'; '.join(dict.fromkeys(one.title for one in made))} – decaf",
        compared=grid_table(compared, words=words) if compared.rows else None,
        sections=made,
    )


def _provenances(folder: Path) -> dict[str, Provenance]:
    """Return the provenance of every store in a folder, or of one, by digest."""
    found = {}
    for path in [folder] if folder.suffix == ".h5" else sorted(folder.glob("*.h5")):
        try:
            with FeatureStore(path) as store:
                found[store.digest] = store.provenance
        except StoreError:  # not a store, or being written: the report does without
            continue
    return found
