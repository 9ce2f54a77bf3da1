import h5py
import pytest

from decaf.errors import StoreError
from decaf.store import FeatureStore
from decaf.store.opening import open_store, read_provenance


def test_missing_file(tmp_path):
    with pytest.raises(StoreError, match=r"no such file; extract it first"):
        open_store(tmp_path / "a.h5")


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all" * 100])
def test_not_hdf5(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not HDF5"):
        open_store(path)


def test_hdf5_that_is_no_store(tmp_path):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    with pytest.raises(StoreError, match="schema version None"):
        open_store(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_truncated_store(make, tmp_path, share):
    path = make.store(tmp_path / "a.h5", n_images=200)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(StoreError, match="cut short"):
        open_store(path)


def test_newer_schema(make, tmp_path):
    path = make.store(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 2
    with pytest.raises(StoreError, match=r"version 2 where this decaf knows 1; update"):
        open_store(path)


def test_provenance_that_is_not_the_digests(make, tmp_path):
    path = make.store(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["provenance"] = make.provenance(pooling="avg").to_json()
    with open_store(path) as file, pytest.raises(StoreError, match="digest does not fit"):
        read_provenance(file)


def test_store_that_is_being_written(make, tmp_path):
    with (
        make.writer(tmp_path / "a.h5"),
        pytest.raises(StoreError, match="being written"),
    ):
        FeatureStore(tmp_path / "a.h5.part")
