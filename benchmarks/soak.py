"""A long extraction under fire: broken images, and SIGKILL every few seconds.

    python benchmarks/soak.py [--n-images 100000] [--every 8]

Generated images, of which one in a hundred is broken in one of twenty ways. The extraction is
killed and run again until it ends. It must end complete, list exactly the broken images, and hold
the same features as a run that nothing disturbed.
"""

import argparse
import csv
import io
import json
import random
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

from decaf.store import FeatureStore

DECAF = str(Path(sys.executable).with_name("decaf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-images", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=8.0, help="mean seconds from kill to kill")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broken = make_images(folder / "images", options.n_images)
        start = perf_counter()
        run(folder, "clean.h5")
        clean_s = perf_counter() - start
        start = perf_counter()
        n_kills = run_under_fire(folder, "fire.h5", options.every)
        fire_s = perf_counter() - start
        n_wrong = compare(folder, broken)
    print(f"{options.n_images} images, {len(broken)} broken; clean run {clean_s:.0f} s;")
    print(f"killed {n_kills} times, complete after {fire_s:.0f} s; {n_wrong} differences")
    print(json.dumps({"n_kills": n_kills, "seconds": round(fire_s), "n_wrong": n_wrong}))
    sys.exit(n_wrong > 0)


def command(folder: Path, out: str) -> list[str]:
    return [
        DECAF, "extract", "--dataset", str(folder / "images"), "--backbone", "decaf-mini",
        "--weights", "random", "--layers", "fc7", "--device", "cpu", "--out", str(folder / out),
        "--quiet",
    ]  # fmt: skip


def run(folder: Path, out: str) -> None:
    subprocess.run(command(folder, out), check=True, stdout=subprocess.DEVNULL)


def run_under_fire(folder: Path, out: str, every: float) -> int:
    """Run until it ends by itself; return how often it was killed."""
    chance = random.Random(0)
    n_kills = 0
    while True:
        process = subprocess.Popen(command(folder, out), stdout=subprocess.DEVNULL)
        try:
            status = process.wait(timeout=every * chance.uniform(0.5, 1.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            n_kills += 1
            continue
        if status:
            raise SystemExit(f"the extraction ended with status {status}")
        return n_kills


def compare(folder: Path, broken: set[str]) -> int:
    """Return the number of rows that are not as they must be."""
    with FeatureStore(folder / "clean.h5") as a, FeatureStore(folder / "fire.h5") as b:
        wrong = int((a.done != b.done).sum()) + int((a.image_sha256[:] != b.image_sha256[:]).sum())
        rows = np.flatnonzero(np.asarray(a.done))
        for some in np.array_split(rows, max(1, len(rows) // 4096)):
            wrong += int((a["fc7"][some] != b["fc7"][some]).any(1).sum())
        wrong += int(b.done.sum()) != len(b.image_ids) - len(broken)
    with (folder / "fire.failures.csv").open(encoding="utf-8", newline="") as file:
        listed = [row["image_id"] for row in csv.DictReader(file)]
    return wrong + len(set(listed) ^ broken) + len(listed) - len(set(listed))


def make_images(folder: Path, n_images: int) -> set[str]:
    """Write JPEG files in two classes; return the ids of the broken ones."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    bad = set(rng.choice(n_images, n_images // 100, replace=False).tolist())
    ways = broken_files()
    ids = set()
    for number in range(n_images):
        path = folder / "ab"[number % 2] / f"{number:07d}.jpg"
        if number in bad:
            path.write_bytes(ways[len(ids) % len(ways)])
            ids.add(path.relative_to(folder).as_posix())
        else:
            small = rng.integers(0, 256, (8, 8, 3), np.uint8)
            path.write_bytes(encoded(Image.fromarray(small).resize((48, 48)), "JPEG"))
    return ids


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def broken_files() -> list[bytes]:
    """Return twenty files that no decoder can make an image of."""
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 256, (48, 48, 3), np.uint8))
    jpeg, png = encoded(image, "JPEG"), encoded(image, "PNG")
    gif, bmp, webp, tiff = (encoded(image, kind) for kind in ("GIF", "BMP", "WEBP", "TIFF"))
    cut: list[Callable[[bytes], bytes]] = [
        lambda b: b[: len(b) // 2],
        lambda b: b[:10],
    ]
    return [
        b"",
        b"\0",
        b"not an image\n",
        b"<!DOCTYPE html><html><body>404</body></html>",
        bytes(4096),
        rng.bytes(4096),
        *(shorten(file) for file in (jpeg, png, gif, webp) for shorten in cut),
        bmp[: len(bmp) // 2],
        tiff[: len(tiff) // 2],
        jpeg[2:],
        png.replace(b"IHDR", b"IHDX"),
        png[:60] + bytes([png[60] ^ 255]) + png[61:],
        huge_png(60_000),
    ]


def huge_png(side_px: int) -> bytes:
    """Return a PNG file that says it is enormous and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    main()
