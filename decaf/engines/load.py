"""From files to a batch of pixels: read, hash, decode, crop."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import torch

from decaf.datasets import read_bytes
from decaf.engines.plan import Plan, StageSeconds
from decaf.errors import DataError
from decaf.images.decode import decode
from decaf.images.views import crop_box, make_view, n_views


@dataclass
class Batch:
    """Pixels of the rows that could be read, and the reasons of those that could not.

    Attributes
    ----------
    rows : list of int
        Rows of the data set in `pixels`.
    pixels : torch.Tensor
        ``(len(rows) * n_views, 3, S, S)`` uint8, channels last in memory; or stored maps of a
        plan's `start`, float32.
    sha256 : list of bytes
        Digest of each row's file.
    failures : list of (int, str)
        Row and reason.
    seconds : StageSeconds
        Spent on reading, decoding and cropping.
    """

    rows: list[int]
    pixels: torch.Tensor
    sha256: list[bytes]
    failures: list[tuple[int, str]]
    seconds: StageSeconds = field(default_factory=StageSeconds)


def load_batch(plan: Plan, rows: Sequence[int]) -> Batch:
    """Read, decode and crop the pictures of some rows.

    Parameters
    ----------
    plan : Plan
        The extraction.
    rows : sequence of int
        Rows of the plan's data set.

    Returns
    -------
    Batch
        In the order of `rows`, without those that failed.
    """
    views, size = n_views(plan.view), plan.backbone.preprocessing.input_size_px
    # channels last, as decoders give pixels and as convolutions like them
    pixels = torch.empty(
        (len(rows), views, size, size, 3),
        dtype=torch.uint8,
        pin_memory=plan.backbone.device.type == "cuda",
    )
    pixels = pixels.permute(0, 1, 4, 2, 3)
    batch = Batch([], pixels, [], [])
    seconds = batch.seconds
    for row in rows:
        start = perf_counter()
        try:
            data = read_bytes(plan.dataset, row)
            digest = hashlib.sha256(data).digest()
            was_read = perf_counter()
            image = decode(data, plan.pixels)
            decoded = perf_counter()
            if plan.box_scale is not None and plan.dataset.boxes is not None:
                box = plan.dataset.boxes[row].tolist()
                image = crop_box(image, box, plan.box_scale, plan.patches.edges)
            pixels[len(batch.rows)] = make_view(image, plan.view, plan.backbone.preprocessing)
        except (OSError, DataError) as error:
            batch.failures.append((row, failure_reason(error)))
            continue
        batch.rows.append(row)
        batch.sha256.append(digest)
        seconds.read += was_read - start
        seconds.decode += decoded - was_read
        seconds.view += perf_counter() - decoded
    batch.pixels = pixels[: len(batch.rows)].flatten(0, 1)
    return batch


def failure_reason(error: OSError | DataError) -> str:
    """Return the one-line reason of a failure."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
