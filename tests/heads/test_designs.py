"""Both designs are the same linear map in different coordinates."""

import numpy as np
import pytest
import torch

from decaf.heads.conditioning import nystroem
from decaf.heads.designs import Bias, Gram, Rows, Scaling, blocks, column_moments, inner

CPU = torch.device("cpu")
BIASES = [Bias(free=False, scaling=0.0), Bias(free=False, scaling=2.0), Bias(free=True)]


def _features(n=9, d=14, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(n, d)) + 1)


def _designs(X, bias):
    return [Rows(X, bias, CPU, torch.float64), Gram(X @ X.T, bias)]


def _random(design, m=3, seed=1):
    params = torch.tensor(np.random.default_rng(seed).normal(size=(design.n_params, m)))
    if isinstance(design, Gram) and not design.bias.free:
        params[-1] = 0
    return params


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kind", [0, 1])
def test_adjoint_is_the_transpose_of_forward(bias, kind):
    design = _designs(_features(), bias)[kind]
    P, R = _random(design), torch.tensor(np.random.default_rng(2).normal(size=(9, 3)))
    G = design.adjoint(R)
    np.testing.assert_allclose(
        inner(design, P, G, design.forward(G)), (R * design.forward(P)).sum(0), rtol=1e-10
    )


@pytest.mark.parametrize("bias", BIASES)
def test_gram_coefficients_give_the_scores_and_lengths_of_their_weights(bias):
    X = _features()
    rows, gram = _designs(X, bias)
    P = _random(gram)
    A, intercept = gram.dual(P)
    W = X.T @ A
    np.testing.assert_allclose(X @ W + intercept, gram.forward(P), rtol=1e-9)
    if bias.free:
        b = intercept + rows.mean @ W
        length = (W**2).sum(0) + b**2
    else:
        length = (W**2).sum(0) + (bias.scaling * A.sum(0)) ** 2
    np.testing.assert_allclose(inner(gram, P, P, gram.forward(P)), length, rtol=1e-9)


@pytest.mark.parametrize("bias", BIASES)
def test_scaling_rows_is_scaling_features(bias):
    X = _features(20, 5)
    mean, variance = column_moments(X, CPU, torch.float64)
    scaling = Scaling(mean, variance.rsqrt())
    scaled, plain = (
        Rows(X, bias, CPU, torch.float64, scaling),
        Rows(scaling.apply(X), bias, CPU, torch.float64),
    )
    P = _random(plain)
    R = plain.forward(P)
    np.testing.assert_allclose(scaled.forward(P), R, atol=1e-12)
    np.testing.assert_allclose(scaled.adjoint(R), plain.adjoint(R), atol=1e-12)


@pytest.mark.parametrize("bias", BIASES)
def test_rows_read_in_blocks_are_rows_in_memory(bias, monkeypatch):
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 14 * 8 * 4)
    X = _features()
    whole, parts = (Rows(x, bias, CPU, torch.float64) for x in (X, X.numpy()))
    assert len(list(blocks(X.numpy(), CPU, torch.float64))) == 3
    P = _random(whole)
    R = whole.forward(P)
    np.testing.assert_allclose(parts.forward(P), R, atol=1e-12)
    np.testing.assert_allclose(parts.adjoint(R), whole.adjoint(R), atol=1e-12)


def test_moments_of_blocks_are_numpys(monkeypatch):
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 5 * 4 * 6)
    X = np.random.default_rng(0).normal(5, 2, (40, 5)).astype(np.float32)
    mean, variance = column_moments(X, CPU, torch.float32)
    np.testing.assert_allclose(mean, X.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(variance, X.var(0, dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kind", [0, 1])
def test_the_preconditioner_of_full_rank_inverts_a_constant_curvature(bias, kind):
    X = _features()
    design = _designs(X, bias)[kind]
    r = _random(design)
    if bias.free:
        r[-1] = 0
    z = nystroem(design).solve(r, torch.full((3,), 0.5, dtype=torch.float64))
    product = 0.5 * design.adjoint(design.forward(z))
    if bias.free:
        product[-1] = 0
    difference = z + product - r
    np.testing.assert_allclose(
        inner(design, difference, difference, design.forward(difference)), 0, atol=1e-16
    )


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("size", [1e-6, 1.0])
def test_eigenvalues_are_those_of_the_features_however_small(kind, size):
    X = size * _features(20, 5)
    found = nystroem(_designs(X, Bias(free=True))[kind]).eigenvalues
    wanted = torch.linalg.eigvalsh((X - X.mean(0)).T @ (X - X.mean(0)))
    np.testing.assert_allclose(found.sort().values[-5:], wanted, rtol=1e-6)
