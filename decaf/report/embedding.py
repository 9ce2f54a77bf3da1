"""Features on a plane: t-SNE and UMAP, coloured by class, with images if wanted."""

from collections.abc import Callable, Sequence
from itertools import combinations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from decaf.choices import Method
from decaf.errors import DataError
from decaf.escapes import figure_text
from decaf.extras import missing_extra
from decaf.report.drawing import INK, house_style
from decaf.types import FloatArray, IntArray

N_COMPONENTS = 50
"""Principal components that are kept first, as van der Maaten and Hinton do."""

MOST_NAMES = 40
"""Classes up to which each is named where it lies."""

_SIDE_IN = 7.0
_THUMBNAIL_PX = 40


def embed(X: FloatArray, method: Method = "tsne", seed: int = 0) -> FloatArray:
    """Place features on a plane so that near ones stay near.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` features; rows are scaled to unit length first.
    method : {"tsne", "umap"}
        How.
    seed : int
        Seed of the method.

    Returns
    -------
    numpy.ndarray
        ``(n_images, 2)`` places.

    Raises
    ------
    DataError
        There are fewer than 5 images.
    ConfigError
        UMAP is not installed.

    References
    ----------
    Van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008; McInnes et al., UMAP, 2018.
    """
    n = len(X)
    if n < 5:
        raise DataError(f"asked to place images on a plane, found {n}; give 5 or more")
    X = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    reduced = PCA(min(N_COMPONENTS, *X.shape), random_state=seed).fit_transform(X)
    if method == "tsne":
        perplexity = min(30.0, (n - 1) / 3)
        places: FloatArray = TSNE(perplexity=perplexity, random_state=seed).fit_transform(reduced)
        return places
    with threadpool_limits():  # it changes what torch computes with; this sets that back
        try:
            from umap import UMAP  # noqa: PLC0415 - an extra, and slow to load
        except ImportError as error:
            raise missing_extra("UMAP", "umap") from error
        mapper = UMAP(n_neighbors=min(15, n - 1), random_state=seed, n_jobs=1, init="pca")
        placed: FloatArray = mapper.fit_transform(reduced)
    return placed


def embedding_figure(
    places: FloatArray,
    labels: IntArray,
    class_names: Sequence[str],
    images: Callable[[int], Image.Image | None] | None = None,
) -> Figure:
    """Draw features on a plane, coloured by class.

    Parameters
    ----------
    places : numpy.ndarray
        ``(n_images, 2)`` from :func:`embed`.
    labels : numpy.ndarray
        ``(n_images,)`` class numbers.
    class_names : sequence of str
        Name of each class number.
    images : callable, optional
        Gives a row's image, or None; drawn where there is room for it.

    Returns
    -------
    matplotlib.figure.Figure
        Classes are named where most of their images lie, if they are few.

    References
    ----------
    DeCAF, figures 1 and 2.
    """
    present = np.unique(labels)
    spectrum = mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(present)))
    colours = dict(zip(present.tolist(), spectrum, strict=True))
    with house_style():
        figure = Figure((_SIDE_IN, _SIDE_IN))
        axes = figure.add_axes((0, 0, 1, 1))  # images may reach beyond any layout
        dots = [colours[label] for label in labels.tolist()]
        axes.scatter(places[:, 0], places[:, 1], c=dots, s=9, linewidths=0)
        axes.set_axis_off()
        if images is not None:
            for row in _roomy(places):
                image = images(row)
                if image is None:
                    continue
                image.thumbnail((_THUMBNAIL_PX * 2, _THUMBNAIL_PX * 2))
                axes.add_artist(
                    AnnotationBbox(
                        OffsetImage(np.asarray(image), zoom=0.4),
                        tuple(places[row]),
                        pad=0.12,
                        bboxprops={"edgecolor": colours[int(labels[row])], "linewidth": 1.2},
                    )
                )
        if len(present) <= MOST_NAMES:
            middles = np.array([np.median(places[labels == n], axis=0) for n in present])
            _name(axes, middles, [figure_text(class_names[n]) for n in present.tolist()])
    return figure


def _name(axes: Axes, middles: FloatArray, names: Sequence[str]) -> None:
    """Write names where their classes lie, or beside that, with a line, where others stand."""
    white = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}
    texts = [
        axes.annotate(
            name, middle, middle, fontsize=9, ha="center", va="center", color=INK, bbox=white,
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": INK},
        )
        for name, middle in zip(names, middles.tolist(), strict=True)
    ]  # fmt: skip
    FigureCanvasAgg(axes.figure.get_figure(root=True))  # it measures text
    sizes = np.array([text.get_window_extent().size for text in texts]) + 4
    to_px = axes.transData
    for text, place in zip(texts, apart(to_px.transform(middles), sizes), strict=True):
        x, y = to_px.inverted().transform(place)
        text.set_position((x, y))


def apart(places: FloatArray, sizes: FloatArray) -> FloatArray:
    """Move boxes, each as little as needs be, until none overlaps another.

    Parameters
    ----------
    places, sizes : numpy.ndarray
        ``(n, 2)`` centres, and widths and heights, in one unit.

    Returns
    -------
    numpy.ndarray
        ``(n, 2)`` centres.
    """
    moved = places.astype(np.float64)
    for _ in range(500):
        clean = True
        for i, j in combinations(range(len(moved)), 2):
            offset = moved[j] - moved[i]
            overlap = (sizes[i] + sizes[j]) / 2 - np.abs(offset)
            if (overlap <= 1e-6).any():
                continue
            clean, axis = False, int(overlap.argmin())
            step = (overlap[axis] / 2 + 0.5) * (1 if offset[axis] >= 0 else -1)
            moved[i, axis] -= step
            moved[j, axis] += step
        if clean:
            break
    return moved


def _roomy(places: FloatArray) -> list[int]:
    """Return rows that lie apart enough for an image each, one for each cell of a grid."""
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    n_cells = int(_SIDE_IN * 100 / (_THUMBNAIL_PX * 1.3))
    cells = np.floor((places - low) / np.maximum(span, 1e-12) * (n_cells - 1e-6)).astype(int)
    _, first = np.unique(cells, axis=0, return_index=True)
    return sorted(first.tolist())
