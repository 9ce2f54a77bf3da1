"""From files to a batch of pixels: read, hash, decode, crop."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter

import torch

from decaf.choices import Decoder
from decaf.datasets import read_bytes, stamp_of
from decaf.engines.plan import Plan, StageSeconds
from decaf.errors import DataError
from decaf.images.decode import decode
from decaf.images.nvjpeg import decode_on_gpu
from decaf.images.views import crop_box, make_view, n_views

_CPU = torch.device("cpu")


@dataclass
class Loaded:
    """What was read of some rows, and why others could not be.

    Attributes
    ----------
    rows : list of int
        Rows of the data set that could be read.
    sha256 : list of bytes
        Digest of each row's file.
    failures : list of (int, str)
        Row and reason.
    stamps : dict of int to bytes
        What a change of each row's file changes, of all rows that could be read.
    sizes_px : dict of int to (int, int)
        Width and height of each row's whole image, upright.
    seconds : StageSeconds
        Spent on reading, decoding and cropping; batches of several nets share them.
    """

    rows: list[int] = field(default_factory=list)
    sha256: list[bytes] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)
    stamps: dict[int, bytes] = field(default_factory=dict)
    sizes_px: dict[int, tuple[int, int]] = field(default_factory=dict)
    seconds: StageSeconds = field(default_factory=StageSeconds)


@dataclass
class Batch(Loaded):
    """Rows of any images, whose views are ready for the net.

    Attributes
    ----------
    pixels : torch.Tensor
        ``(len(rows) * n_views, 3, S, S)`` uint8, channels last in memory; or stored maps of a
        plan's `start`, float32.
    """

    pixels: torch.Tensor = field(default_factory=lambda: torch.empty(0))


def load_batch(plan: Plan, rows: Sequence[int], device: torch.device = _CPU) -> Batch:
    """Read, decode and crop the images of some rows; see `load_batches`."""
    (batch,) = load_batches([(plan, rows)], device)
    return batch


def load_batches(
    asked: Sequence[tuple[Plan, Sequence[int]]], device: torch.device = _CPU
) -> list[Batch]:
    """Read and decode the images of some rows, each once, and crop them for one net or several.

    Parameters
    ----------
    asked : sequence of (Plan, sequence of int)
        Extractions of one table by one decoder, and for each the rows that it wants.
    device : torch.device
        The GPU that decodes and crops, where the plans' `decoder` says so.

    Returns
    -------
    list of Batch
        For each extraction its rows in their order, without those that failed.
    """
    plan, loaded = asked[0][0], Loaded()
    on_gpu = plan.decoder == "gpu"
    there = device if on_gpu else _CPU
    batches = [_empty(one, rows, there, loaded.seconds) for one, rows in asked]
    files = read(plan, list(dict.fromkeys(chain.from_iterable(rows for _, rows in asked))), loaded)
    images = (
        _decoded_there(files, loaded, device) if on_gpu else decoded(files, loaded, plan.decoder)
    )
    wanted = [set(rows) for _, rows in asked]
    for file, image in images:
        start = perf_counter()
        for (one, _), rows, batch in zip(asked, wanted, batches, strict=True):
            if file.row in rows:
                _add(one, file, image, batch)
        loaded.seconds.view += perf_counter() - start
    if on_gpu and device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()  # the net runs in another stream
    for rows, batch in zip(wanted, batches, strict=True):
        batch.failures += [one for one in loaded.failures if one[0] in rows]
        batch.stamps = {row: stamp for row, stamp in loaded.stamps.items() if row in rows}
        batch.pixels = batch.pixels[: len(batch.rows)].flatten(0, 1)
    return batches


def _empty(plan: Plan, rows: Sequence[int], device: torch.device, seconds: StageSeconds) -> Batch:
    """Return a batch with room for rows, channels last, as decoders give pixels."""
    size_px = plan.backbone.preprocessing.input_size_px
    pixels = torch.empty(
        (len(rows), n_views(plan.view), size_px, size_px, 3),
        dtype=torch.uint8,
        device=device,
        pin_memory=device.type == "cpu" and plan.backbone.device.type == "cuda",
    )
    return Batch(seconds=seconds, pixels=pixels.permute(0, 1, 4, 2, 3))


def _add(plan: Plan, file: "File", whole: torch.Tensor, batch: Batch) -> None:
    """Add the views of a row to a batch, or why there are none."""
    try:
        image = whole
        if plan.box_scale is not None and plan.dataset.boxes is not None:
            box = plan.dataset.boxes[file.row].tolist()
            image = crop_box(whole, box, plan.box_scale, plan.edges)
        views = make_view(image, plan.view, plan.backbone.preprocessing)
    except DataError as error:
        batch.failures.append((file.row, failure_reason(error)))
        return
    batch.pixels[len(batch.rows)] = views
    batch.rows.append(file.row)
    batch.sizes_px[file.row] = (whole.shape[2], whole.shape[1])
    batch.sha256.append(file.sha256)


def failure_reason(error: OSError | DataError) -> str:
    """Return the one-line reason of a failure."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


@dataclass
class File:
    """An image's file, and its row."""

    row: int
    sha256: bytes
    data: bytes


def read(plan: Plan, rows: Sequence[int], batch: Loaded) -> Iterator[File]:
    """Yield the files of rows; the others are failures of the batch."""
    for row in rows:
        start = perf_counter()
        try:
            stamp = stamp_of(plan.dataset, row)  # first: a change from here on is seen later
            data = read_bytes(plan.dataset, row)
        except OSError as error:
            batch.failures.append((row, failure_reason(error)))
            continue
        batch.stamps[row] = stamp
        file = File(row, hashlib.sha256(data).digest(), data)
        batch.seconds.read += perf_counter() - start
        yield file


def decoded(
    files: Iterable[File], batch: Loaded, decoder: Decoder
) -> Iterator[tuple[File, torch.Tensor]]:
    """Yield files and their images; those that are damaged are failures of the batch."""
    for file in files:
        start = perf_counter()
        try:
            image = decode(file.data, decoder)
        except DataError as error:
            batch.failures.append((file.row, str(error)))
            continue
        batch.seconds.decode += perf_counter() - start
        yield file, image


def _decoded_there(
    files: Iterable[File], batch: Loaded, device: torch.device
) -> Iterator[tuple[File, torch.Tensor]]:
    """Decode on a GPU, all at once, and on the CPU what that leaves."""
    files = list(files)
    start = perf_counter()
    images = decode_on_gpu([file.data for file in files], device)
    batch.seconds.decode += perf_counter() - start
    for file, image in zip(files, images, strict=True):
        if image is not None:
            yield file, image
        else:
            for _, left in decoded([file], batch, "gpu"):
                yield file, left.to(device)


def load_rows_of_image(
    plan: Plan, rows: Sequence[int], batch: Loaded, show: Callable[[torch.Tensor], None]
) -> None:
    """Read and decode the one image of several rows; its failure is theirs.

    Parameters
    ----------
    plan : Plan
        The extraction.
    rows : sequence of int
        Rows of the plan's data set, of one image.
    batch : Loaded
        Takes the rows, or why they cannot be had.
    show : callable
        Takes the image ``(3, H, W)`` and puts what the net sees of it into the batch; raises
        `DataError` where it cannot.
    """
    for file, image in decoded(read(plan, rows[:1], batch), batch, plan.decoder):
        start = perf_counter()
        try:
            show(image)
        except DataError as error:
            batch.failures.append((file.row, str(error)))
            continue
        batch.rows, batch.sha256 = list(rows), [file.sha256] * len(rows)
        batch.sizes_px = dict.fromkeys(rows, (image.shape[2], image.shape[1]))
        batch.seconds.view = perf_counter() - start
    batch.failures = [(row, reason) for _, reason in batch.failures for row in rows]
    batch.stamps = {row: stamp for stamp in batch.stamps.values() for row in rows}
