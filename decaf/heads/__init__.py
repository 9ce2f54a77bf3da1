"""Heads: what is trained on frozen features.

Read `estimators` (the linear heads), `solver` (Newton's method for all classes; `conditioning`),
`designs` (where coefficients live) and `losses`; then `select` (the choice of C in a split).
"""

from decaf.heads.adaptation import AdaptationHead
from decaf.heads.chance import CHANCE, RandomScores
from decaf.heads.dropout import DropoutLogisticRegression, DropoutSVM
from decaf.heads.estimators import LinearSVM, LogisticRegression
from decaf.heads.knn import KNN
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

CONTROL_HEADS = {CHANCE: RandomScores}
"""Those that stand beside heads for comparison."""

__all__ = [
    "CHANCE",
    "CONTROL_HEADS",
    "HEADS",
    "FittedSplit",
    "LinearSVM",
    "LogisticRegression",
    "fit_splits",
]
