"""A confusion matrix that can be read with hundreds of classes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from decaf.escapes import figure_text
from decaf.report.drawing import WIDTH_IN, house_style
from decaf.types import FloatArray, IntArray

FEW = 15
"""Classes up to which the cells hold their figures."""

_ON_PALE = "#101013"  # whatever the page's own ink is, the cells keep their colours
_CELL_IN = 0.085
_SMALLEST_PT = 4.5


def confusion_figure(
    names: Sequence[str], counts: npt.NDArray[np.int64], *, ordered: bool = True
) -> Figure:
    """Draw a confusion matrix.

    Every class keeps its name: the figure grows with their number, so that the names stay as large
    as small print. Classes that are taken for each other stand together, so that mistakes gather
    near the diagonal.

    Parameters
    ----------
    names : sequence of str
        The classes.
    counts : numpy.ndarray
        ``(n_classes, n_classes)`` test rows, true classes down and predicted ones across.
    ordered : bool
        Put classes that are taken for each other together; else keep the order of `names`.

    Returns
    -------
    matplotlib.figure.Figure
        Shares of each true class, in per cent.
    """
    order = similar_order(counts) if ordered else np.arange(len(names))
    shares = _shares(counts)[np.ix_(order, order)]
    labels = [figure_text(names[index]) for index in order.tolist()]
    n, few = len(names), len(names) <= FEW
    side = max(WIDTH_IN, 2.2 + n * (0.36 if few else max(_CELL_IN, 3.4 / n)))
    size = max(_SMALLEST_PT, min(9.0, 0.8 * 72 * (side - 2.2) / n))
    with house_style():
        figure = Figure((side, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(100 * shares, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
        axes.grid(visible=False)
        axes.set_xticks(range(n), labels, rotation=90, fontsize=size)
        axes.set_yticks(range(n), labels, fontsize=size)
        axes.tick_params(length=0, pad=2)
        axes.set_xlabel("predicted")
        axes.set_ylabel("class")
        for i, j in zip(*np.nonzero(shares), strict=True) if few else ():
            dark = shares[i, j] > 0.35
            axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center",
                      fontsize=8, color="white" if dark else _ON_PALE)  # fmt: skip
        bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 4 / side), label="% of the class")
        bar.outline.set_visible(b=False)
    return figure


def similar_order(counts: npt.NDArray[np.int64]) -> IntArray:
    """Return classes in an order that puts those together that are taken for each other.

    Parameters
    ----------
    counts : numpy.ndarray
        ``(n_classes, n_classes)`` test rows, true classes down.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` permutation: leaves of average linkage, ordered optimally.
    """
    if len(counts) < 3:
        return np.arange(len(counts))
    shares = _shares(counts)
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    order: IntArray = leaves_list(tree)
    return order


def _shares(counts: npt.NDArray[np.int64]) -> FloatArray:
    total = counts.sum(axis=1, keepdims=True)
    shares: FloatArray = np.zeros(counts.shape)
    np.divide(counts, total, out=shares, where=total > 0)
    return shares
