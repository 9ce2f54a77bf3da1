"""DeCAF's Caltech-101 table.

Paper    : Donahue et al., DeCAF, arXiv 1310.1531 (ICML 2014), section 4.1, figure 4 left
Expected : mean per-class accuracy at 30 training pictures a class, mean ± deviation of 5 splits

           |                  | DeCAF5     | DeCAF6     | DeCAF7     |
           | LogReg           | 63.3 ± 6.6 | 84.3 ± 1.6 | 84.9 ± 0.6 |
           | LogReg + dropout |            | 86.1 ± 0.8 | 85.7 ± 0.6 |
           | SVM              | 77.1 ± 1.1 | 84.8 ± 1.2 | 83.2 ± 1.2 |
           | SVM + dropout    |            | 86.9 ± 0.7 | 85.5 ± 0.9 |

Net      : torchvision's AlexNet, which is not DeCAF's (one tower, no response normalisation)
Data     : Caltech-101 below DATA_ROOT (131 MB, fetched where there is a network)
Minutes  : about 10 on 2 cores

    python pipelines/decaf_table1_caltech101.py [--data-root data] [--out results/decaf_table1.csv]

With ``--curve`` it draws figure 4 right instead: 1 to 30 training pictures a class on fc6.
"""

import argparse
from pathlib import Path

from rich.console import Console

import decaf
from decaf.report.terminal import terminal_table

SHOTS = (1, 3, 5, 10, 15, 20, 25, 30)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, evaluate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("results/decaf_table1.csv"))
    parser.add_argument("--backbone", default="alexnet")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--layers", default="pool5,fc6,fc7")
    parser.add_argument("--pool", default="none")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--allow-partial", action="store_true")
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--curve", action="store_true")
    given = parser.parse_args(arguments)
    table = decaf.evaluate(
        "caltech101",
        protocol="decaf",
        backbone=given.backbone,
        weights=given.weights,
        layers="fc6" if given.curve and given.layers == "pool5,fc6,fc7" else given.layers,
        pool=given.pool,
        heads=("logreg-dropout", "svm-dropout")
        if given.curve
        else ("logreg", "logreg-dropout", "svm", "svm-dropout"),
        train_per_class=SHOTS if given.curve else None,
        splits=given.splits,
        data_root=given.data_root,
        allow_partial=given.allow_partial,
        features=given.features,
        out=given.out,
    )
    Console().print(terminal_table(table, given.out))


if __name__ == "__main__":
    main()
