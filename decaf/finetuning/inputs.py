"""What the trained part of a net is given: what the frozen part made of images, or pixels.

What does not change from epoch to epoch is computed once and kept on disk: what the frozen part
gives of the plain views, and of the fixed crops of a recipe. New crops in each epoch go through
all of the net.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from decaf.backbones.trainable import TrainableNet
from decaf.finetuning.kept import Kept
from decaf.finetuning.recipe import Recipe
from decaf.finetuning.samples import Sample, TrainingImages
from decaf.types import IntArray

_N_IN_PASS = 32

Batch = tuple[IntArray, Tensor, bool]
"""Rows, their inputs on the net's device, and whether these are pixels, for all of the net."""


class Inputs:
    """Inputs of the trained part, for rows of a data set.

    Parameters
    ----------
    images : TrainingImages
        Where pixels come from.
    net : TrainableNet
        Whose frozen part is used.
    recipe : Recipe
        Says which crops there are.
    dtype : torch.dtype
        What the net computes in.
    kept : Kept
        Where what is computed once is kept, a column for each crop.
    """

    def __init__(
        self,
        images: TrainingImages,
        net: TrainableNet,
        recipe: Recipe,
        *,
        dtype: torch.dtype,
        kept: Kept,
    ) -> None:
        self._images, self._net, self._recipe = images, net, recipe
        self._dtype, self._kept = dtype, kept
        self._device = net.backbone.device

    @cached_property
    def in_parts(self) -> bool:
        """Whether outputs of the frozen part are kept, or pixels."""
        return self._net.splits

    def training(self, rows: IntArray, epoch: int) -> Iterator[Batch]:
        """Yield batches of an epoch in random order, whose sizes differ by one at most.

        Parameters
        ----------
        rows : numpy.ndarray
            ``(n,)`` rows to train on.
        epoch : int
            Its number, from 0; it decides order and crops.
        """
        chance = np.random.default_rng((self._images.seed, epoch))
        order = chance.permutation(rows)
        n_batches = -(-len(order) // self._recipe.batch_size)
        parts = np.array_split(order, n_batches)
        if self._recipe.crops == 0:
            wanted = [[(int(row), epoch) for row in part] for part in parts]
            for part, pixels in zip(parts, self._images.batches(wanted), strict=True):
                yield part, pixels.to(self._device), True
            return
        self._keep(rows, self._recipe.crops)
        columns = np.array_split(chance.integers(self._recipe.crops, size=len(order)), n_batches)
        for part, chosen in zip(parts, columns, strict=True):
            yield part, self._taken(part, chosen), not self.in_parts

    def plain(self, rows: IntArray) -> Iterator[Batch]:
        """Yield batches of plain views in the order of the rows."""
        self._keep(rows, 1)
        for part in np.array_split(rows, -(-len(rows) // _N_IN_PASS)):
            yield part, self._taken(part, np.zeros(len(part), np.int64)), not self.in_parts

    def _taken(self, rows: IntArray, columns: IntArray) -> Tensor:
        x = torch.from_numpy(self._kept.take(rows, columns)).to(self._device)
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def _keep(self, rows: IntArray, n_columns: int) -> None:
        """Compute what is missing, in an order that only the calls before this one decide."""
        shape, dtype = self._value
        places = self._kept.missing(np.sort(rows), n_columns, shape, dtype)
        parts = [places[i : i + _N_IN_PASS] for i in range(0, len(places), _N_IN_PASS)]
        for part, pixels in zip(parts, self._images.batches(_images(parts)), strict=True):
            self._kept.put(part, self._computed(pixels).cpu().numpy())

    @cached_property
    def _value(self) -> tuple[tuple[int, ...], type[np.generic]]:
        """Shape and type of what is kept of one image."""
        side = self._net.backbone.preprocessing.input_size_px
        value = self._computed(torch.zeros(1, 3, side, side, dtype=torch.uint8))
        return tuple(value.shape[1:]), np.float32 if self.in_parts else np.uint8

    def _computed(self, pixels: Tensor) -> Tensor:
        if not self.in_parts:
            return pixels
        with torch.autocast(self._device.type, self._dtype, self._dtype != torch.float32):
            return self._net.frozen(pixels.to(self._device)).float()


def _images(parts: Sequence[Sequence[tuple[int, int]]]) -> list[list[Sample]]:
    return [[(row, column - 1 if column else None) for row, column in part] for part in parts]
