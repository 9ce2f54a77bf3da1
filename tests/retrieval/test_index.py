"""An index is of its store, whole, and as exact as was asked."""

import json
from collections import Counter

import numpy as np
import pytest
from kills import KILLED, index_killed
from quick import slow_unless

from decaf.errors import ConfigError, StoreError, StoreMismatchError
from decaf.records import Search
from decaf.retrieval.exact import nearest
from decaf.retrieval.index import Index, add_to_index
from decaf.retrieval.index_files import MANIFEST, index_info
from decaf.retrieval.ranking import intersection
from decaf.store import FeatureStore
from tests.store.test_searched import make_store

KINDS = ["flat", "hnsw", "IVF16,Flat", "PCA12,IVF16,SQ8", "spherical:64"]


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    return (centres[rng.integers(0, 40, 900)] + 0.3 * rng.normal(size=(900, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def paths(clustered, tmp_path_factory):
    """A store, the same with 100 images more among the others, and one of other features."""
    folder = tmp_path_factory.mktemp("stores")
    order = np.random.default_rng(1).permutation(900)
    ids = [f"{number}.jpg" for number in range(900)]
    small = make_store(folder / "small.h5", clustered[:800], ids[:800], np.arange(800) % 2)
    grown = make_store(
        folder / "grown.h5", clustered[order], [ids[i] for i in order], np.arange(900) % 2
    )
    other = make_store(folder / "other.h5", -clustered[:800], ids[:800], np.arange(800) % 2)
    return small, grown, other


@pytest.fixture(scope="module")
def stores(paths):
    opened = [FeatureStore(path) for path in paths]
    yield opened
    for one in opened:
        one.close()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_recall_that_is_stated_is_found_again(kind, metric, stores, clustered, tmp_path):
    store, how = stores[0], Search(metric=metric)
    pytest.importorskip("faiss") if "spherical" not in kind else None
    made = Index.build(store, tmp_path / "index", kind, how=how, recall=0.7)
    opened = Index.open(tmp_path / "index", store)
    queries = clustered[800:]
    found, true = opened.search(queries, 10), nearest(queries, clustered[:800], 10, metric)
    recall = intersection(found.rows, true.rows)
    assert made.manifest["recall"]["10"] >= 0.7
    assert abs(recall - made.manifest["recall"]["10"]) < 0.08
    np.testing.assert_array_equal(found.rows, made.search(queries, 10).rows)
    if kind == "flat":
        assert recall == 1
    same = found.rows == true.rows
    np.testing.assert_allclose(found.distances[same], true.distances[same], atol=1e-12)


def test_the_effort_is_the_least_that_suffices(stores, clustered, tmp_path):
    pytest.importorskip("faiss")
    made = [Index.build(stores[0], tmp_path / str(r), "IVF64,Flat", recall=r) for r in (0.3, 0.99)]
    few, many = (one.manifest["effort"] for one in made)
    assert 1 <= few < many < 64
    with pytest.raises(ConfigError, match=r"asked for a recall of 0\.99, found 0"):
        Index.build(stores[0], tmp_path / "no", "PQ1x3", recall=0.99)
    assert not (tmp_path / "no").exists()
    usual = Index.build(stores[0], tmp_path / "usual", "PQ1x3").manifest
    assert 0 < usual["recall"]["10"] < 0.99
    assert usual["bytes_a_row"] < 16


@pytest.mark.parametrize("kind", ["IVF16,Flat", "spherical:64"])
def test_an_index_grows_with_its_store(kind, stores, clustered, tmp_path):
    pytest.importorskip("faiss") if "spherical" not in kind else None
    small, grown, other = stores
    Index.build(small, tmp_path / "index", kind, recall=0.9)
    with pytest.raises(StoreMismatchError, match="of another store, or of this one before it grew"):
        Index.open(tmp_path / "index", grown)
    with pytest.raises(StoreMismatchError, match=r"made otherwise|lacks the image"):
        add_to_index(tmp_path / "index", other)
    add_to_index(tmp_path / "index", grown)
    index = Index.open(tmp_path / "index", grown)
    assert sorted(index.rows.tolist()) == list(range(900))
    queries = clustered[::7]
    found = index.search(queries, 10)
    true = nearest(queries, grown["fc7"], 10)
    assert intersection(found.rows, true.rows) > 0.85
    assert len(list((tmp_path / "index").glob("code-*"))) == 1
    with pytest.raises(StoreMismatchError, match="of another store"):
        Index.open(tmp_path / "index", small)


def test_growing_keeps_the_recall_that_was_asked(tmp_path):
    pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    tight = np.repeat(rng.normal(size=(20, 8)), 15, axis=0) + 0.01 * rng.normal(size=(300, 8))
    X = np.concatenate([tight, rng.normal(size=(700, 8))]).astype(np.float32)
    ids = [f"{number}.jpg" for number in range(1000)]
    small = make_store(tmp_path / "small.h5", X[:300], ids[:300], np.arange(300) % 2)
    grown = make_store(tmp_path / "grown.h5", X, ids, np.arange(1000) % 2)
    with FeatureStore(small) as store:
        first = Index.build(store, tmp_path / "index", "IVF16,Flat", recall=0.9).manifest
        assert add_to_index(tmp_path / "index", store).manifest == first  # nothing is new
    with FeatureStore(grown) as store:
        index = add_to_index(tmp_path / "index", store)
        assert index.manifest["effort"] > first["effort"]  # cells of scattered rows are larger
        found, true = index.search(X[300:], 10), nearest(X[300:], X, 10)
        recall = index.manifest["recall"]
    assert recall["10"] >= recall["asked"] == 0.9
    assert intersection(found.rows, true.rows) > 0.85


def test_a_store_that_lost_or_renamed_an_image_is_refused(clustered, stores, tmp_path):
    Index.build(stores[0], tmp_path / "index", "spherical:64")
    before = {file: file.read_bytes() for file in (tmp_path / "index").iterdir()}
    ids = [f"{number}.jpg" for number in range(900)]
    for name, kept, named in (("lost", ids[1:], "0.jpg"), ("new", ["new.jpg", *ids[1:]], "0.jpg")):
        X = clustered[900 - len(kept) :]
        path = make_store(tmp_path / f"{name}.h5", X, kept, np.arange(len(X)) % 2)
        with (
            FeatureStore(path) as store,
            pytest.raises(StoreMismatchError, match=f"lacks the image {named} of the index"),
        ):
            add_to_index(tmp_path / "index", store)
    after = {file: file.read_bytes() for file in (tmp_path / "index").iterdir()}
    assert {**before, tmp_path / "index" / "lock": b""} == {
        **after,
        tmp_path / "index" / "lock": b"",
    }


def test_a_store_answers_through_its_index(stores, tmp_path):
    store, folder = stores[0], tmp_path / "index"
    Index.build(store, folder, "spherical:64", recall=0.99)
    exact, found = (store.search(["3.jpg", "5.jpg"], Search(k=5, index=i)) for i in (None, folder))
    assert "3.jpg" not in {hit.image_id for hit in found[0].hits}
    same = Counter(h.image_id for a in exact for h in a.hits) & Counter(
        h.image_id for a in found for h in a.hits
    )
    assert same.total() >= 9
    with pytest.raises(ConfigError, match="asked for metric l2, found cosine in the index"):
        store.search(["3.jpg"], Search(metric="l2", index=folder))
    with pytest.raises(ConfigError, match="leave augment out"):
        store.search(["3.jpg"], Search(augment=2, index=folder))


def test_a_damaged_index_is_refused(stores, tmp_path):
    folder = tmp_path / "index"
    Index.build(stores[0], folder, "spherical:64")
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], whole[:40] + b"\x07" + whole[41:], b""):
            file.write_bytes(damaged)
            with pytest.raises(StoreError, match=r"damaged|found no"):
                Index.open(folder, stores[0])
        file.unlink()
        with pytest.raises(StoreError, match=f"found no {file.name}; build it"):
            index_info(folder)
        file.write_bytes(whole)
    assert index_info(folder)["n_rows"] == 800
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "effort": 1}))
    with pytest.raises(StoreError, match="damaged"):
        index_info(folder)


def test_wrong_options_are_refused(stores, tmp_path):
    pytest.importorskip("faiss")
    for kind in ("IFV16,Flat", ""):
        with pytest.raises(ConfigError, match=f"unknown index '{kind}' for 16 features"):
            Index.build(stores[0], tmp_path / "index", kind)
    with pytest.raises(ConfigError, match="which faiss refuses"):
        Index.build(stores[0], tmp_path / "index", "PCA99,Flat")
    with pytest.raises(ConfigError, match="which faiss refuses"):
        Index.build(stores[0], tmp_path / "index", "IVF4096,Flat")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(ConfigError, match="found it there; delete it first"):
        Index.build(stores[0], tmp_path / "there")


@pytest.mark.parametrize("moment", slow_unless(lambda moment: moment % 10 == 0, range(20)))
def test_a_killed_build_or_growth_leaves_nothing_half(moment, paths, stores, tmp_path):
    small, grown, _ = stores
    folder, growing = tmp_path / "index", moment >= 10
    if growing:
        Index.build(small, folder, "spherical:64")
    status = index_killed(moment % 10, folder, paths[growing], growing=growing)
    assert status in {0, KILLED}
    opened = [store for store in (small, grown) if opens(folder, store)]
    if growing:
        assert len(opened) == 1
        assert opened == [grown] or status == KILLED
    else:
        assert opened == [small] or (status == KILLED and not folder.exists())
        if not opened:
            Index.build(small, folder, "spherical:64")
    add_to_index(folder, grown)
    assert opens(folder, grown)
    assert len(list(folder.iterdir())) == 4  # a file to lock by


def opens(folder, store):
    try:
        found = Index.open(folder, store)
    except (StoreError, StoreMismatchError):
        return False
    assert len(found.rows) == store.n_images
    return True
