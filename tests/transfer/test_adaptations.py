"""The adaptations against hand-worked cases, against skada, and against a leak."""

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from flat import evaluate
from quick import slow_unless
from sklearn.base import clone
from sklearn.svm import LinearSVC

from decaf.errors import ConfigError
from decaf.protocols import PROTOCOLS
from decaf.results.files import find_scores
from decaf.store import import_features
from decaf.transfer import (
    ADAPTATIONS,
    Coral,
    FeatureAugmentation,
    SubspaceAlignment,
    refuse_unadaptable,
)
from decaf.types import ImageDataset

with warnings.catch_warnings():  # what it imports is careless of backslashes
    warnings.simplefilter("ignore")
    from skada import CORALAdapter, SubspaceAlignmentAdapter

RNG = np.random.default_rng(0)


def two_domains(n=60, d=8):
    source = RNG.normal(size=(n, d)) @ RNG.normal(size=(d, d)) + 3
    target = RNG.normal(size=(n + 7, d)) @ RNG.normal(size=(d, d)) - 1
    return np.concatenate([source, target]), np.arange(2 * n + 7) >= n


def test_coral_on_four_corners_and_a_box():
    corners = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    X = np.concatenate([corners, corners * [2, 0.5]])
    target = np.arange(8) > 3
    found = Coral(standardize=False).fit(X, target=target).transform(X, target=target)
    np.testing.assert_allclose(found[:4], corners * [1.647509, 0.755929], atol=1e-6)
    np.testing.assert_allclose(found[4:], X[4:])


def test_coral_is_skadas_where_its_ridge_is_as_small():
    """Skada shrinks towards a scaled identity, decaf adds one: on large values both vanish."""
    X, target = two_domains()
    X = X * 1e4
    domain = np.where(target, -2, 1)
    theirs = CORALAdapter(reg=1e-12).fit_transform(X, sample_domain=domain)
    n_source, n_target = np.bincount(target)  # skada divides a covariance by n, decaf by n - 1
    theirs = theirs * ((1 - 1 / n_source) / (1 - 1 / n_target)) ** 0.5
    ours = Coral(standardize=False).fit(X, target=target)
    shift = X[target].mean(axis=0)  # skada centres source rows only where it is told to
    found = ours.transform(X, target=target)
    scale = np.abs(found).max()
    np.testing.assert_allclose(
        found[~target] - found[~target].mean(0),
        theirs[~target] - theirs[~target].mean(0),
        atol=1e-5 * scale,
    )
    np.testing.assert_allclose(np.cov(found[~target].T), np.cov(X[target].T), rtol=1e-3)
    assert np.abs(found[target].mean(0)).max() < 1e-6 * np.abs(shift).max()


def test_subspace_alignment_is_skadas():
    X, target = two_domains()
    domain = np.where(target, -2, 1)
    theirs = SubspaceAlignmentAdapter(n_components=5, random_state=0)
    theirs.fit(X, sample_domain=domain)
    expected = theirs.transform(X, sample_domain=domain, allow_source=True)
    found = SubspaceAlignment(5).fit(X, target=target).transform(X, target=target)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-8)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-8)


def test_augmentation_of_one_domain_is_a_plain_head_with_twice_the_c():
    X, target = two_domains()
    y = (RNG.random(len(X)) > 0.5).astype(int)
    made = FeatureAugmentation().fit(X, target=target).transform(X, target=target)
    kernel = np.where(target[:, None] == target, 2, 1) * (X @ X.T)
    np.testing.assert_allclose(made @ made.T, kernel)
    head = LinearSVC(C=0.01, fit_intercept=False, tol=1e-10, max_iter=100_000)
    alone = clone(head).fit(made[target], y[target]).decision_function(made[target])
    plain = clone(head).set_params(C=0.02).fit(X[target], y[target])
    np.testing.assert_allclose(alone, plain.decision_function(X[target]), atol=1e-6)


@pytest.mark.parametrize("name", ADAPTATIONS)
def test_rows_are_transformed_one_by_one_and_one_domain_is_refused(name):
    X, target = two_domains()
    model = ADAPTATIONS[name]()
    whole = model.fit(X, target=target).transform(X, target=target)
    assert len(clone(model).get_params()) == len(model.get_params())
    some = [3, 70, 5, 99]
    np.testing.assert_allclose(model.transform(X[some], target=target[some]), whole[some])
    np.testing.assert_allclose(model.transform(X[:9], target=target[:9]), whole[:9])
    with pytest.raises(ValueError, match="give both domains"):
        model.fit(X, target=np.ones(len(X), bool))
    with pytest.raises(ValueError, match="a mask of shape"):
        model.fit(X, target=target[1:])


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Make a store of 2 x 60 images whose features tell the class, shifted in the second domain."""
    rng = np.random.default_rng(1)
    labels = np.tile(np.repeat(np.arange(3), 20), 2)
    X = rng.normal(size=(120, 12)).astype(np.float32)
    X[np.arange(120), labels] += 3
    X[60:] = X[60:] * 2 + 1
    root = tmp_path_factory.mktemp("pets")
    np.save(root / "X.npy", X)
    domains = ("photo",) * 60 + ("sketch",) * 60
    ids = tuple(f"{domain}/{i}.jpg" for i, domain in enumerate(domains))
    names = ("cat", "dog", "owl")

    def store(out, name, labels=labels):
        table = ImageDataset("pets", root, ids, labels, names, np.full(120, 9), domains=domains)
        return import_features(root / "X.npy", table, out / f"{name}.h5")

    return store, labels


def learned(store, folder, **options):
    """Return what was learned of each row: C, objective and the number of images in each class."""
    table = evaluate(
        store, domains="photo:sketch", device="cpu", quiet=True, out=folder / "r.csv", **options
    )
    said = {}
    for r in table:
        given = Counter()
        for _, predicted, n, _ in r.confusion:
            given[predicted] += n
        said[r.train_on, r.adapt, r.split] = (r.C, r.objective, given)
    return said, table


@pytest.mark.parametrize(
    "protocol", slow_unless("office-full".__eq__, ["office-sampled", "office-full"])
)
def test_labels_of_test_images_change_nothing(pets, tmp_path, protocol):
    """The split is kept in a file, as a rule draws by class; then the target's labels are mixed."""
    store, labels = pets
    options = {"protocol": protocol, "adapt": "none,coral,sa", "splits_file": tmp_path / "s.json"}
    rng = np.random.default_rng(2)
    mixed = {}
    for name, rows in (("target", np.arange(60, 120)), ("source", np.arange(60))):
        mixed[name] = labels.copy()
        mixed[name][rows] = rng.permutation(labels[rows])
    one, table = learned(store(tmp_path, "one"), tmp_path / "one", **options)
    other, _ = learned(store(tmp_path, "target", mixed["target"]), tmp_path / "target", **options)
    from_source = {key for key in one if key[0] == "S"}
    assert {adapt for _, adapt, _ in from_source} == {"none", "coral", "sa"}
    assert all(one[key] == other[key] for key in from_source)
    if protocol == "office-sampled":  # labelled target images do train T and ST
        assert all(one[key] != other[key] for key in one.keys() - from_source)
    third, _ = learned(store(tmp_path, "source", mixed["source"]), tmp_path / "source", **options)
    assert all(one[key] != third[key] for key in from_source)
    for r in table:
        assert any("read the test images" in n for n in r.notes) == (r.adapt in {"coral", "sa"})


def test_adapted_features_help_where_a_domain_is_scaled_and_shifted(pets, tmp_path):
    store, _ = pets
    _, table = learned(
        store(tmp_path, "help"), tmp_path, protocol="office-full", adapt="none,coral,sa"
    )
    plain, coral, _ = table
    assert (plain.adapt, coral.adapt) == ("none", "coral")
    assert len({r.key for r in table}) == 3
    assert coral.value > plain.value
    again = evaluate(
        store(tmp_path, "help2"), protocol="office-full", domains="sketch:photo", adapt="coral",
        device="cpu", quiet=True, out=tmp_path / "r.csv",
    )  # fmt: skip
    assert again.results[0].key != coral.key


def test_scores_that_are_kept_and_probabilities_are_of_adapted_features(pets, tmp_path):
    store, _ = pets
    options = {"protocol": "office-sampled", "train_on": "ST", "splits": 1, "keep_scores": True}
    _, table = learned(
        store(tmp_path, "kept"), tmp_path, adapt="none,daume", metrics="log-loss", **options
    )
    plain, twice = (find_scores([tmp_path / "r.csv"], r) for r in table)
    for r, kept in zip(table, (plain, twice), strict=True):
        assert kept.facts["adapt"] == r.adapt
        assert kept.measure("log_loss") == dict(r.more)["log_loss"] > 0
    assert (plain.scores != twice.scores).any()
    assert (plain.probabilities != twice.probabilities).any()


def test_what_cannot_be_adapted_is_refused_before_the_work(pets, tmp_path):
    store, _ = pets
    options = {"protocol": "office-full", "out": tmp_path / "r.csv"}
    with pytest.raises(ConfigError, match="give SOURCE:TARGET"):
        evaluate(store(tmp_path, "no"), **options)
    with pytest.raises(ConfigError, match="asked to adapt features by sa, which the head finetune"):
        refuse_unadaptable(
            ["finetune"], [replace(PROTOCOLS["office31"]["office-full"], adapt="sa")]
        )
