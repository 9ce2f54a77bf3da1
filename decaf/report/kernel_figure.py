"""Kernel analysis of layers: a line of a table, and a figure."""

import itertools
from collections.abc import Mapping

from matplotlib.figure import Figure

from decaf.analysis.kernel_curve import KernelCurve
from decaf.escapes import figure_text
from decaf.report.drawing import DASHES, WIDTH_IN, house_style
from decaf.report.grid import Row
from decaf.report.page import PageFigure, page_figure

Curves = Mapping[str, KernelCurve | None]
"""By layer; None where labels tell nothing."""


def kernel_row(curves: Curves) -> Row:
    """Return the scores of all layers, with their standard deviation over samples."""
    return Row("kernel analysis", tuple(map(_said, curves.values())))


def _said(curve: KernelCurve | None) -> str:
    if curve is None:
        return "–"
    spread = f" ± {curve.scores.std(ddof=1):.3f}" if len(curve.scores) > 1 else ""
    return f"{curve.scores.mean():.3f}{spread}"


def kernel_notes(curves: Curves) -> tuple[str, ...]:
    """Return what the scores are; nothing where there are none."""
    found = [curve for curve in curves.values() if curve is not None]
    if not found:
        return ()
    n_samples = len(found[0].scores)
    samples = f"{n_samples} samples of" if n_samples > 1 else "a sample of"
    note = (
        "kernel analysis: 1 less the mean error of the leading directions (Montavon et al.), over "
        f"{samples} {found[0].n_rows} images; compare scores of that number only"
    )
    return (note,)


def kernel_page_figure(curves: Curves) -> PageFigure | None:
    """Return the figure for a page; None where there is nothing to draw."""
    found = {layer: curve for layer, curve in curves.items() if curve is not None}
    caption = "Error of the labels from the leading kernel directions, by their number."
    return page_figure(kernel_figure(found), "kernels", caption) if found else None


def kernel_figure(curves: Mapping[str, KernelCurve]) -> Figure:
    """Draw the error of each layer against the number of directions, on a logarithmic scale."""
    with house_style():
        figure = Figure((WIDTH_IN, 2.6), layout="constrained")
        axes = figure.subplots()
        for (layer, curve), dash in zip(curves.items(), itertools.cycle(DASHES), strict=False):
            directions = range(1, len(curve.errors))
            axes.plot(directions, curve.errors[1:], linestyle=dash, label=figure_text(layer))
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("directions")
        axes.set_ylabel("error")
        axes.legend()
    return figure
