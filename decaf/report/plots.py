"""From files of results, or a store, to a figure's file."""

from collections.abc import Sequence
from pathlib import Path

from decaf.analysis.sample import layer_rows, sample_rows
from decaf.analysis.thumbnails import pillow_image, store_images
from decaf.analysis.top_images import top_images
from decaf.backbones import load_backbone
from decaf.choices import Method, checked
from decaf.errors import DataError
from decaf.insight.units import units_of
from decaf.metrics import METRICS
from decaf.records import Images, takes_records
from decaf.report.details import Details, best_row, need
from decaf.report.drawing import check_output, save
from decaf.report.embedding import embed, embedding_figure
from decaf.report.figures import (
    classes_figure,
    curve_figure,
    domains_figure,
    layers_figure,
    reliability_figure,
)
from decaf.report.matrix import confusion_figure
from decaf.report.tiles import top_images_figure
from decaf.results import read_results
from decaf.store import FeatureStore
from decaf.types import label_kind


def plot_curve(paths: Sequence[Path], *, out: Path) -> Path:
    """Draw accuracy against training images a class; see `decaf.report.figures`."""
    check_output(out)
    return save(curve_figure(read_results(paths)), out)


def plot_layers(paths: Sequence[Path], *, out: Path) -> Path:
    """Draw accuracy layer by layer; see `decaf.report.figures`."""
    check_output(out)
    return save(layers_figure(read_results(paths)), out)


def plot_domains(paths: Sequence[Path], *, out: Path) -> Path:
    """Draw what each way of training gives in another domain; see `decaf.report.figures`."""
    check_output(out)
    return save(domains_figure(read_results(paths)), out)


def plot_classes(
    paths: Sequence[Path],
    *,
    out: Path,
    layer: str | None = None,
    head: str | None = None,
    shots: int | None = None,
) -> Path:
    """Draw the best and worst classes of a row of results, the best row if none is named."""
    check_output(out)
    details = Details.read(paths)
    row = best_row(details.table, layer, head, shots)
    values = details.class_values(row)
    need(values, "values of single classes", row)
    label = f"{METRICS[row.metric].label}, % ({row.head} on {row.layer})"
    return save(classes_figure(values, label), out)


def plot_confusion(
    paths: Sequence[Path],
    *,
    out: Path,
    layer: str | None = None,
    head: str | None = None,
    shots: int | None = None,
) -> Path:
    """Draw the confusion matrix of a row of results, the best row if none is named."""
    check_output(out)
    details = Details.read(paths)
    row = best_row(details.table, layer, head, shots)
    names, counts = details.confusion_matrix(row)
    need(names, "a confusion matrix", row)
    return save(confusion_figure(names, counts), out)


def plot_reliability(
    paths: Sequence[Path],
    *,
    out: Path,
    layer: str | None = None,
    head: str | None = None,
    shots: int | None = None,
) -> Path:
    """Draw how often a row of results is right by how sure it is, of the best row if none is named.

    Raises
    ------
    DataError
        No scores of that row are kept, or its images have several labels.
    """
    check_output(out)
    details = Details.read(paths)
    row = best_row(details.table, layer, head, shots)
    found = details.reliability(row)
    if found is None:
        raise DataError(
            f"asked for the reliability of {row.head} on {row.layer}, found no probabilities of "
            "images of one label beside the results; run decaf evaluate with --keep-scores"
        )
    return save(reliability_figure(found), out)


@checked
def plot_embedding(
    path: Path,
    *,
    method: Method,
    out: Path,
    layer: str | None = None,
    limit: int = 2000,
    thumbnails: Images | None = None,
    seed: int = 0,
) -> Path:
    """Draw a store's features on a plane, coloured by class.

    Parameters
    ----------
    path : pathlib.Path
        The store.
    method : {"tsne", "umap"}
        How features are placed.
    out : pathlib.Path
        The figure's file.
    layer : str, optional
        Name of the layer; the store's last if not given.
    limit : int
        Images to place, evenly spaced.
    thumbnails : Images, optional
        Where the images are, to draw them where there is room.
    seed : int
        Seed of the method.

    Raises
    ------
    DataError
        The images are asked for and not there, or have several labels each.
    """
    check_output(out)
    with FeatureStore(path) as store:
        if label_kind(store.labels) != "one":
            raise DataError(
                f"asked to colour {path} by class, found images without one class each; use a "
                "store of a data set with one label an image"
            )
        where = None if thumbnails is None else store_images(store, thumbnails)
        rows = sample_rows(store, limit)
        X = layer_rows(store, layer or store.layers[-1], rows)
        ids = [store.image_ids[row] for row in rows.tolist()]
        labels, names = store.labels[rows], store.class_names
    shown = None if where is None else lambda row: pillow_image(where, ids[row])
    return save(embedding_figure(embed(X, method, seed), labels, names, shown), out)


@takes_records
def plot_top_images(
    path: Path,
    *,
    layer: str,
    units: str = "0-15",
    out: Path,
    weights: str = "imagenet",
    images: Images = Images(),
    device: str = "auto",
    seed: int = 0,
) -> Path:
    """Draw the images that activate units of a layer most.

    Parameters
    ----------
    path : pathlib.Path
        The store; its net is loaded again.
    layer : str
        Name of a layer in the store.
    units : str
        Units, as ``0-15,40``.
    out : pathlib.Path
        The figure's file.
    weights : str
        The store's weights, as for `decaf.extract`.
    images : Images
        Where the images are.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    seed : int
        Seed of random weights.

    Raises
    ------
    ConfigError
        The units are not numbers, or there are none such.
    DataError
        The images are not there.
    StoreMismatchError
        The weights are not the store's.
    """
    check_output(out)
    numbers = units_of(units)
    with FeatureStore(path) as store:
        store[layer]  # says at once which layers there are
        files = store_images(store, images)
        net = load_backbone(store.provenance.backbone, weights=weights, device=device, seed=seed)
        found = top_images(store, net, layer, numbers, files)
    return save(top_images_figure(found, layer), out)
