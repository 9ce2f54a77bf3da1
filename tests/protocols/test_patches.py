"""From the probabilities of patches to the scores of images."""

from dataclasses import replace

import numpy as np
import pytest

from decaf.errors import ConfigError
from decaf.protocols import PatchFeatures, patch_features, pool_patches
from decaf.protocols.by_patch import BLOCK_ROWS
from decaf.protocols.rule import PublishedProtocol, Selection
from decaf.rowwise import probabilities
from decaf.types import Split

RULE = PublishedProtocol("p", draw="official", n_splits=1, metric="map_area",
                         selection=Selection("holdout", share=0.2), view="patches",
                         background_share=1.0)  # fmt: skip


def test_scores_by_hand():
    """Two images of two and three patches: mean of the fifth powers, then their maximum."""
    y = np.array([[0.5, 0.1], [1.0, 0.2], [0.0, 0.3], [0.2, 0.3], [0.4, 0.9]])
    counts = np.array([2, 3])
    mean = [
        [(0.03125 + 1) / 2, (0.00001 + 0.00032) / 2],
        [(0 + 0.00032 + 0.01024) / 3, (0.00243 + 0.00243 + 0.59049) / 3],
    ]
    np.testing.assert_allclose(pool_patches(y, counts), mean)
    np.testing.assert_allclose(pool_patches(y, counts, power=1)[0], [0.75, 0.15])
    highest = [[1, 0.04], [0.16, 0.81]]
    np.testing.assert_allclose(pool_patches(y, counts, power=2, pool="max"), highest)


def features(n_patches=(2, 1, 3), n_classes=2) -> PatchFeatures:
    ids = [f"{number}.jpg" for number, n in enumerate(n_patches) for _ in range(n)]
    X = np.arange(2.0 * len(ids)).reshape(-1, 2)
    labels = np.arange(len(ids)) % (n_classes + 1)
    return patch_features(X, ids, labels, n_classes, RULE)


def test_images_become_their_patches():
    found = features()
    assert found.starts.tolist() == [0, 2, 3, 6]
    assert found.rows(np.array([0, 2])).tolist() == [0, 1, 3, 4, 5]
    split = Split(np.array([0, 2]), np.array([1]), ((np.array([2]), np.array([0])),), 0)
    of_patches = found.training_split(split)
    assert of_patches.train.tolist() == [0, 1, 3, 4, 5]
    assert [part.tolist() for part in of_patches.inner[0]] == [[3, 4, 5], [0, 1]]
    assert found.classes(np.array([1, 2])).tolist() == [0, 1]


def test_training_thins_the_background_and_leaves_out_what_is_difficult():
    labels = np.random.default_rng(0).integers(0, 4, 4000)  # 2: background, 3: difficult
    ids = [f"{number:04d}.jpg" for number in range(2000) for _ in range(2)]
    found = patch_features(
        np.zeros((4000, 1)), ids, labels, 2, replace(RULE, background_share=0.25)
    )
    images = np.arange(1500)
    splits = [Split(images, images[:0], ((images[:1000], images[1000:]),), seed) for seed in (0, 1)]
    of_patches, other = map(found.training_split, splits)
    shown = labels[of_patches.train]
    assert not (shown == 3).any()
    for number in (0, 1):
        assert (shown == number).sum() == (labels[:3000] == number).sum()
    assert (shown == 2).sum() == pytest.approx(0.25 * (labels[:3000] == 2).sum(), rel=0.15)
    fit, held_out = of_patches.inner[0]
    np.testing.assert_array_equal(np.concatenate([fit, held_out]), of_patches.train)
    assert not np.array_equal(of_patches.train, other.train)
    again = found.training_split(splits[0])
    np.testing.assert_array_equal(again.train, of_patches.train)
    labels[3000:] = np.random.default_rng(1).permutation(labels[3000:])  # of images that test
    np.testing.assert_array_equal(found.training_split(splits[0]).train, of_patches.train)


def test_scores_do_not_depend_on_blocks_and_leave_the_background_out(monkeypatch):
    found = features((5, 1, 7, 4, 4, 9))
    images = np.array([0, 2, 3, 5])

    def head(X):
        return np.stack([X[:, 0], X[:, 1] ** 1.1, 3 + 0 * X[:, 0]], axis=1) / 10

    whole = found.test_scores(head, images, np.arange(3))
    assert whole.shape == (4, 2)
    for block in (1, 6, 11):
        monkeypatch.setattr("decaf.protocols.by_patch.BLOCK_ROWS", block)
        np.testing.assert_allclose(found.test_scores(head, images, np.arange(3)), whole)
    assert BLOCK_ROWS > 11
    y = probabilities(head(found.train), exclusive=True)
    wanted = (y[6:13, :2] ** 5).mean(0)
    np.testing.assert_allclose(whole[1], wanted)


def test_a_class_that_no_patch_showed_scores_0():
    found = features((2, 3))
    scores = found.test_scores(lambda X: X[:, 0] / 10, np.array([0, 1]), np.array([1, 2]))
    assert (scores[:, 0] == 0).all()
    assert (scores[:, 1] > 0).all()


def test_normalised_features_are_refused():
    with pytest.raises(ConfigError, match="normalisation"):
        patch_features(np.zeros((1, 2)), ["a"], np.zeros(1), 2, replace(RULE, normalize="l2"))
