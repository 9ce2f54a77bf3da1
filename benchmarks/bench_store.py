"""Speed of the store against numpy's own files, on features of one layer in float32.

Both write to the same folder and end with fsync; both read a whole layer into memory with a warm
page cache. Runs of ours and of numpy's take turns; medians are shown. Ours checks every value,
computes two checksums a row and writes in batches of 32 rows, as extraction does; each read opens
the store anew, so that it compares the checksum of every row that it reads.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from decaf.store import FeatureStore, FeatureWriter, Provenance
from decaf.types import FloatArray, ImageDataset, IntArray, Preprocessing

BATCH_SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, default=9_000)
    parser.add_argument("--n-features", type=int, default=4_096)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(), help="folder on the disk to measure")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    features = rng.standard_normal((options.n_images, options.n_features), np.float32)
    some_rows = rng.permutation(options.n_images)[: options.n_images // 3]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ours, theirs = Path(folder, "features.h5"), Path(folder, "features.npy")
        actions: dict[str, Callable[[], object]] = {
            "numpy.save": lambda: save(theirs, features),
            "store write": lambda: write(ours, features),
            "numpy.load": lambda: np.load(theirs),
            "store read": lambda: read(ours),
            "numpy rows": lambda: np.load(theirs, mmap_mode="r")[some_rows],
            "store rows": lambda: read(ours, some_rows),
        }
        seconds = measure(actions, options.repeats, {"numpy.save": theirs, "store write": ours})
        np.testing.assert_array_equal(read(ours), features)
    report(seconds, features.nbytes)


def measure(
    actions: dict[str, Callable[[], object]], repeats: int, made: dict[str, Path]
) -> dict[str, float]:
    """Return the median seconds of each action; the first round warms up and is not counted.

    The files of `made` are deleted before the actions that make them, outside of the time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats + 1):
        for name, action in actions.items():
            if name in made:
                made[name].unlink(missing_ok=True)
            start = perf_counter()
            action()
            seconds[name].append(perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def save(path: Path, features: FloatArray) -> None:
    with path.open("wb") as file:
        np.save(file, features)
        file.flush()
        os.fsync(file.fileno())


def write(path: Path, features: FloatArray) -> None:
    n_images, n_features = features.shape
    digests = [bytes(32)] * BATCH_SIZE
    with FeatureWriter(path, provenance(n_images), dataset(n_images), {"fc6": n_features}) as out:
        for start in range(0, n_images, BATCH_SIZE):
            batch = features[start : start + BATCH_SIZE]
            out.write(np.arange(start, start + len(batch)), {"fc6": batch}, digests[: len(batch)])
        out.finish()


def read(path: Path, rows: slice | IntArray = slice(None)) -> FloatArray:
    with FeatureStore(path) as store:
        return store["fc6"][rows]


def dataset(n_images: int) -> ImageDataset:
    ids = tuple(f"class/{number:06d}.jpg" for number in range(n_images))
    numbers = np.zeros(n_images, np.int64)
    return ImageDataset("bench", Path(), ids, numbers, ("class",), numbers)


def provenance(n_images: int) -> Provenance:
    preprocessing = Preprocessing(224, 256, "bilinear", "center", (0.5,) * 3, (0.5,) * 3)
    return Provenance(
        "bench", "", n_images, "alexnet", "random", "", preprocessing, ("center",), ("fc6",),
        "none", "float32", "fp32", "pillow", {},
    )  # fmt: skip


def report(seconds: dict[str, float], n_bytes: int) -> None:
    shares = {"rows": n_bytes // 3}
    print(f"{'action':<12} {'seconds':>8} {'GB/s':>6}")
    for name, value in seconds.items():
        print(f"{name:<12} {value:8.4f} {shares.get(name[-4:], n_bytes) / value / 1e9:6.2f}")
    print("writes include fsync; reads from a warm page cache; rows: a third, in random order")
    ratios = {
        "read_ratio": seconds["numpy.load"] / seconds["store read"],
        "write_ratio": seconds["numpy.save"] / seconds["store write"],
        "rows_ratio": seconds["numpy rows"] / seconds["store rows"],
    }
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}))


if __name__ == "__main__":
    main()
