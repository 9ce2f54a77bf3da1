"""The images that activate a unit most, with the part of each that the unit sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from decaf.analysis.receptive import receptive_extents
from decaf.backbones import TorchBackbone
from decaf.datasets import ImageFiles, read_image
from decaf.errors import ConfigError, DataError, StoreMismatchError
from decaf.images.views import crop_box, make_view
from decaf.store import FeatureStore
from decaf.types import FloatArray, IntArray

N_TOP = 9
"""Images a unit, as Zeiler and Fergus show them."""

_BLOCK_ROWS = 256


@dataclass(frozen=True, eq=False)
class TopImage:
    """One of the images that activate a unit most.

    Attributes
    ----------
    row : int
        Row of the store.
    image_id : str
        The image.
    activation : float
        The unit's largest activation in this image's map.
    box : tuple of int
        ``x0, y0, x1, y1``: what the unit sees of the net's input there, in pixels.
    crop : numpy.ndarray
        ``(height, width, 3)`` uint8 pixels of the box.
    pixels : torch.Tensor
        ``(3, S, S)`` uint8: the net's input that it is cut from.
    """

    row: int
    image_id: str
    activation: float
    box: tuple[int, int, int, int]
    crop: npt.NDArray[np.uint8]
    pixels: torch.Tensor


def top_images(
    store: FeatureStore,
    net: TorchBackbone,
    layer: str,
    units: Sequence[int],
    root: Path | ImageFiles,
) -> Mapping[int, tuple[TopImage, ...]]:
    """Return the images that activate units most, from a store and one more pass over them.

    Parameters
    ----------
    store : FeatureStore
        An open store of one view, with the layer. Where it holds averages over the map, these
        choose the images.
    net : TorchBackbone
        The store's net.
    layer : str
        Name of the layer.
    units : sequence of int
        Channels of the layer's map, or numbers of features of a vector.
    root : pathlib.Path or ImageFiles
        Folder that the images' ids are relative to, or where they lie.

    Returns
    -------
    mapping of int to tuple of TopImage
        For each unit up to `N_TOP` images, the most active first.

    Raises
    ------
    StoreMismatchError
        The net is not the store's.
    ConfigError
        There is no such unit, or the store has several views.
    DataError
        An image cannot be read.

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, figure 2.
    """
    made = store.provenance
    if (made.backbone, made.weights_sha256) != (net.name, net.weights_sha256):
        raise StoreMismatchError(
            f"asked to use {net.name} with weights {net.weights_sha256[:8]}, found "
            f"{made.backbone} with {made.weights_sha256[:8]} in {store.path}; give its net, "
            "--weights included"
        )
    if store.n_views != 1:
        raise ConfigError(
            f"asked for the images of a unit, found {store.n_views} views in {store.path}; "
            "extract one view, such as center"
        )
    n_units = net.shape(layer)[0]
    check_units(units, layer, n_units)
    winners = _winners(store, layer, n_units, units)
    extents = receptive_extents(net, layer) if len(net.shape(layer)) == 3 else None
    files = root if isinstance(root, ImageFiles) else ImageFiles(root)
    inputs = {
        row: _input(store, row, net, files) for row in np.unique(list(winners.values())).tolist()
    }
    maps = {row: _map(net, layer, pixels) for row, pixels in inputs.items()}
    return {
        unit: tuple(
            _top_image(store, row, maps[row][unit], inputs[row], extents) for row in rows.tolist()
        )
        for unit, rows in winners.items()
    }


def check_units(units: Sequence[int], layer: str, n_units: int) -> None:
    """Refuse no units, and those that a layer does not have.

    Raises
    ------
    ConfigError
        If there are such.
    """
    wrong = [unit for unit in units if not 0 <= unit < n_units]
    if wrong or not units:
        raise ConfigError(f"asked for units {wrong} of {layer}, found 0 to {n_units - 1}")


def _winners(
    store: FeatureStore, layer: str, n_units: int, units: Sequence[int]
) -> dict[int, IntArray]:
    """Return the rows with the largest stored value of each unit."""
    rows = np.flatnonzero(store.done)
    strongest = np.concatenate(
        [
            store[layer][block].reshape(len(block), n_units, -1)[:, list(units)].max(axis=2)
            for block in np.split(rows, range(_BLOCK_ROWS, len(rows), _BLOCK_ROWS))
        ]
    )
    order = np.argsort(-strongest, axis=0, kind="stable")[:N_TOP]
    return {unit: rows[order[:, index]] for index, unit in enumerate(units)}


def _input(store: FeatureStore, row: int, net: TorchBackbone, files: ImageFiles) -> torch.Tensor:
    image_id = store.image_ids[row]
    view, _, scale = store.provenance.views[0].partition(" of box x ")
    try:
        image = read_image(files, image_id)
    except DataError as error:
        raise DataError(
            f"asked for the image {image_id}, found: {error}; give the folder of the images"
        ) from error
    if scale and store.boxes is not None:
        image = crop_box(image, store.boxes[row].tolist(), float(scale))
    return make_view(image, view, net.preprocessing)


def _map(net: TorchBackbone, layer: str, pixels: torch.Tensor) -> FloatArray:
    """Return ``(n_units, height, width)`` activations; tokens and vectors as one column."""
    output = net.activations(pixels[None].to(net.device), [layer])[layer][0].cpu().numpy()
    found: FloatArray = output if output.ndim == 3 else output.reshape(len(output), -1, 1)
    return found


def _top_image(
    store: FeatureStore,
    row: int,
    activations: FloatArray,
    pixels: torch.Tensor,
    extents: list[tuple[int, int]] | None,
) -> TopImage:
    i, j = np.unravel_index(int(np.argmax(activations)), activations.shape)
    height, width = pixels.shape[1:]
    x0, x1 = (0, width) if extents is None else extents[int(j)]
    y0, y1 = (0, height) if extents is None else extents[int(i)]
    crop = pixels[:, y0:y1, x0:x1].permute(1, 2, 0).contiguous().numpy()
    largest = float(activations.max())
    return TopImage(row, store.image_ids[row], largest, (x0, y0, x1, y1), crop, pixels)
