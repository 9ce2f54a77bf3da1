"""Detections drawn over their images."""

import csv
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from decaf.analysis.thumbnails import pillow_image
from decaf.datasets import ImageFiles
from decaf.errors import DataError
from decaf.escapes import csv_word, figure_text
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


def draw_detections(detections: Path, folder: Path, min_score: float = 0.0) -> list[Path]:
    """Draw each image of a file of detections, with its boxes.

    Parameters
    ----------
    detections : pathlib.Path
        What `decaf.detect` wrote.
    folder : pathlib.Path
        Where the drawings go, as ``<image>.png``; images of one name are numbered.
    min_score : float
        Boxes with this score or more are drawn, 20 at most.

    Returns
    -------
    list of pathlib.Path
        The drawings.

    Raises
    ------
    DataError
        If a drawing cannot be written.
    """
    by_image: dict[str, list[Box]] = {}
    with detections.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            boxes = by_image.setdefault(line["path"], [])
            x1, y1, x2, y2 = (float(line[edge]) for edge in ("x1", "y1", "x2", "y2"))
            if (score := float(line["score"])) >= min_score:
                boxes.append((csv_word(line["class"]), score, (x1, y1, x2, y2)))
    bare = [image for image, boxes in by_image.items() if not boxes]
    if bare or not by_image:
        which = f"on {len(bare)} of {len(by_image)} images ({bare[0]}, ...)" if bare else "at all"
        log(
            f"no box is drawn {which}, as none has a score of {min_score:g} or more; for others "
            "give a lower --min-score"
        )
    names = sorted({name for boxes in by_image.values() for name, _, _ in boxes})
    outs: dict[Path, None] = {}
    for image, boxes in by_image.items():
        stem, number = Path(image).stem, 1
        while (path := folder / f"{stem}{f'-{number}' if number > 1 else ''}.png") in outs:
            number += 1
        outs[save(boxes_figure(image, boxes[:MOST], names), path)] = None
    return list(outs)


def boxes_figure(path: str, boxes: Sequence[Box], names: Sequence[str]) -> Figure:
    """Return a figure of an image with named boxes.

    Parameters
    ----------
    path : str
        The image file.
    boxes : sequence of (str, float, tuple)
        Class, score and half-open box.
    names : sequence of str
        Of all classes that are drawn; each has a colour.

    Raises
    ------
    DataError
        If the image cannot be read.
    """
    image = pillow_image(ImageFiles(), path)
    if image is None:
        raise DataError(f"asked to draw {path}, which cannot be read any more; put it back")
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
