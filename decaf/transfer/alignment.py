"""Subspace alignment: the source's principal axes are turned onto the target's."""

from sklearn.decomposition import PCA

from decaf.transfer.two_domains import TwoDomains
from decaf.types import FloatArray


class SubspaceAlignment(TwoDomains):
    """Subspace alignment: ``X_s P_s P_s' P_t`` against ``X_t P_t``.

    Parameters
    ----------
    n_components : int
        Principal axes of each domain; fewer where there are fewer rows or features.

    References
    ----------
    Fernando, Habrard, Sebban and Tuytelaars, Unsupervised visual domain adaptation using subspace
    alignment, ICCV 2013, algorithm 1.
    """

    def __init__(self, n_components: int = 80) -> None:
        self.n_components = n_components

    def _learn(self, source: FloatArray, target: FloatArray) -> None:
        n = min(self.n_components, source.shape[1], len(source), len(target))
        self._of_source, self._of_target = (
            PCA(n, svd_solver="full").fit(one) for one in (source, target)
        )

    def _source(self, X: FloatArray) -> FloatArray:
        into = self._of_source.components_ @ self._of_target.components_.T
        out: FloatArray = (X - self._of_source.mean_) @ self._of_source.components_.T @ into
        return out

    def _target(self, X: FloatArray) -> FloatArray:
        out: FloatArray = (X - self._of_target.mean_) @ self._of_target.components_.T
        return out
