"""How much do more images help? Accuracy by training images a class, drawn.

The nets agree with many images; with few, pretraining shows.
"""

# %%
import matplotlib.pyplot as plt

import decaf
from decaf import Compute, Net, Overrides, Source

few, quiet = Source(limit=300), Compute(quiet=True)
SHOTS = "1,2,5,10"

# %% The same net, pretrained and not, under the same splits
curves = {}
for weights in ("imagenet", "random"):
    table = decaf.evaluate(
        "digits", Net("decaf-mini", weights=weights, layers="pool5"), heads="svm",
        overrides=Overrides(train_per_class=SHOTS, splits=3), source=few, compute=quiet,
        out=f"results/curve-{weights}.csv",
    )  # fmt: skip
    curves[weights] = table.to_frame()
    print(weights, curves[weights][["shots", "mean", "std"]].to_string(index=False), sep="\n")

# %%
figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
for weights, frame in curves.items():
    axes.errorbar(
        frame["shots"], 100 * frame["mean"], 100 * frame["std"], marker="o", label=weights
    )
axes.set(xlabel="training images a class", ylabel="mean per-class accuracy, %", xscale="log")
axes.legend(title="weights of decaf-mini")
figure.savefig("learning_curve.svg")
