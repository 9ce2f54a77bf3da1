"""Peak memory of an extraction against the number of images.

The images are generated, tiny and in one folder; each extraction is a process of its own, whose
largest resident memory the system reports.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--backbone", default="decaf-mini")
    parser.add_argument("--layers", default="fc7")
    options = parser.parse_args()
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
    print(json.dumps({"memory_ratio": round(peaks[-1] / peaks[0], 3)}))


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
