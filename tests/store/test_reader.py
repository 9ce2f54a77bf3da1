import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from decaf.errors import ConfigError
from decaf.store import FeatureStore, FeatureWriter
from decaf.types import ImageDataset


def test_everything_that_was_given_comes_back(make, tmp_path):
    path = make.store(tmp_path / "a.h5")
    dataset = make.dataset()
    with FeatureStore(path) as store:
        assert store.path == path
        assert store.layers == ("fc6", "features.12")
        assert store.provenance == make.provenance()
        assert (store.n_images, store.n_views) == (12, 1)
        assert store.image_ids == dataset.image_ids
        assert store.class_names == dataset.class_names
        np.testing.assert_array_equal(store.labels, dataset.labels, strict=True)
        np.testing.assert_array_equal(store.official, dataset.official, strict=True)
        np.testing.assert_array_equal(store.boxes, dataset.boxes, strict=True)
        assert store.groups == dataset.groups
        np.testing.assert_array_equal(store.image_sizes_px, [[i + 1, 2 * i + 1] for i in range(12)])
        np.testing.assert_array_equal(store.done, np.ones(12, bool), strict=True)
        assert [row.tobytes() for row in store.image_sha256] == make.sha256(range(12))
        for layer, features in make.features(range(12)).items():
            np.testing.assert_array_equal(store[layer][:], features, strict=True)


def test_several_views_and_a_plain_path(make, tmp_path):
    path = make.store(tmp_path / "a.h5", n_views=3)
    with FeatureStore(str(path)) as store:
        assert store.n_views == 3
        assert store["fc6"].shape == (12, 3, 5)


def test_what_the_data_set_lacks_is_none(make, tmp_path):
    dataset = make.dataset(official=None, boxes=None, groups=None)
    path = tmp_path / "a.h5"
    FeatureWriter(path, make.provenance(), dataset, make.n_features).close()
    with FeatureStore(f"{path}.part") as store:
        assert store.official is None
        assert store.boxes is None
        assert store.groups is None
        assert not store.done.any()


def test_unknown_layer_names_those_there(make, tmp_path):
    with (
        FeatureStore(make.store(tmp_path / "a.h5")) as store,
        pytest.raises(ConfigError, match=r"unknown layer 'fc9' .* choose one of: fc6, features.12"),
    ):
        store["fc9"]


def test_plain_h5py_reads_the_file(make, tmp_path):
    path = make.store(tmp_path / "a.h5")
    with h5py.File(path) as file:
        features = make.features(range(12))
        np.testing.assert_array_equal(file["features/fc6"][:], features["fc6"])
        np.testing.assert_array_equal(
            file["features"]["features.12"][3:5], features["features.12"][3:5]
        )
        assert file["image_ids"].asstr()[3] == "tööl/3.jpg"
        assert file["class_names"].asstr()[:].tolist() == ["ball", "doll", "tööl"]
        assert file["done"][:].all()
        assert file.attrs["digest"] == make.provenance().digest()


def test_two_readers_at_once(make, tmp_path):
    path = make.store(tmp_path / "a.h5")
    with FeatureStore(path) as one, FeatureStore(path) as other:
        np.testing.assert_array_equal(one["fc6"][:], other["fc6"][:])


@given(data=st.data(), n_images=st.integers(1, 9), n_views=st.integers(1, 3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(make, tmp_path_factory, data, n_images, n_views):
    dtype = data.draw(st.sampled_from(["float32", "float16"]))
    names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
    ids = data.draw(st.lists(names, min_size=n_images, max_size=n_images))
    labels = data.draw(npst.arrays("i1", (n_images, 2), elements=st.integers(-1, 1)))
    finite = npst.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
    shape = (n_images, 4) if n_views == 1 else (n_images, n_views, 4)
    features = data.draw(npst.arrays(dtype, shape, elements=finite))
    order = data.draw(st.permutations(range(n_images)))
    cut = data.draw(st.integers(0, n_images))

    path = tmp_path_factory.mktemp("round") / "a.h5"
    provenance = make.provenance(n_images=n_images, layers=("fc6",), dtype=dtype)
    dataset = ImageDataset("toys", path.parent, tuple(ids), labels, ("a", "b"), labels[:, 0])
    with FeatureWriter(path, provenance, dataset, {"fc6": 4}, n_views) as writer:
        for rows in (order[:cut], order[cut:]):
            writer.write(np.array(rows, int), {"fc6": features[rows]}, make.sha256(rows))
        writer.finish()
    with FeatureStore(path) as store:
        np.testing.assert_array_equal(store["fc6"][:], features, strict=True)
        np.testing.assert_array_equal(store.labels, labels, strict=True)
        assert store.image_ids == tuple(ids)
        assert [row.tobytes() for row in store.image_sha256] == make.sha256(range(n_images))
