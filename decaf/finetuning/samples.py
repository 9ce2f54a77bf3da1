"""Images of a data set as a net's inputs, read ahead by threads."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from decaf.backbones import TorchBackbone
from decaf.choices import Decoder
from decaf.datasets import ImageFiles, read_image
from decaf.errors import ConfigError, DataError
from decaf.finetuning.crops import KEEPS_ASPECT, random_crop
from decaf.finetuning.recipe import Recipe
from decaf.images.views import crop_box, make_view
from decaf.machine import n_cores
from decaf.protocols import PublishedProtocol
from decaf.types import ImageDataset, Preprocessing

Sample = tuple[int, int | None]
"""A row, and the number of its crop; None for the plain view."""


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """How rows of a data set become pixels.

    Attributes
    ----------
    table : ImageDataset
        The data set.
    preprocessing : Preprocessing
        The net's.
    view : str
        The plain view: ``center``, ``warp`` or ``squash``.
    box_scale : float or None
        Images are the rows' boxes, enlarged so many times; None for whole ones.
    decoder : str
        ``auto`` or ``pillow``.
    area : float
        Smallest share of an image that a random crop covers.
    seed : int
        Of the crops.
    workers : int
        Threads that read.

    Raises
    ------
    ConfigError
        If the view has several crops.
    """

    table: ImageDataset
    preprocessing: Preprocessing
    view: str
    box_scale: float | None
    decoder: Decoder
    area: float
    seed: int
    workers: int

    def __post_init__(self) -> None:
        if self.view not in KEEPS_ASPECT:
            raise ConfigError(
                f"asked to fine-tune on the view {self.view!r}; choose one of a single crop: "
                f"{', '.join(KEEPS_ASPECT)}"
            )

    def pixels(self, sample: Sample) -> Tensor:
        """Return ``(3, S, S)`` uint8 pixels of one crop or of the plain view.

        Raises
        ------
        DataError
            If the image cannot be read.
        """
        row, number = sample
        image_id = self.table.image_ids[row]
        try:
            image = read_image(
                ImageFiles(self.table.root, self.table.source), image_id, self.decoder
            )
        except DataError as error:
            raise DataError(f"asked for the image {image_id}: {error}; put it back") from error
        if self.box_scale is not None and self.table.boxes is not None:
            image = crop_box(image, self.table.boxes[row].tolist(), self.box_scale)
        if number is None:
            return make_view(image, self.view, self.preprocessing)
        seed = np.random.SeedSequence((self.seed, number, row)).generate_state(1)[0]
        return random_crop(image, self.view, self.preprocessing, self.area, int(seed))

    def batches(self, wanted: Sequence[Sequence[Sample]]) -> Iterator[Tensor]:
        """Yield ``(n, 3, S, S)`` pixels of each list of images, while the next ones are read."""
        with ThreadPoolExecutor(max(self.workers, 1)) as pool:
            waiting: list[Future[Tensor]] = []
            for batch in [*wanted, ()]:
                coming = [pool.submit(self.pixels, sample) for sample in batch]
                if waiting:
                    yield torch.stack([one.result() for one in waiting])
                waiting = coming


def rule_images(
    table: ImageDataset,
    net: TorchBackbone,
    rule: PublishedProtocol,
    decoder: Decoder,
    *,
    recipe: Recipe,
    workers: int | None,
) -> TrainingImages:
    """Return the images of a protocol.

    Raises
    ------
    ConfigError
        If the protocol's view has several crops, or its normalisation or the recipe asks for what
        is not used.
    """
    if rule.normalize == "standard" and recipe.start == "random":
        raise ConfigError(
            "asked to normalise 'standard', which only the linear head that training starts at "
            "does, and for start 'random'; choose another of the two"
        )
    return TrainingImages(
        table=table,
        preprocessing=net.preprocessing,
        view=rule.view,
        box_scale=rule.box_scale if rule.box == "crop" else None,
        decoder=decoder,
        area=recipe.min_crop_area,
        seed=rule.seed,
        workers=workers or n_cores(),
    )
