"""Features on a plane: t-SNE and UMAP, coloured by class, with images if wanted."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
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
            from umap import UMAP  # noqa: PLC0415 (an extra, and slow to load)
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
        for label in present.tolist() if len(present) <= MOST_NAMES else ():
            x, y = np.median(places[labels == label], axis=0)
            text = axes.text(
                x, y, figure_text(class_names[label]), fontsize=8, ha="center", color=INK
            )
            text.set_bbox({"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1})
    return figure


def _roomy(places: FloatArray) -> list[int]:
    """Return rows that lie apart enough for an image each, one for each cell of a grid."""
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    n_cells = int(_SIDE_IN * 100 / (_THUMBNAIL_PX * 1.3))
    cells = np.floor((places - low) / np.maximum(span, 1e-12) * (n_cells - 1e-6)).astype(int)
    _, first = np.unique(cells, axis=0, return_index=True)
    return sorted(first.tolist())
