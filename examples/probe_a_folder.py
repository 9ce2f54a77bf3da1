"""From a folder of class folders to a table, a page and a classifier.

Percent format: editors that know it show the cells one by one. It runs in seconds by
`python examples/probe_a_folder.py`, and writes into the working folder.
"""

# %% A folder of your own goes here. The digits are written as one: data/digits/<digit>/*.png
from pathlib import Path

import decaf
from decaf import Compute, Net, Overrides, Source
from decaf.records import Images
from decaf.report.one_page import write_report

folder = decaf.load_dataset("digits").root
few, quiet = Source(limit=120), Compute(quiet=True)

# %% Features, once. A rerun finds them.
net = Net("decaf-mini", layers="pool5")
store = decaf.extract(folder, net, source=few, compute=quiet)
with decaf.FeatureStore(store) as opened:
    X, y = opened.to_numpy("pool5")
    print(X.shape, opened.class_names)

# %% How well do linear heads do? Five images of each class train, three times.
table = decaf.evaluate(
    store, heads="svm,knn", overrides=Overrides(train_per_class=5, splits=3), compute=quiet
)
print(table.to_frame()[["layer", "head", "mean", "std", "ci95_low", "ci95_high"]])

# %% One page for the browser
print(write_report([Path("results/digits.csv")], out="report.html", images=Images(folder)))

# %% A classifier to keep, and what it says of three images
model = decaf.train(store, head="svm", compute=quiet)
some = sorted(folder.glob("7/*.png"))[:3]
print(decaf.predict(model, some, compute=quiet).read_text())
