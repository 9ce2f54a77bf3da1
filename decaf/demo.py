"""The main job on real images that need no network: scikit-learn's digits."""

from pathlib import Path

from decaf.evaluation import evaluate
from decaf.records import Compute, Net, Overrides, Source
from decaf.results import ResultTable

LAYERS = ("pool5", "fc6", "fc7")
HEADS = {
    "imagenet": ("svm", "logreg", "svm-dropout", "logreg-dropout"),
    "random": ("svm", "logreg"),
}
SHOTS = 5
"""Few, as that is where pretrained features help most."""


def demo(
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path = "results/demo.csv",
) -> ResultTable:
    """Extract decaf-mini's layers of 1 797 handwritten digits and train heads on 5 random splits.

    Five digits of each class are trained on. Beside the weights that come with decaf stand
    random ones, the same net untrained, so that the difference is what transfers.

    Parameters
    ----------
    source : Source
        Where the digits are written to, as PNG files, and the stores.
    compute : Compute
        Where and how it runs.
    out : str or pathlib.Path
        CSV file of the results.

    Returns
    -------
    ResultTable
        One row per weights, layer, head and split.
    """
    tables = [
        evaluate(
            "digits",
            Net("decaf-mini", weights=weights, layers=LAYERS),
            heads=heads,
            overrides=Overrides(train_per_class=SHOTS),
            source=source,
            compute=compute,
            out=out,
        )
        for weights, heads in HEADS.items()
    ]
    return ResultTable(tuple(result for table in tables for result in table.results))
