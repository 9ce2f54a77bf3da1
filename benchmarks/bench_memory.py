"""Peak memory of an extraction against the number of pictures.

The pictures are generated, tiny and in one folder; each extraction is a process of its own, whose
largest resident memory the system reports.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-images", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--backbone", default="decaf-mini")
    parser.add_argument("--layers", default="fc7")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        make_pictures(pictures, max(options.n_images))
        peaks = [
            peak_mb(pictures, Path(folder, f"{n}.h5"), n, options.backbone, options.layers)
            for n in options.n_images
        ]
    print(f"{'images':>10} {'peak MB':>8}")
    for n_images, peak in zip(options.n_images, peaks, strict=True):
        print(f"{n_images:>10} {peak:8.0f}")
    print(json.dumps({"memory_ratio": round(peaks[-1] / peaks[0], 3)}))


def make_pictures(folder: Path, n_images: int) -> None:
    """Write JPEG files of 64 x 64 pixels in two classes."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for number in range(n_images):
        small = rng.integers(0, 256, (8, 8, 3), np.uint8)
        picture = Image.fromarray(small).resize((64, 64))
        picture.save(folder / "ab"[number % 2] / f"{number:07d}.jpg")


def peak_mb(pictures: Path, out: Path, n_images: int, backbone: str, layers: str) -> float:
    """Return the largest resident memory, in MB, of the extraction of some pictures."""
    command = [
        str(Path(sys.executable).with_name("decaf")), "extract", "--dataset", str(pictures),
        "--backbone", backbone, "--weights", "random", "--layers", layers,
        "--limit", str(n_images), "--out", str(out), "--device", "cpu", "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"extraction of {n_images} pictures failed")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
