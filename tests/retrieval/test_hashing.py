"""Spherical hashing keeps what its paper promises."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from decaf.retrieval.exact import nearest
from decaf.retrieval.hashing import (
    SphericalHashing,
    hamming,
    nearest_codes,
    pack_bits,
    spherical_hamming,
)


@pytest.fixture(scope="module")
def clustered():
    """3 000 rows about 60 centres, and 100 more as queries."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 24)) * rng.uniform(0.3, 3, 24)
    X = centres[rng.integers(0, 60, 3100)] + 0.6 * rng.normal(size=(3100, 24))
    return X[:3000].astype(np.float32), X[3000:].astype(np.float32)


@pytest.fixture(scope="module")
def hashing(clustered):
    return SphericalHashing(64).fit(clustered[0])


def test_half_of_the_rows_have_each_bit_and_a_quarter_each_two(clustered, hashing):
    bits = hashing.transform(clustered[0]).astype(float)
    n = len(bits)
    np.testing.assert_allclose(bits.mean(0), 0.5, atol=1 / n)
    overlaps = (bits.T @ bits)[~np.eye(64, dtype=bool)]
    assert hashing.n_rounds_ < 50
    assert overlaps.std() < 0.0375 * n
    assert abs(overlaps.mean() - n / 4) < 0.1 * n / 4


def test_distances_of_codes():
    a, b = (
        pack_bits(np.array([[1, 1, 0, 0]], np.uint8)),
        pack_bits(np.array([[1, 0, 1, 0]], np.uint8)),
    )
    assert hamming(a, b).tolist() == [[2]]
    np.testing.assert_allclose(spherical_hamming(a, b), [[2 / 1.1]])


@pytest.mark.parametrize("n_bits", [1, 63, 64, 65, 200])
def test_packed_codes_count_as_bits_do(n_bits):
    bits = np.random.default_rng(n_bits).integers(0, 2, (30, n_bits)).astype(np.uint8)
    codes = pack_bits(bits)
    assert codes.shape == (30, -(-n_bits // 64))
    np.testing.assert_array_equal(hamming(codes[:4], codes), (bits[:4, None] != bits).sum(2))
    both = (bits[:4, None] & bits).sum(2)
    expected = (bits[:4, None] != bits).sum(2) / (both + 0.1)
    np.testing.assert_allclose(spherical_hamming(codes[:4], codes), expected)
    order = np.argsort(expected, axis=1, kind="stable")
    np.testing.assert_array_equal(nearest_codes(codes[:4], codes, 30), order)
    few = np.take_along_axis(expected, nearest_codes(codes[:4], codes, 5), 1)
    np.testing.assert_allclose(few, np.sort(expected, 1)[:, :5])


def test_the_spherical_distance_finds_more_neighbours_than_the_plain_one(clustered, hashing):
    X, queries = clustered
    true = nearest(queries, X, 20, "l2").rows
    codes, asked = pack_bits(hashing.transform(X)), pack_bits(hashing.transform(queries))
    recall = {
        name: np.mean([np.isin(t, np.argsort(row, kind="stable")[:60]).mean()
                       for t, row in zip(true, measure(asked, codes), strict=True)])
        for name, measure in (("spherical", spherical_hamming), ("plain", hamming))
    }  # fmt: skip
    assert recall["spherical"] > recall["plain"]


def test_equal_seeds_make_equal_codes(clustered):
    X = clustered[0][:300]
    first, second, other = (SphericalHashing(16, seed).fit_transform(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(
    "check", [pytest.param(c, id=getattr(c, "func", c).__name__)
              for _, c in estimator_checks_generator(SphericalHashing(8))]
)  # fmt: skip
def test_it_is_a_transformer_of_scikit_learn(check):
    check(SphericalHashing(8))
