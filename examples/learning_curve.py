"""How much do more images help, and pretraining? Accuracy by training images a class, drawn.

Features of unit length and one large C suit few images, of which none is left to choose C by.
"""

# %%
import matplotlib.pyplot as plt

import decaf
from decaf import Compute, Net, Overrides, Source

rule = Overrides(
    train_per_class="1,5,15", splits=3, normalize="l2", c_grid="100", controls=True
)  # fmt: skip

# %% A pretrained net, the same net untrained, bare pixels and chance, under the same splits
table = decaf.evaluate(
    "digits", Net("decaf-mini", layers="pool5"), heads="logreg", overrides=rule,
    source=Source(limit=300), compute=Compute(quiet=True), out="results/curve.csv",
)  # fmt: skip
frame = table.to_frame()
print(frame[["backbone", "weights", "head", "shots", "mean", "std"]].to_string(index=False))

# %%
figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
for names, curve in frame.groupby(["backbone", "weights", "head"]):
    mean, deviation = 100 * curve["mean"], 100 * curve["std"]
    axes.errorbar(curve["shots"], mean, deviation, marker="o", label=", ".join(names))
axes.set(xlabel="training images a class", ylabel="mean per-class accuracy, %", xscale="log")
axes.legend()
figure.savefig("learning_curve.svg")
