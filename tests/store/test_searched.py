"""A store answers with paths and labels what is most like an image."""

import numpy as np
import pytest

from decaf.errors import ConfigError, StoreMismatchError
from decaf.records import Search
from decaf.store import FeatureStore, import_features
from decaf.types import ImageDataset

LABELS = [0, 0, 1, 1, 0, 1]
X = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0], [0, 0]], np.float32)


def make_store(path, X=X, ids=None, labels=None, **options):
    labels = np.array(LABELS[: len(X)] if labels is None else labels)
    ids = tuple(ids or (f"{i}.jpg" for i in range(len(X))))
    names = ("cat", "dog") if labels.ndim == 1 else ("=cat", "dog", "cow")
    table = ImageDataset("own", path.parent, ids, labels, names, np.full(len(X), -1))
    features = path.with_suffix(".npy")
    np.save(features, X)
    return import_features(features, table, path, layer="fc7", **options)


@pytest.fixture
def store(tmp_path):
    with FeatureStore(make_store(tmp_path / "own.h5")) as opened:
        yield opened


def test_an_image_is_no_answer_to_itself_and_its_copy_comes_first(store):
    (answer,) = store.search(["0.jpg"], Search(k=3))
    assert store.search("0.jpg", Search(k=3)) == (answer,)
    assert (answer.query, answer.label) == ("0.jpg", "cat")
    assert [(hit.rank, hit.image_id, hit.label, hit.right) for hit in answer.hits] == [
        (1, "4.jpg", "cat", True),
        (2, "1.jpg", "cat", True),
        (3, "3.jpg", "dog", False),
    ]
    np.testing.assert_allclose(answer.hits[2].distance, 1 - 0.1 / np.sqrt(1.01), rtol=1e-6)


def test_features_and_other_stores_ask_too(store, tmp_path):
    (answer,) = store.search(np.array([[0, 2]], np.float32), Search(k=2, metric="l2"))
    assert [(hit.image_id, hit.right) for hit in answer.hits] == [("2.jpg", None), ("3.jpg", None)]
    other = make_store(tmp_path / "other.h5", X[2:4] + 0.001, ids=["a.jpg", "b.jpg"], labels=[1, 0])
    with FeatureStore(other) as asking:
        first, second = store.search(asking, Search(k=1))
    assert (first.query, first.label, first.hits[0].image_id) == ("a.jpg", "dog", "2.jpg")
    assert (second.hits[0].image_id, second.hits[0].right) == ("3.jpg", False)
    assert len(store.search(store, Search(k=1))) == 6


def test_several_labels_agree_where_they_share_one(tmp_path):
    labels = np.array([[1, 1, -1], [-1, 1, -1], [-1, -1, 1]], np.int8)
    with FeatureStore(make_store(tmp_path / "s.h5", X[:3], labels=labels)) as store:
        (answer,) = store.search(["0.jpg"])
    assert [(hit.label, hit.right) for hit in answer.hits] == [("dog", True), ("cow", False)]


def test_a_query_is_expanded_by_its_answers(store):
    rows = X[[1, 0, 4]] / np.linalg.norm(X[[1, 0, 4]], axis=1, keepdims=True)
    mean = rows.mean(0)
    (answer,) = store.search(["1.jpg"], Search(k=2, expand=2))
    assert [hit.image_id for hit in answer.hits] == ["0.jpg", "4.jpg"]
    expected = 1 - mean[0] / np.linalg.norm(mean)
    np.testing.assert_allclose(answer.hits[0].distance, expected, rtol=1e-4)


def test_rows_are_augmented_by_their_neighbours(store):
    (answer,) = store.search(np.array([[1.0, 0]], np.float32), Search(k=1, augment=1))
    assert (answer.hits[0].image_id, answer.hits[0].distance) == ("0.jpg", 0)  # with 4.jpg, alike
    with pytest.raises(ConfigError, match="use cosine"):
        store.search(["0.jpg"], Search(augment=1, metric="l2"))


def test_failed_images_neither_ask_nor_answer(tmp_path):
    damaged = X.copy()
    damaged[4] = np.nan
    with FeatureStore(make_store(tmp_path / "s.h5", damaged)) as store:
        (answer,) = store.search(["0.jpg"])
        assert "4.jpg" not in {hit.image_id for hit in answer.hits}
        with pytest.raises(ConfigError, match=r"'4.jpg', which failed"):
            store.search(["4.jpg"])


def test_what_is_not_there_is_refused(store, tmp_path):
    with pytest.raises(ConfigError, match="no such id among 6"):
        store.search(["9.jpg"])
    with pytest.raises(ConfigError, match="unknown layer 'fc6'"):
        store.search(["0.jpg"], Search(layer="fc6"))
    wide = make_store(tmp_path / "wide.h5", np.ones((3, 5), np.float32))
    with FeatureStore(wide) as other, pytest.raises(StoreMismatchError, match="no such layer of"):
        store.search(other)
