"""The main job on real pictures that need no network: scikit-learn's digits."""

from pathlib import Path

from decaf.backbones import load_backbone
from decaf.errors import BackboneError
from decaf.evaluation import evaluate
from decaf.progress import log
from decaf.results import ResultTable

LAYERS = ("pool5", "fc6", "fc7")
HEADS = ("svm", "logreg", "svm-dropout", "logreg-dropout")


def demo(
    *,
    data_root: str | Path = "data",
    out: str | Path = "results/demo.csv",
    features: str | Path = "features",
    device: str = "auto",
    quiet: bool = False,
) -> ResultTable:
    """Extract AlexNet's layers of 1 797 handwritten digits and train heads on 5 random splits.

    The weights are ImageNet's where they are in torch's cache or can be fetched; else random
    ones, and the table says so.

    Parameters
    ----------
    data_root : str or pathlib.Path
        Folder that the digits are written to, as PNG files.
    out : str or pathlib.Path
        CSV file of the results.
    features : str or pathlib.Path
        Folder of the feature store.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    quiet : bool
        Print no progress.

    Returns
    -------
    ResultTable
        One row per layer, head and split.
    """
    try:
        net = load_backbone("alexnet", weights="imagenet", device=device)
    except BackboneError as error:
        log(f"{error}\ngoing on with random weights, which show the machinery, not transfer")
        net = load_backbone("alexnet", weights="random", device=device)
    return evaluate(
        "digits",
        backbone=net,
        layers=LAYERS,
        heads=HEADS,
        out=out,
        features=features,
        device=device,
        data_root=data_root,
        quiet=quiet,
    )
