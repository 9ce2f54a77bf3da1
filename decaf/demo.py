"""The main job on real images that need no network: scikit-learn's digits."""

from pathlib import Path

from decaf.backbones import load_backbone
from decaf.evaluation import evaluate
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
    data_root: str | Path = "data",
    out: str | Path = "results/demo.csv",
    features: str | Path = "features",
    device: str = "auto",
    quiet: bool = False,
) -> ResultTable:
    """Extract decaf-mini's layers of 1 797 handwritten digits and train heads on 5 random splits.

    Five digits of each class are trained on. Beside the weights that come with decaf stand
    random ones, the same net untrained, so that the difference is what transfers.

    Parameters
    ----------
    data_root : str or pathlib.Path
        Folder that the digits are written to, as PNG files.
    out : str or pathlib.Path
        CSV file of the results.
    features : str or pathlib.Path
        Folder of the feature stores.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    quiet : bool
        Print no progress.

    Returns
    -------
    ResultTable
        One row per weights, layer, head and split.
    """
    tables = [
        evaluate(
            "digits",
            backbone=load_backbone("decaf-mini", weights=weights, device=device),
            layers=LAYERS,
            heads=heads,
            train_per_class=SHOTS,
            out=out,
            features=features,
            device=device,
            data_root=data_root,
            quiet=quiet,
        )
        for weights, heads in HEADS.items()
    ]
    return ResultTable(tuple(result for table in tables for result in table.results))
