"""Daumé's feature augmentation: features that both domains share, and each domain's own."""

import numpy as np

from decaf.transfer.two_domains import TwoDomains
from decaf.types import FloatArray


class FeatureAugmentation(TwoDomains):
    """Feature augmentation: a source row x becomes ``(x, x, 0)``, a target row ``(x, 0, x)``.

    A linear head on it learns weights for both domains and weights for each; labelled rows of both
    must train.

    References
    ----------
    Daumé III, Frustratingly easy domain adaptation, ACL 2007, section 3.
    """

    transductive = False

    def _learn(self, source: FloatArray, target: FloatArray) -> None:
        """Learn nothing."""

    def _source(self, X: FloatArray) -> FloatArray:
        return np.hstack([X, X, np.zeros_like(X)])

    def _target(self, X: FloatArray) -> FloatArray:
        return np.hstack([X, np.zeros_like(X), X])
