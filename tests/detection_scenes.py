"""Small collages in VOC's layout, whose objects differ from their surroundings and each other."""

import numpy as np
from PIL import Image

from decaf.detection_records import Detection
from decaf.records import Compute, Net

NAMES = ("disc", "stripes")


def annotation(*objects):
    """Return VOC's XML of (name, (xmin, ymin, xmax, ymax)[, difficult])."""
    items = []
    for name, box, *difficult in objects:
        edges = "".join(
            f"<{edge}>{value}</{edge}>"
            for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        items.append(
            f"<object><name>{name}</name><difficult>{int(any(difficult))}</difficult>"
            f"<bndbox>{edges}</bndbox></object>"
        )
    return f"<annotation>{''.join(items)}</annotation>"


def paint(kind, side):
    y, x = np.mgrid[:side, :side] - side / 2
    if kind == "disc":
        return np.where((x**2 + y**2 < side**2 / 4)[..., None], (250, 40, 40), (250, 240, 60))
    return np.where((x // 6 % 2 == 0)[..., None], (20, 20, 240), (240, 250, 250))


def write_collages(home, n=16):
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (home / folder).mkdir(parents=True)
    sides = {"train": [], "test": []}
    for number in range(n):
        pixels = rng.integers(90, 140, (120, 160, 3)).astype(np.uint8)
        objects = []
        for place, name in enumerate(NAMES):
            side = int(rng.integers(40, 60))
            x, y = 80 * place + int(rng.integers(0, 80 - side)), int(rng.integers(0, 120 - side))
            pixels[y : y + side, x : x + side] = paint(name, side)
            objects.append((name, (x + 1, y + 1, x + side, y + side), number % 8 == 0))
        Image.fromarray(pixels).save(home / "JPEGImages" / f"{number}.png")
        (home / "Annotations" / f"{number}.xml").write_text(annotation(*objects))
        sides["train" if number < n * 3 // 4 else "test"].append(str(number))
    for side, names in sides.items():
        (home / "ImageSets" / "Main" / f"{side}.txt").write_text("\n".join(names))
    return home


MINI = Net("decaf-mini", layers="pool5")
QUIET = Compute(quiet=True, device="cpu")
SMALL = Detection(max_proposals=150, context_px=6, roi_px=160)
