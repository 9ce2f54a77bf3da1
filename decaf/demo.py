"""What transfer is, on real images that need no network: scikit-learn's digits."""

from pathlib import Path

from decaf.evaluation import evaluate
from decaf.records import Compute, Net, Overrides, Source
from decaf.results import ResultTable

SHOTS = (1, 2, 5, 10, 20)
"""Few, as that is where pretrained features help most."""

SPLITS = 20
"""So many that the intervals of the three lie apart."""


def demo(
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path = "results/demo.csv",
) -> ResultTable:
    """Learn 1 797 handwritten digits from 1 to 20 images of each, by three kinds of features.

    They are `pool5` of decaf-mini, which was trained on photographs and comes with decaf; the same
    net with random weights; and bare pixels. The head is the same for all three: logistic
    regression with C = 100 on features of unit length, on 20 random splits. It is one C, as 10
    images leave nothing to choose another by: about what held-out training images of more choose
    for each of the three.

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
        One row per features, number of images and split, and chance.
    """
    return evaluate(
        "digits",
        Net("decaf-mini", layers="pool5"),
        heads="logreg",
        overrides=Overrides(
            train_per_class=SHOTS, splits=SPLITS, normalize="l2", c_grid="100", controls=True
        ),
        source=source,
        compute=compute,
        out=out,
    )
