"""A model's probabilities for patches, drawn over the image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from decaf.errors import ConfigError
from decaf.escapes import figure_text
from decaf.patch_scores import PatchScores, chosen_classes, score_patches
from decaf.prediction import find_images
from decaf.report.drawing import check_output, house_style, save


def plot_scores(
    model: Path,
    images: list[str],
    *,
    out: Path,
    classes: str | None = None,
    **options: Any,
) -> str:
    """Write a figure for each image: the image, and one map for each class.

    Parameters
    ----------
    model : pathlib.Path
        A file that `decaf.training.train` wrote.
    images : list of str
        Image files, folders and lists.
    out : pathlib.Path
        The figure, or for several images a folder of them.
    classes : str, optional
        Comma-separated names; the three that are most probable if not given.
    **options
        Of `decaf.patch_scores.score_patches`.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the model or an image is not usable, or a figure cannot be written.
    """
    paths = list(find_images(images))
    outs = _outputs(paths, out)
    for file in outs:
        check_output(file, paths)
    for path, found in zip(outs, score_patches(model, paths, **options), strict=True):
        save(scores_figure(found, chosen_classes(found, classes)), path)
    return "\n".join(map(str, outs))


def _outputs(images: Sequence[str], out: Path) -> list[Path]:
    """Return a figure's file for each image; images of one name in several folders are numbered."""
    if out.suffix:
        if len(images) > 1:
            raise ConfigError(f"asked to draw {len(images)} images as {out}; give a folder")
        return [out]
    outs: dict[Path, None] = {}
    for image in images:
        stem, number = Path(image).stem, 1
        while (path := out / f"{stem}{f'-{number}' if number > 1 else ''}.png") in outs:
            number += 1
        outs[path] = None
    return list(outs)


def scores_figure(found: PatchScores, classes: list[str]) -> Figure:
    """Draw the image, and over it for each class where patches show it."""
    height, width = found.pixels.shape[:2]
    with house_style():
        figure = Figure(
            (2.6 * (1 + len(classes)), 2.6 * height / width + 0.5), layout="constrained"
        )
        first, *rest = figure.subplots(1, 1 + len(classes), squeeze=False)[0]
        first.imshow(found.pixels)
        first.set_title(figure_text(Path(found.path).name))
        for axes, name in zip(rest, classes, strict=True):
            axes.imshow(found.pixels.mean(2), cmap="gray", vmin=0, vmax=255)
            drawn = axes.imshow(found.map(name), cmap="inferno", alpha=0.65, vmin=0, vmax=1)
            x0, y0, x1, y1 = found.best(name)
            axes.add_patch(
                Rectangle(
                    (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="#2ec4ff", linewidth=1.5
                )
            )
            score = found.scores[found.class_names.index(name)]
            axes.set_title(figure_text(f"{name} {score:.2f}"))
            axes.set_xlim(-0.5, width - 0.5)
            axes.set_ylim(height - 0.5, -0.5)
        for axes in (first, *rest):
            axes.set_axis_off()
        figure.colorbar(drawn, ax=rest, shrink=0.8, label="mean probability of its patches")
    return figure
