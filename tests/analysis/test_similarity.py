import numpy as np
import pytest

from decaf.analysis.similarity import cka_matrix, linear_cka
from decaf.errors import DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_cka_by_hand():
    # centred already; |Y'X|^2 = (4)^2 + (0)^2, |X'X| = 4, |Y'Y| = sqrt(16 + 16)
    X = np.array([[1.0], [1], [-1], [-1]])
    Y = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    np.testing.assert_allclose(linear_cka(X, Y), 16 / (4 * np.sqrt(32)))


def test_kornblith_equation_4_with_features_and_with_gram_matrices(rng):
    X, Y = rng.normal(size=(30, 50)), rng.normal(size=(30, 7)) + 1
    Y[:, 0] += X[:, 0]
    Xc, Yc = X - X.mean(0), Y - Y.mean(0)
    norm = np.linalg.norm
    expected = norm(Yc.T @ Xc) ** 2 / (norm(Xc.T @ Xc) * norm(Yc.T @ Yc))
    np.testing.assert_allclose(linear_cka(X, Y), expected)


@pytest.mark.parametrize("debiased", [False, True])
def test_rotation_scale_and_shift_change_nothing(rng, debiased):
    X = rng.normal(size=(40, 6))
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    Y = 3 * X @ rotation + 5
    np.testing.assert_allclose(linear_cka(X, Y, debiased=debiased), 1.0)
    assert linear_cka(X, X * np.geomspace(1, 100, 6), debiased=debiased) < 0.9


def test_few_images_and_many_features_look_alike_unless_debiased(rng):
    X, Y = rng.normal(size=(60, 2000)), rng.normal(size=(60, 2000))
    assert linear_cka(X, Y) > 0.9
    assert abs(linear_cka(X, Y, debiased=True)) < 0.05


def test_the_debiased_dot_product_is_songs_estimate(rng):
    X, Y = rng.normal(size=(12, 3)), rng.normal(size=(12, 4))

    def song(K, L):  # Song et al. 2012, equation 5, term by term
        n, one = len(K), np.ones(len(K))
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
        return (
            np.trace(K @ L)
            + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
            - 2 * (one @ K @ L @ one) / (n - 2)
        ) / (n * (n - 3))

    K, L = X @ X.T, Y @ Y.T
    expected = song(K, L) / np.sqrt(song(K, K) * song(L, L))
    np.testing.assert_allclose(linear_cka(X, Y, debiased=True), expected)


def test_a_constant_layer_is_like_nothing(rng):
    matrix = cka_matrix([np.full((9, 4), 0.1, np.float32), rng.normal(size=(9, 4))])
    assert np.isnan(matrix[0]).all()
    np.testing.assert_allclose(matrix[1, 1], 1)


def test_other_images_are_refused(rng):
    with pytest.raises(DataError, match="8 and 9 images"):
        linear_cka(rng.normal(size=(9, 4)), rng.normal(size=(8, 4)))
