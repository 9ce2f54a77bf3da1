"""How well a detector finds objects, as a table."""

from decaf.detection import DetectionResult
from decaf.report.grid import Grid, Row, per_cent


def detection_grid(result: DetectionResult) -> Grid:
    """Return a line a class, and the mean; the recall of the proposals is in the notes.

    Parameters
    ----------
    result : DetectionResult
        What `decaf.detection.evaluate_detector` returned.
    """
    rows = tuple(
        Row(name, (str(n), *(per_cent(float(ap)) for ap in aps)))
        for name, n, *aps in result.lines()
    )
    notes = [f"{result.n_proposals:.0f} proposals an image; share of the objects that they reach:"]
    for count, shares in result.recall.items():
        first = "all" if count is None else f"the first {count}"
        notes.append(
            f"{first}: {per_cent(shares[0])} at IoU 0.5, {per_cent(shares[4])} at 0.7, "
            f"{per_cent(shares.mean())} on average from 0.5 to 0.95"
        )
    if result.failures:
        notes.append(f"{len(result.failures)} images could not be used; their objects are missed")
    title = f"{result.images.table.name}: average precision at IoU 0.5, per cent"
    return Grid(title, "class", ("objects", "11-point", "area"), rows, tuple(notes))
