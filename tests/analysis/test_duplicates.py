import numpy as np
import pytest

from decaf.analysis.duplicates import duplicate_pairs, equal_files, in_both
from decaf.errors import ConfigError


@pytest.fixture
def images():
    """Six images; 3 is 1 in other brightness with noise, 4 is 2 mirrored, 5 is 0's very file."""
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 255, (8, 8, 3)).astype(np.float32) for _ in range(3)]
    made.append(0.8 * made[1] + 20 + rng.normal(0, 2, made[1].shape).astype(np.float32))
    return [*made, made[2][:, ::-1], made[0]]


@pytest.fixture
def digests():
    numbers = [0, 1, 2, 3, 4, 0]
    return np.array([[number] * 32 for number in numbers], dtype=np.uint8)


ROWS = np.arange(6)
SAME_FEATURES = np.ones((6, 4), np.float32)


def test_equal_files_are_paired_with_the_first(digests):
    digests[3] = 0
    assert equal_files(digests, ROWS) == [(0, 3), (0, 5)]
    assert equal_files(digests, ROWS[1:]) == [(3, 5)]


def test_test_rows_that_train_too(digests):
    assert in_both(digests, np.array([0, 1]), np.array([2, 5])).tolist() == [5]
    assert in_both(digests, np.array([1]), np.array([2, 5])).tolist() == []


def test_near_features_are_duplicates_only_where_the_pixels_agree(images, digests):
    found = duplicate_pairs(SAME_FEATURES, ROWS, digests, images.__getitem__)
    assert [(p.first, p.second, p.kind) for p in found] == [
        (0, 5, "same file"),
        (1, 3, "same image"),
    ]
    assert found[1].agreement > 0.97


def test_mirror_images_are_found_when_asked_for(images, digests):
    found = duplicate_pairs(SAME_FEATURES, ROWS, digests, images.__getitem__, mirrored=True)
    assert [(p.first, p.second) for p in found if p.kind == "mirrored"] == [(2, 4)]


def test_without_images_only_very_near_features_are_listed(digests):
    X = np.eye(6, 4, dtype=np.float32) + 0.01
    X[4] = X[1] * 3
    X[5] = X[2] + X[1]
    (_, near) = duplicate_pairs(X, ROWS, digests)
    assert (near.first, near.second, near.kind) == (1, 4, "near features")
    assert np.isnan(near.agreement)
    np.testing.assert_allclose(near.similarity, 1, rtol=1e-5)


def test_unusable_and_plain_images_are_not_duplicates(images, digests):
    flat = [None, images[1], np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), None, None]
    found = duplicate_pairs(SAME_FEATURES, ROWS, digests, flat.__getitem__)
    assert [p.kind for p in found] == ["same file"]


def test_mirror_images_need_images(digests):
    with pytest.raises(ConfigError, match="give their folder"):
        duplicate_pairs(SAME_FEATURES, ROWS, digests, mirrored=True)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_sets(n, digests):
    assert len(duplicate_pairs(np.ones((n, 3), np.float32), ROWS[:n], digests)) == n // 2
