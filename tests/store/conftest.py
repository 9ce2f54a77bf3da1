"""A small store, and the parts it is made of."""

import json
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from decaf.datasets import slice_rows
from decaf.store import FeatureWriter, Provenance
from decaf.store.header import SCHEMA_VERSION, is_of_rows
from decaf.types import ImageDataset, Preprocessing


def make_provenance(**changes: Any) -> Provenance:
    fields = {
        "dataset": "toys",
        "dataset_digest": "ab" * 32,
        "n_images": 12,
        "backbone": "alexnet",
        "weights": "imagenet",
        "weights_sha256": "cd" * 32,
        "preprocessing": Preprocessing(
            224, 256, "bilinear", "center", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        ),
        "views": ("center",),
        "layers": ("fc6", "features.12"),
        "pooling": "none",
        "dtype": "float32",
        "precision": "fp32",
        "pixels": "pillow, EXIF ignored",
        "versions": {"torch": "2.10", "pillow": "11.0"},
        "arithmetic": {"features": "1", "convolutions": "direct"},
    }
    return Provenance(**fields | changes)


def make_dataset(n_images: int = 12, **changes: Any) -> ImageDataset:
    fields = {
        "name": "toys",
        "root": Path("images"),
        "image_ids": tuple(f"tööl/{i}.jpg" for i in range(n_images)),
        "labels": np.arange(n_images) % 3,
        "class_names": ("ball", "doll", "tööl"),
        "sizes_bytes": np.full(n_images, 100),
        "official": np.ones((n_images, 2), "i1"),
        "boxes": np.arange(n_images * 4, dtype="f4").reshape(n_images, 4),
        "groups": tuple(f"år {i // 2}" for i in range(n_images)),
    }
    return ImageDataset(**fields | changes)


N_FEATURES = {"fc6": 5, "features.12": 3}


def make_features(rows: Any, n_views: int = 1) -> dict[str, Any]:
    """Return features that depend on the row alone."""
    views = () if n_views == 1 else (n_views,)
    return {
        layer: np.stack(
            [np.random.default_rng([i, n]).standard_normal((*views, n), np.float32) for i in rows]
        )
        for layer, n in N_FEATURES.items()
    }


def make_sha256(rows: Any) -> list[bytes]:
    return [bytes([i % 251 + 1]) * 32 for i in rows]


def open_writer(path: Path, n_images: int = 12, n_views: int = 1, **changes: Any) -> FeatureWriter:
    provenance = make_provenance(n_images=n_images, **changes)
    writer = FeatureWriter(path, provenance, make_dataset(n_images), N_FEATURES, n_views)
    writer.note_sizes({row: (row + 1, 2 * row + 1) for row in range(n_images)})
    return writer


def write_store(path: Path, n_images: int = 12, n_views: int = 1, **changes: Any) -> Path:
    with open_writer(path, n_images, n_views, **changes) as writer:
        rows = writer.pending()
        writer.write(rows, make_features(rows, n_views), make_sha256(rows))
        return writer.finish()


def write_shard(folder: Path, start: int, stop: int, failed: Any = (), **changes: Any) -> Path:
    """Write a shard of a store of 12 rows; rows of `failed` fail."""
    path = folder / f"shard-{start}-{stop}.h5"
    provenance = make_provenance(rows=(start, stop), **changes)
    table = slice_rows(make_dataset(), slice(start, stop))
    with FeatureWriter(path, provenance, table, N_FEATURES) as writer:
        rows = np.array([row for row in range(start, stop) if row not in failed])
        writer.note_sizes({row - start: (row + 1, 2 * row + 1) for row in range(start, stop)})
        writer.write(rows - start, make_features(rows), make_sha256(rows))
        for row in failed:
            writer.fail(row - start, f"broken, at {row}")
        return writer.finish()


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Makers of a store's parts."""
    return SimpleNamespace(
        provenance=make_provenance,
        dataset=make_dataset,
        features=make_features,
        sha256=make_sha256,
        writer=open_writer,
        store=write_store,
        shard=write_shard,
        n_features=N_FEATURES,
    )


@pytest.fixture(scope="session")
def flip() -> Callable[[Path, int], None]:
    """Flip one bit of a byte of a file; a second call undoes it."""

    def flip_byte(path: Path, offset: int) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0b100]))

    return flip_byte


@pytest.fixture
def reseal(tmp_path: Path) -> Callable[..., Path]:
    """Make a copy of a store whose header says other things, with checksums that fit."""

    def write(path: Path, *, columns: dict[str, Any] | None = None, **changes: Any) -> Path:
        data = path.read_bytes()
        n_line = data.index(b"\n") + 1
        text = data[n_line : data.index(b"\0", n_line)]
        fields = json.loads(text)
        skipped = sorted(
            (offset, offset + np.dtype(dtype).itemsize * prod(shape))
            for name, (dtype, shape, offset) in fields["columns"].items()
            if is_of_rows(name)
        )
        fields["columns"] |= columns or {}
        new = json.dumps(fields | changes, sort_keys=True, separators=(",", ":")).encode()
        ends = [0, *(at for pair in skipped for at in pair), len(data)]
        line = f"decaf store {SCHEMA_VERSION} {len(new)} {0:08x}\n".encode()
        whole = line + new + data[len(line) + len(new) :]
        crc = 0
        for start, stop in zip(ends[::2], ends[1::2], strict=True):
            crc = zlib.crc32(whole[max(start, len(line)) : stop], crc)
        line = f"decaf store {SCHEMA_VERSION} {len(new)} {crc:08x}\n".encode()
        hostile = tmp_path / "hostile.h5"
        hostile.write_bytes(line + whole[len(line) :])
        return hostile

    return write
