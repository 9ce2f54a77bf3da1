"""What is there is damaged, foreign, hostile, or only not to be read just now."""

import errno
import os
import resource

import h5py
import numpy as np
import pytest

from decaf.errors import StoreError
from decaf.store import FeatureStore, find_store, opening
from decaf.store.damage import DamagedStoreError
from decaf.store.opening import StoreFile


def test_missing_file(tmp_path):
    with pytest.raises(StoreError, match=r"no such file; extract it first"):
        StoreFile(tmp_path / "a.h5")


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all" * 100])
def test_not_hdf5(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(DamagedStoreError, match="no store; give a store"):
        StoreFile(path)


def test_hdf5_that_is_no_store(tmp_path):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    with pytest.raises(DamagedStoreError, match="this decaf did not write"):
        StoreFile(path)


@pytest.mark.parametrize("share", [0.0001, 0.2, 0.5, 0.99])
def test_truncated_store(make, tmp_path, share):
    path = make.store(tmp_path / "a.h5", n_images=200)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DamagedStoreError, match="cut short"):
        StoreFile(path)


@pytest.mark.parametrize(("version", "advice"), [(2, "delete it and extract"), (4, "update decaf")])
def test_another_schema(make, tmp_path, version, advice):
    path = make.store(tmp_path / "a.h5")
    begin = f"decaf store {version}".encode()
    path.write_bytes(path.read_bytes().replace(b"decaf store 3", begin, 1))
    with pytest.raises(StoreError, match=f"version {version} where this decaf knows 3; {advice}"):
        StoreFile(path)


def test_store_that_is_being_written(make, tmp_path):
    with (
        make.writer(tmp_path / "a.h5"),
        pytest.raises(StoreError, match="being written"),
    ):
        FeatureStore(tmp_path / "a.h5.part")


# --- what is not damage is not called damage -----------------------------------------------


def test_a_closed_store_says_so(make, tmp_path):
    with FeatureStore(make.store(tmp_path / "a.h5")) as store:
        layer = store["fc6"]
    for read in (lambda: layer[:2], lambda: store.labels, lambda: store["fc6"][0]):
        with pytest.raises(StoreError, match="it was closed; read it within") as raised:
            read()
        assert "delete" not in str(raised.value)


@pytest.fixture
def refusing(monkeypatch):
    """Let the system refuse to open or to read files, for a reason."""

    def refuse(call, number):
        def raising(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(opening.os, call, raising)

    return refuse


@pytest.mark.parametrize("call", ["open", "pread", "preadv"])
@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EMFILE, errno.ESTALE, errno.EIO, errno.ENOLCK, errno.EPERM]
)
def test_what_the_system_refuses_is_said_and_nothing_is_to_be_deleted(
    make, tmp_path, refusing, call, number
):
    path = make.store(tmp_path / "a.h5")
    refusing(call, number)
    with pytest.raises(StoreError) as raised, FeatureStore(path) as store:
        store["fc6"][:]
    assert os.strerror(number) in str(raised.value)
    assert "delete" not in str(raised.value)
    assert not isinstance(raised.value, DamagedStoreError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ESTALE, errno.EIO])
def test_a_store_that_cannot_be_read_is_not_taken_for_none(make, tmp_path, refusing, number):
    make.store(tmp_path / "a.h5")
    refusing("open", number)
    with pytest.raises(StoreError, match=r"a\.h5, found"):
        find_store(tmp_path, make.provenance())


def test_too_many_open_files(make, tmp_path):
    path = make.store(tmp_path / "a.h5")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, before[1]))
        with pytest.raises(StoreError, match="Too many open files; close other files"):
            held.extend(FeatureStore(path) for _ in range(50))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for store in held:
            store.close()


# --- only what decaf writes is read --------------------------------------------------------


def external(file, path):
    secret = path.with_name("secret")
    secret.write_bytes(b"key" * 100)
    del file["image_ids"]
    file.create_dataset("image_ids", (12,), "S14", external=[(str(secret), 0, 168)])


def virtual_of_itself(file, path):
    layout = h5py.VirtualLayout((12, 5), "f4")
    layout[:] = h5py.VirtualSource(str(path), "features/fc6", (12, 5), "f4")
    del file["features/fc6"]
    file.create_virtual_dataset("features/fc6", layout)


def virtual_of_nothing(file, path):
    layout = h5py.VirtualLayout((12, 5), "f4")
    layout[:] = h5py.VirtualSource(str(path.with_name("none.h5")), "x", (12, 5), "f4")
    del file["features/fc6"]
    file.create_virtual_dataset("features/fc6", layout)


def linked(file, path):
    del file["features/fc6"]
    file["features/fc6"] = h5py.ExternalLink("other.h5", "/features/fc6")


def soft(file, path):
    del file["labels"]
    file["labels"] = h5py.SoftLink("/features/fc6")


def compressed(file, path):
    del file["features/fc6"]
    file.create_dataset("features/fc6", data=np.zeros((12, 5), "f4"), compression="gzip")


def other_dtype(file, path):
    values = file["features/fc6"][:]
    del file["features/fc6"]
    file["features/fc6"] = values.view("u4")


@pytest.mark.parametrize(
    "change",
    [external, virtual_of_itself, virtual_of_nothing, linked, soft, compressed, other_dtype],
)
def test_a_store_with_another_layout_than_decafs_is_refused(make, tmp_path, change):
    path = make.store(tmp_path / "a.h5")
    with h5py.File(path, "r+", locking=False) as file:
        change(file, path)
    with pytest.raises(StoreError):
        FeatureStore(path)


def test_no_byte_of_another_file_is_read_even_where_the_checksums_fit(make, tmp_path, reseal):
    path = make.store(tmp_path / "a.h5")
    for columns in (
        {"image_ids": ["|S14", [12], 10**12]},
        {"image_ids": ["|S14", [12], -5]},
        {"image_ids": ["|S14", [12], 0]},
        {"image_ids": ["|O", [12], 4096]},
        {"features/fc6": ["<f4", [10**9, 5], 4096]},
        {"features/fc6": ["<f4", [-12, 5], 4096]},
        {"done": ["|u1", [12, 7], 4096]},
    ):
        hostile = reseal(path, columns=columns)
        with pytest.raises(StoreError):
            FeatureStore(hostile)
    for shards in ([[0, 12, "a.h5"]], [[0, 12, "hostile.h5"]], [[0, 12, "/etc/passwd"]],
                   [[0, 12, "none.h5"]], [[3, 12, "a.h5"]], [[0, 10**9, "a.h5"]]):  # fmt: skip
        hostile = reseal(path, shards=shards)
        with pytest.raises(StoreError):
            FeatureStore(hostile)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_what_is_no_regular_file_is_refused(tmp_path, make):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(StoreError, match="no such file"):
        FeatureStore(tmp_path / "a.h5")
    assert find_store(tmp_path, make.provenance()) is None
