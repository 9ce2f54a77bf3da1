import numpy as np
import pytest
from flat import extract

from decaf.analysis.kernel_curve import even_rows, kernel_curve, kernel_errors
from decaf.errors import DataError
from decaf.store import FeatureStore

CORNERS = np.array([(0, 0), (0, 1), (3, 0), (3, 1)], np.float32)


@pytest.mark.parametrize(
    ("labels", "errors", "score"),
    [([0, 0, 1, 1], [1, 0, 0, 0, 0], 0.8), ([0, 1, 0, 1], [1, 1, 0, 0, 0], 0.6)],
)
def test_four_corners_by_hand(labels, errors, score):
    found = kernel_curve(CORNERS, np.array(labels))
    np.testing.assert_allclose(found.errors, errors, atol=1e-12)
    np.testing.assert_allclose(found.scores, [score])
    assert found.n_rows == 4


def test_it_is_the_residual_of_projections():
    """Worked plainly: least squares on the leading eigenvectors, one d after the other."""
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(20, 3)), np.repeat([0, 1, 2, 3], 5)
    X[:, 0] += labels
    T = np.where(labels[:, None] == range(4), 1.0, -1.0)
    T = (T - T.mean(0)) / (T - T.mean(0)).std()
    squared = ((X[:, None] - X) ** 2).sum(2)
    centre = np.eye(20) - 1 / 20
    expected = np.ones(21)
    for q in (0.1, 0.5, 0.9):
        K = centre @ np.exp(-squared / np.quantile(squared, q)) @ centre
        values, vectors = np.linalg.eigh(K)
        V = vectors[:, np.argsort(-abs(values))]
        for d in range(1, 21):
            fit = V[:, :d] @ np.linalg.lstsq(V[:, :d], T, rcond=None)[0]
            expected[d] = min(expected[d], np.mean((T - fit) ** 2))
    np.testing.assert_allclose(kernel_errors(X, labels), expected, atol=1e-9)


def test_features_that_tell_score_higher_and_chance_is_a_half():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100)
    noise = rng.normal(size=(300, 20))
    telling = kernel_curve(noise + 3 * np.eye(20)[labels], labels, 90)
    silent = kernel_curve(noise, labels, 90)
    assert telling.scores.shape == (5,)
    assert telling.scores.min() > 0.8
    assert 0.4 < silent.scores.mean() < 0.6
    again = kernel_curve(noise, labels, 90)
    assert (again.scores == silent.scores).all()
    assert (kernel_curve(noise, labels, 90, seed=1).scores != silent.scores).any()


def test_rare_classes_are_all_taken():
    labels = np.array([0] * 90 + [1] * 6 + [2] * 4)
    rows = even_rows(labels, 24, np.random.default_rng(0))
    assert np.bincount(labels[rows]).tolist() == [14, 6, 4]
    assert len(set(rows.tolist())) == 24


def test_several_labels_are_columns():
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(12, 4)), np.repeat([0, 1, 2], 4)
    matrix = np.where(labels[:, None] == range(3), 1, -1)
    np.testing.assert_allclose(kernel_errors(X, matrix), kernel_errors(X, labels))


@pytest.mark.parametrize(
    ("X", "labels"), [(np.ones((5, 2)), np.arange(5)), (np.eye(5), np.zeros(5, int))]
)
def test_what_cannot_be_analysed_is_refused(X, labels):
    with pytest.raises(DataError, match="kernel analysis"):
        kernel_errors(X, labels)


@pytest.mark.data
def test_pretrained_features_score_above_random_ones(assets, tmp_path):
    scores = []
    for weights in (str(assets / "weights" / "squeezenet1_1.safetensors"), "random"):
        path = extract(
            assets / "data" / "scene15", backbone="squeezenet1_1", weights=weights, layers="pool5",
            pool="avg", limit=90, device="cpu", out=tmp_path, quiet=True,
        )  # fmt: skip
        with FeatureStore(path) as store:
            scores.append(kernel_curve(store["pool5"][:], store.labels, 60).scores)
    assert scores[0].min() > scores[1].max() + 0.05
