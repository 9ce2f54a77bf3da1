"""Heads: what is trained on frozen features."""

from decaf.heads.adaptation import AdaptationHead
from decaf.heads.dropout import DropoutLogisticRegression, DropoutSVM
from decaf.heads.knn import KNN
from decaf.heads.logistic import LogisticRegression
from decaf.heads.select import FittedSplit, fit_splits
from decaf.heads.svm import LinearSVM

HEADS = {
    "svm": LinearSVM,
    "logreg": LogisticRegression,
    "svm-dropout": DropoutSVM,
    "logreg-dropout": DropoutLogisticRegression,
    "adaptation": AdaptationHead,
    "knn": KNN,
}
"""Every head by its name."""

__all__ = ["HEADS", "FittedSplit", "fit_splits"]
