"""Peak memory: of an extraction against the number of images, of heads against their features.

The images are generated, tiny and in one folder. Each extraction and each fit is a process of its
own, whose largest resident memory the system reports; what is there before a fit does not count.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from parts import add_skip, run_parts
from PIL import Image

PARTS = ("extraction", "heads")
HEADS = ("svm", "logreg")
SHAPES = (0.25, 0.7, 1.0, 1.4, 4.0)
"""Rows a feature."""

_FIT = """
import sys
from pathlib import Path
import numpy as np
from decaf.heads import HEADS

def resident_kb(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

name, shape, n_bytes = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
rng = np.random.default_rng(0)
for size in (1e4, n_bytes):  # what is loaded only once, by the first, does not count
    d = round((size / 4 / shape) ** 0.5)
    X = rng.random((round(shape * d), d), dtype=np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = np.arange(len(X)) % 10
    before = resident_kb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    HEADS[name](device="cpu").fit(X, y)
print(1 + (resident_kb("VmHWM") - before) * 1024 / X.nbytes)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--backbone", default="decaf-mini")
    parser.add_argument("--layers", default="fc7")
    parser.add_argument("--features-mb", type=float, default=120, help="that heads are fitted on")
    add_skip(parser, PARTS)
    options = parser.parse_args()
    lacking: dict[str, str | None] = dict.fromkeys(options.skip, "as asked")
    if not Path("/proc/self/clear_refs").exists():
        lacking.setdefault("heads", "peaks are read from /proc, which is not here")
    bench = (bench_extraction, bench_heads)
    run_parts(
        {name: partial(part, options) for name, part in zip(PARTS, bench, strict=True)}, lacking
    )


def bench_extraction(options: argparse.Namespace) -> dict[str, float]:
    """Return the ratio of the peaks of the most and the fewest images."""
    peaks = []
    print(f"{'images':>10} {'peak MB':>8} {'minutes':>8}")
    for n_images in options.n_images:
        with tempfile.TemporaryDirectory() as folder:
            images = Path(folder, "images")
            make_images(images, n_images)
            start = perf_counter()
            peaks.append(
                peak_mb(images, Path(folder, "features.h5"), options.backbone, options.layers)
            )
            minutes = (perf_counter() - start) / 60
        print(f"{n_images:>10} {peaks[-1]:8.0f} {minutes:8.1f}", flush=True)
    return {"memory_ratio": peaks[-1] / peaks[0]}


def bench_heads(options: argparse.Namespace) -> dict[str, float]:
    """Return each head's peak, its features among it, as a multiple of these."""
    print(f"{'rows a feature':>14} " + " ".join(f"{name:>8}" for name in HEADS))
    figures = {}
    for shape in SHAPES:
        peaks = [peak_of_fit(name, shape, options.features_mb) for name in HEADS]
        print(f"{shape:>14g} " + " ".join(f"{peak:8.2f}" for peak in peaks), flush=True)
        figures |= {f"{n}_peak_at_{shape:g}": p for n, p in zip(HEADS, peaks, strict=True)}
    return figures | {"max_peak_of_a_fit": max(figures.values())}


def peak_of_fit(head: str, shape: float, features_mb: float) -> float:
    """Return the peak of one fit, in a process of its own."""
    command = [sys.executable, "-c", _FIT, head, str(shape), str(features_mb * 2**20)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def make_images(
    folder: Path, n_images: int, size_px: tuple[int, int] = (64, 64), n_files: int = 20_000
) -> None:
    """Write JPEG files in two classes; those after the first `n_files` are links."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for number in range(n_images):
        path = folder / "ab"[number % 2] / f"{number:07d}.jpg"
        if number >= n_files:
            path.hardlink_to(folder / "ab"[number % 2] / f"{number % n_files:07d}.jpg")
            continue
        small = rng.integers(0, 256, (size_px[1] // 8, size_px[0] // 8, 3), np.uint8)
        Image.fromarray(small).resize(size_px).save(path)


def peak_mb(images: Path, out: Path, backbone: str, layers: str) -> float:
    """Return the largest resident memory, in MB, of the extraction of some images."""
    command = [
        str(Path(sys.executable).with_name("decaf")), "extract", "--dataset", str(images),
        "--backbone", backbone, "--weights", "random", "--layers", layers,
        "--out", str(out), "--device", "cpu", "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"extraction of {images} failed")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
