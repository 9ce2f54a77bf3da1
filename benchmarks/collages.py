"""Collages: objects of Caltech-101 pasted on images of clutter, in VOC's layout, boxes known.

python benchmarks/collages.py ASSETS OUT [--n 300]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

CATEGORIES = (
    "airplanes", "Motorbikes", "Faces", "Leopards", "sunflower", "watch", "laptop", "grand_piano",
)  # fmt: skip
SIZE, OBJECT_PX, DIFFICULT = (400, 300), (80, 160), 0.1
MOST_SHARED = 0.15
"""Of an object's box, what an earlier one may cover."""


def write_collages(assets: Path, out: Path, n: int) -> None:
    """Write `n` images: even ones of one half of the objects' images, odd ones of the other."""
    rng = np.random.default_rng(0)
    home = assets / "data" / "caltech101" / "101_ObjectCategories"
    files = {name: sorted((home / name).glob("*.jpg")) for name in CATEGORIES}
    clutter = sorted((home / "BACKGROUND_Google").glob("*.jpg"))
    for folder in ("JPEGImages", "Annotations"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for number in range(n):
        half = slice(number % 2, None, 2)
        with Image.open(_one(clutter[half], rng)) as file:
            image = file.convert("RGB").resize(SIZE)
        items: list[tuple[str, tuple[int, int, int, int]]] = []
        for name in rng.choice(CATEGORIES, rng.integers(1, 4), replace=False).tolist():
            with Image.open(_one(files[name][half], rng)) as file:
                thing = file.convert("RGB")
            factor = rng.integers(*OBJECT_PX, endpoint=True) / max(thing.size)
            thing = thing.resize([max(1, round(factor * side)) for side in thing.size])
            x, y = (int(rng.integers(0, s - t + 1)) for s, t in zip(SIZE, thing.size, strict=True))
            box = (x, y, x + thing.width, y + thing.height)
            if all(_shared(box, other) <= MOST_SHARED for _, other in items):
                image.paste(thing, (x, y))
                items.append((name, box))
        image.save(out / "JPEGImages" / f"{number:06d}.jpg", quality=90)
        text = "".join(_item(name, box, difficult=rng.random() < DIFFICULT) for name, box in items)
        file_name = out / "Annotations" / f"{number:06d}.xml"
        file_name.write_text(f"<annotation>{text}</annotation>", encoding="utf-8")


def _one(files: list[Path], rng: np.random.Generator) -> Path:
    return files[rng.integers(len(files))]


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """Return the intersection's share of the smaller box."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    least = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(0, w) * max(0, h) / least


def _item(name: str, box: tuple[int, int, int, int], *, difficult: bool) -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, *box[2:]), strict=True)
    inner = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
    return (
        f"<object><name>{name}</name><difficult>{difficult:d}</difficult>"
        f"<bndbox>{inner}</bndbox></object>"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=300)
    arguments = parser.parse_args()
    write_collages(arguments.assets, arguments.out, arguments.n)
