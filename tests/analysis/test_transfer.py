import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from decaf.analysis.transfer import logme
from decaf.errors import DataError


def best_evidence(X, y):
    """Search for the prior and noise under which y is most likely, in the plain n x n form."""

    def negative(log_variances):
        prior, noise = np.exp(log_variances)
        covariance = prior * X @ X.T + noise * np.eye(len(X))
        return -multivariate_normal.logpdf(y, np.zeros(len(X)), covariance)

    return -minimize(negative, [0.0, 0.0], method="Nelder-Mead", tol=1e-8).fun


@pytest.mark.parametrize("n_features", [3, 60])
def test_it_is_the_largest_evidence_of_a_linear_model(n_features):
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], 12)
    X = rng.normal(size=(36, n_features)) + 1.5 * (np.arange(n_features) == labels[:, None])
    expected = [best_evidence(X, (labels == c).astype(float)) / 36 for c in range(3)]
    np.testing.assert_allclose(logme(X, labels), np.mean(expected), rtol=1e-5)


def test_features_that_tell_nothing_by_hand():
    # y is orthogonal to X, so the best prior is w = 0 and the best noise mean(y^2) = 1/2
    X = np.array([[1.0], [-1], [1], [-1]], np.float32)
    labels = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(logme(X, labels), -(np.log(2 * np.pi * 0.5) + 1) / 2, rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_features_that_fit_exactly_by_hand(scale):
    # X X' is the identity, so only the sum of both variances matters: it is mean(y^2) = 1/2
    found = logme(scale * np.eye(4, 9, dtype=np.float32), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(found, -(np.log(2 * np.pi * 0.5) + 1) / 2, rtol=1e-5)


def test_more_features_than_images_are_no_harm():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 10)
    X = (100 * np.eye(300)[labels] + rng.normal(size=(20, 300))).astype(np.float32)
    expected = [best_evidence(X, (labels == c).astype(float)) / 20 for c in range(2)]
    np.testing.assert_allclose(logme(X, labels), np.mean(expected), rtol=1e-3)


def test_the_layer_that_tells_classes_apart_scores_higher():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    telling = (labels[:, None] + 0.1 * rng.normal(size=(60, 1))).astype(np.float32)
    silent = rng.normal(size=(60, 1)).astype(np.float32)
    assert logme(telling, labels) > logme(silent, labels) + 0.3


def test_several_labels_a_image_are_columns():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 5))
    labels = np.repeat([0, 1], 20)
    matrix = np.where(labels[:, None] == [0, 1], 1, -1)
    np.testing.assert_allclose(logme(X, matrix), logme(X, labels))


@pytest.mark.parametrize(
    ("X", "labels"), [(np.ones((5, 2)), np.zeros(5, int)), (np.zeros((4, 2)), np.arange(4))]
)
def test_what_cannot_be_scored_is_refused(X, labels):
    with pytest.raises(DataError, match="asked for LogME"):
        logme(X, labels)
