import numpy as np
import pytest

from decaf.analysis.statistics import (
    effective_rank,
    layer_statistics,
    rms_correlation,
    sparseness,
)


@pytest.mark.parametrize("shape", [(3, 9), (9, 3)])
def test_equal_singular_values_have_full_effective_rank(shape):
    X = np.zeros(shape)
    np.fill_diagonal(X, 5.0)
    np.testing.assert_allclose(effective_rank(X), 3.0)


def test_effective_rank_by_hand():
    # singular values 3 and 1: shares 3/4 and 1/4, so (4/3)^(3/4) * 4^(1/4) = 1.7547653...
    X = np.diag([3.0, -1.0, 0.0])
    np.testing.assert_allclose(effective_rank(X), (4 / 3) ** 0.75 * 4**0.25)
    np.testing.assert_allclose(effective_rank(X), 1.754765350)


def test_one_direction_has_effective_rank_one_and_nothing_has_zero():
    line = np.outer(np.arange(1.0, 41), np.linspace(-1, 2, 30))
    np.testing.assert_allclose(effective_rank(line), 1.0, rtol=1e-4)
    assert effective_rank(np.zeros((4, 5))) == 0.0


@pytest.mark.parametrize(
    ("row", "value"),
    [([2.0, 2, 2, 2], 0), ([0.0, 0, 0, 7], 1), ([1.0, 3, 0, 0], (1 - 16 / 40) / 0.75)],
)
def test_sparseness_by_hand(row, value):
    np.testing.assert_allclose(sparseness(np.array([row])), [value], atol=1e-12)


def test_a_silent_row_has_no_sparseness():
    assert np.isnan(sparseness(np.zeros((1, 4)))).all()


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_rms_correlation_is_that_of_numpy(shape):
    X = np.random.default_rng(0).normal(size=shape) + 3
    off = np.corrcoef(X.T)[~np.eye(shape[1], dtype=bool)]
    np.testing.assert_allclose(rms_correlation(X), np.sqrt(np.mean(off**2)))


def test_units_that_never_change_do_not_correlate():
    x = np.arange(6.0)
    constant = np.full(6, 0.1)
    np.testing.assert_allclose(rms_correlation(np.stack([x, constant, -x], axis=1)), 1.0)
    assert np.isnan(rms_correlation(np.stack([x, constant], axis=1)))


def test_the_figures_of_a_small_layer():
    X = np.array([[3.0, 0, 4, 0], [0, 0, 5, 0], [1, 0, 0, 0]], dtype=np.float32)
    found = layer_statistics(X)
    assert (found.n_images, found.n_features) == (3, 4)
    np.testing.assert_allclose(found.zeros, 8 / 12)
    np.testing.assert_allclose(found.dead, 2 / 4)
    np.testing.assert_allclose(found.mean, 13 / 12)
    np.testing.assert_allclose(found.variance, np.mean(X.var(axis=0)))
    np.testing.assert_allclose(found.norm_mean, (5 + 5 + 1) / 3)
    np.testing.assert_allclose(found.lifetime_sparseness, np.mean(sparseness(X.T[[0, 2]])))
    np.testing.assert_allclose(found.population_sparseness, np.mean(sparseness(X)))
