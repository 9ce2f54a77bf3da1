"""Heads: what is trained on frozen features.

Four files, to be read in this order: `estimators` (the linear heads), `solver` (Newton's method for
all classes, with the problem and what holds at each step; its exact steps and its preconditioner
are in `conditioning`), `designs` (where coefficients live) and `losses`. Then `select` (the choice
of C in a split); `adaptation`, `dropout`, `knn` and `ridge` stand each by itself.
"""

from collections import ChainMap
from typing import Any

from decaf.heads.adaptation import AdaptationHead
from decaf.heads.chance import CHANCE, RandomScores
from decaf.heads.dropout import DropoutLogisticRegression, DropoutSVM
from decaf.heads.estimators import LinearSVM, LogisticRegression
from decaf.heads.knn import KNN
from decaf.heads.ridge import RidgeRegression
from decaf.heads.select import FittedSplit, fit_splits

HEADS = {
    "svm": LinearSVM,
    "logreg": LogisticRegression,
    "svm-dropout": DropoutSVM,
    "logreg-dropout": DropoutLogisticRegression,
    "adaptation": AdaptationHead,
    "knn": KNN,
}
"""Every head by its name."""

NUMBER_HEADS = {"ridge": RidgeRegression}
"""Those that learn numbers instead of classes."""

CONTROL_HEADS = {CHANCE: RandomScores}
"""Those that stand beside heads for comparison."""

EVERY_HEAD: ChainMap[str, Any] = ChainMap(HEADS, NUMBER_HEADS, CONTROL_HEADS)
"""All three, seen as one: a head that is added to one of them is found here too."""

__all__ = [
    "CHANCE",
    "CONTROL_HEADS",
    "EVERY_HEAD",
    "HEADS",
    "NUMBER_HEADS",
    "FittedSplit",
    "LinearSVM",
    "LogisticRegression",
    "fit_splits",
]
