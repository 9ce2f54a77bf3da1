"""An occlusion experiment as a figure: the image, and what became of the answer at each place."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from decaf.backbones import TorchBackbone, pool_features
from decaf.choices import CropView
from decaf.classifier import Classifier
from decaf.errors import ConfigError
from decaf.escapes import figure_text
from decaf.insight.asked import Occlusion
from decaf.insight.loaded import loaded
from decaf.insight.occlusion import ClassScores, Occluded, occlude, own_classes
from decaf.insight.units import inputs_of
from decaf.progress import log
from decaf.records import Net, takes_records
from decaf.report.drawing import check_output, house_style, save
from decaf.report.unit_views import signal_pixels
from decaf.trained_net import load_net

MODEL = ".safetensors"
_MOST_NAMED = 7
_PALETTE = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#eeca3b")
_OTHERS = "#bdbdc4"
_COLOURS = {"mean": "the net's mean colour", "grey": "grey", "black": "black"}


@takes_records
def plot_occlusion(
    net: Net,
    image: str | Path,
    *,
    out: Path,
    occlusion: Occlusion = Occlusion(),
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Draw what a net's or a model's answer rests on in an image.

    Parameters
    ----------
    net : Net
        Of a net backbone, weights, seed and allow_code are used; the backbone may be a model that
        `decaf.train` wrote (``.safetensors``), whose classes are watched then, and of which
        weights says where its net's weights are now.
    image : str or pathlib.Path
        An image file.
    out : pathlib.Path
        The figure's file.
    occlusion : Occlusion
        The square, the layer, the class.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    quiet : bool
        No progress on stderr.

    Raises
    ------
    ConfigError
        An option is wrong, or the model sees patches or several crops of an image.
    DataError
        The model or the image is not usable.
    BackboneError
        The net cannot be had, or its weights are not those of the training.
    """
    check_output(out, [image])
    model = str(net.backbone).endswith(MODEL)
    opened, classes, view = (_model if model else _net)(net, device)
    if classes is None:
        log(f"{opened.name} has no class scores, so its maps alone are watched; give a model")
    (pixels,) = inputs_of(opened, [str(image)], view)
    found = occlude(opened, pixels, classes, occlusion, quiet=quiet)
    return save(occlusion_figure(found, Path(image).name), out)


def _net(net: Net, device: str) -> tuple[TorchBackbone, ClassScores | None, CropView]:
    opened = loaded(net, device)
    return opened, own_classes(opened), "center"


def _model(net: Net, device: str) -> tuple[TorchBackbone, ClassScores, CropView]:
    classifier = Classifier.load(Path(net.backbone))
    view = classifier.view
    if classifier.patches is not None or view not in ("center", "warp", "squash"):
        raise ConfigError(
            f"asked to cover parts of an image for {net.backbone}, which sees {view} of it; give a "
            "model of view center, warp or squash, or use `decaf visualize scores`"
        )
    net.only(f"the model {net.backbone}", "backbone", "weights", "allow_code")
    weights = net.given().get("weights")
    opened = load_net(classifier, weights=weights, device=device, allow_code=net.allow_code)

    def probabilities(output: Any) -> Any:
        pooled = pool_features(output, classifier.pool, opened.prefix_tokens)
        return classifier.probabilities(pooled.cpu().numpy())

    return opened, ClassScores(classifier.layer, classifier.class_names, probabilities), view


def occlusion_figure(found: Occluded, name: str) -> Figure:
    """Draw the image, its strongest map sent down to it, and the three maps of places.

    Parameters
    ----------
    found : Occluded
        What was watched; without classes two of the maps are left out.
    name : str
        What the image is called.
    """
    side, n_known = len(found.pixels), 2 * bool(found.class_names)
    n_panels = 2 + (found.projection is not None) + n_known
    with house_style():
        figure = Figure((2.3 * n_panels, 3.3), layout="constrained")
        above, below = figure.subplots(2, n_panels, height_ratios=(20, 1), squeeze=False)
        for axes in (*above, *below):
            axes.set_axis_off()
        panels = iter(zip(above, below, strict=True))
        _draw_image(next(panels)[0], found, name)
        if found.projection is not None:
            axes, _ = next(panels)
            axes.imshow(signal_pixels(found.projection))
            _title(axes, "strongest map, sent down", f"{found.unit} of {found.layer}")
        _draw_map(*next(panels), found, found.activation)
        _title(
            above[n_panels - n_known - 1], "its total activation", f"{found.total:.4g} uncovered"
        )
        if n_known:
            _draw_map(*next(panels), found, found.probability)
            watched = f"p({_short(found.class_names[found.label])})"
            _title(above[-2], watched, f"{found.before:.2f} uncovered")
            _draw_best(*next(panels), found)
        for axes in above:
            axes.set_xlim(-0.5, side - 0.5)
            axes.set_ylim(side - 0.5, -0.5)
        steps = f", every {found.starts[1]} px" if len(found.starts) > 1 else ""
        figure.supxlabel(
            f"A place is the centre of a square of {found.square} px ({_COLOURS[found.fill]})"
            f"{steps}, in an input of {side} px.",
            fontsize=8,
        )
    return figure


def _title(axes: Axes, *lines: str) -> None:
    axes.set_title("\n".join(map(figure_text, lines)))


def _draw_image(axes: Axes, found: Occluded, name: str) -> None:
    """Draw the image with the square where it takes most away."""
    lost = found.probability if found.class_names else found.activation
    y, x = (int(found.starts[i]) for i in np.unravel_index(int(lost.argmin()), lost.shape))
    axes.imshow(found.pixels)
    axes.add_patch(
        Rectangle((x, y), found.square, found.square, fill=False, edgecolor="#2ec4ff", linewidth=2)
    )
    _title(axes, _short(name), "square: the most harm")


def _place(axes: Axes, found: Occluded, values: Any, **how: Any) -> Any:
    """Draw values at the centres of their squares, over the image in grey."""
    axes.imshow(found.pixels.mean(2), cmap="gray", vmin=-128, vmax=255, alpha=0.5)
    half = (found.starts[1] - found.starts[0]) / 2 if len(found.starts) > 1 else found.square / 2
    low = found.starts[0] + found.square / 2 - half
    high = found.starts[-1] + found.square / 2 + half
    return axes.imshow(values, extent=(low, high, high, low), interpolation="nearest", **how)


def _draw_map(axes: Axes, below: Axes, found: Occluded, values: Any) -> None:
    drawn = _place(axes, found, values, cmap="viridis")
    below.set_axis_on()
    axes.figure.colorbar(drawn, cax=below, orientation="horizontal")
    below.locator_params(nbins=4)


def _draw_best(axes: Axes, below: Axes, found: Occluded) -> None:
    """Draw the most probable class of each place, the commonest by name."""
    common = [number for number, _ in Counter(found.best.ravel().tolist()).most_common(_MOST_NAMED)]
    places = np.full(found.best.shape, len(common))
    for place, number in enumerate(common):
        places[found.best == number] = place
    colours = [*_PALETTE[: len(common)], _OTHERS]
    _place(axes, found, places, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(common) + 0.5)
    names = [_short(found.class_names[number]) for number in common]
    if (places == len(common)).any():
        names.append("others")
    named = zip(colours, names, strict=False)
    below.legend(
        handles=[Patch(color=colour, label=figure_text(name)) for colour, name in named],
        loc="upper center", bbox_to_anchor=(0.5, 1.0), fontsize=7, ncols=2, handlelength=1,
        columnspacing=0.8, borderpad=0,
    )  # fmt: skip
    _title(axes, "most probable class", "")


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
