"""Which features, and is it the pretraining? Layers, random weights, pixels in one table.

Put the names of larger nets where decaf-mini stands; several, separated by commas, are read in one
pass over the images.
"""

# %%
from dataclasses import replace
from pathlib import Path

import decaf
from decaf import Compute, Net, Overrides, Source
from decaf.report.markup import markdown_grid
from decaf.report.significance import differences

few, quiet = Source(limit=300), Compute(quiet=True)
rule = Overrides(train_per_class=5, splits=5, normalize="l2", c_grid="100")

# %% Controls are rows of the same table, under the same splits.
table = decaf.evaluate(
    "digits", Net("decaf-mini", layers="pool5"), heads="logreg",
    overrides=replace(rule, controls=True), source=few, compute=quiet, out="results/nets.csv",
)  # fmt: skip
columns = ["backbone", "weights", "layer", "head", "mean", "std"]
print(table.to_frame()[columns].sort_values("mean", ascending=False).to_string(index=False))

# %% Another layer of the same net adds its rows; what is finished is not computed again.
more = decaf.evaluate(
    "digits", Net("decaf-mini", layers="pool5,fc7"), heads="logreg", overrides=rule,
    source=few, compute=quiet, out="results/nets.csv",
)  # fmt: skip
print(more.to_frame()[columns].to_string(index=False))

# %% Is a difference more than the luck of the splits?
print(markdown_grid(differences(more, [Path("results/nets.csv")])))
