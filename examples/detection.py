"""Find objects by features of regions, as R-CNN does: digits on noisy ground, in two classes.

Windows propose regions (`grid`); the extra `detect` brings selective search, which is the default.
"""

# %% Images with boxes: a digit of a random size and place, and its box in a CSV file
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import decaf
from decaf import Applied, Compute, Detection, Net

rng = np.random.default_rng(0)
digits, folder = load_digits(), Path("scenes")
folder.mkdir(exist_ok=True)
lines = ["path,label,x1,y1,x2,y2,split"]
for number in range(24):
    which = number % 2
    shape = digits.images[digits.target == which][number] * 15.9
    side = int(rng.integers(48, 72))
    x, y = rng.integers(0, 128 - side, 2)
    pixels = rng.integers(90, 140, (128, 128), dtype=np.uint8)
    pixels[y : y + side, x : x + side] = Image.fromarray(shape.astype("uint8")).resize((side, side))
    Image.fromarray(pixels).convert("RGB").save(folder / f"{number}.png")
    split = "train" if number < 16 else "test"
    lines.append(f"{number}.png,{which},{x},{y},{x + side},{y + side},{split}")
(folder / "boxes.csv").write_text("\n".join(lines) + "\n")

# %% Train: windows of the training images become features of one pass an image, then SVMs
quiet = Compute(quiet=True)
model = decaf.train_detector(
    "scenes/boxes.csv", Net("decaf-mini", layers="pool5"),
    Detection(proposals="grid", max_proposals=200, route="roi", roi_px=128), compute=quiet,
)  # fmt: skip

# %% Test, by VOC's rule: right from an overlap of 0.5
result = decaf.evaluate_detector(model, "scenes/boxes.csv", compute=quiet)
print(result)

# %% Boxes of an image, and the image with its boxes drawn
found = decaf.detect(model, ["scenes/20.png"], applied=Applied(min_score=0.0), compute=quiet)
print(found.read_text())
