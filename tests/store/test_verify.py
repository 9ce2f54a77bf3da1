import json

import h5py
import pytest

from decaf.errors import StoreError
from decaf.store import FeatureStore, store_info, verify


@pytest.fixture
def failed_store(make, tmp_path):
    """Return a complete store in which row 3 failed."""
    with make.writer(tmp_path / "a.h5", 5) as writer:
        writer.fail(3, "truncated")
        rows = writer.pending()
        writer.write(rows, make.features(rows), make.sha256(rows))
        return writer.finish()


def extents(path):
    """Return the first byte and the size of each dataset."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = (item.id.get_offset(), item.id.get_storage_size())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_a_sound_store_has_no_problems(make, tmp_path, failed_store):
    assert verify(failed_store) == []
    assert verify(make.store(tmp_path / "b.h5", n_views=2, dtype="float16")) == []


def test_a_flipped_bit_in_any_byte_of_any_dataset_is_found(failed_store, flip):
    regions = extents(failed_store)
    assert len(regions) == 16
    for name, (start, size) in regions.items():
        for offset in range(start, start + size):
            flip(failed_store, offset)
            assert verify(failed_store), f"byte {offset - start} of {name}"
            flip(failed_store, offset)
    assert verify(failed_store) == []


@pytest.mark.parametrize("name", ["provenance", "digest", "table_crc32", "schema_version"])
def test_a_changed_attribute_is_found(failed_store, name):
    with h5py.File(failed_store, "r+") as file:
        value = file.attrs[name]
        changed = value.replace("5", "6") if isinstance(value, str) else value + 1
        file.attrs.modify(name, changed)
        assert file.attrs[name] != value
    assert len(verify(failed_store)) == 1


def test_the_problem_names_the_dataset_and_the_rows(make, tmp_path, flip):
    path = make.store(tmp_path / "a.h5", 50)
    start, _ = extents(path)["features/fc6"]
    for row in (2, 30):
        flip(path, start + row * 5 * 4)
    assert verify(path) == [
        "features/fc6 and crc32/fc6 disagree in 2 rows: 2 (tööl/2.jpg), 30 (tööl/30.jpg)"
    ]
    for row in range(10, 20):
        flip(path, start + row * 5 * 4)
    (problem,) = verify(path)
    assert "12 rows" in problem
    assert problem.endswith("13 (tööl/13.jpg), ...")


def test_pending_rows_of_an_unfinished_store_are_no_problem(make, tmp_path, flip):
    with make.writer(tmp_path / "a.h5") as writer:
        writer.write([1, 2], make.features([1, 2]), make.sha256([1, 2]))
        writer.fail(5, "truncated")
    part = tmp_path / "a.h5.part"
    assert verify(part) == []
    flip(part, extents(part)["features/fc6"][0] + 5 * 4)
    assert len(verify(part)) == 1


def test_a_part_that_was_only_renamed_is_not_sound(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        writer.write([1, 2], make.features([1, 2]), make.sha256([1, 2]))
    (tmp_path / "a.h5.part").rename(tmp_path / "a.h5")
    assert "10 rows" in " ".join(verify(tmp_path / "a.h5"))


def test_what_cannot_be_opened_is_a_problem(tmp_path):
    (tmp_path / "a.h5").write_text("not a store")
    assert len(verify(tmp_path / "a.h5")) == 1
    assert len(verify(tmp_path / "none.h5")) == 1


def test_info(failed_store):
    info = store_info(failed_store)
    assert info["layers"] == {
        "fc6": {"shape": (5, 5), "dtype": "float32"},
        "features.12": {"shape": (5, 3), "dtype": "float32"},
    }
    assert (info["n_images"], info["n_done"], info["n_views"]) == (5, 4, 1)
    assert info["complete"]
    with FeatureStore(failed_store) as store:
        assert info["digest"] == store.digest
    assert info["provenance"]["versions"] == {"torch": "2.10", "pillow": "11.0"}
    assert info["size_bytes"] == failed_store.stat().st_size
    json.dumps(info)


def test_info_of_an_unfinished_store(make, tmp_path):
    make.writer(tmp_path / "a.h5").close()
    info = store_info(tmp_path / "a.h5.part")
    assert (info["complete"], info["n_done"]) == (False, 0)
    with pytest.raises(StoreError, match="no such file"):
        store_info(tmp_path / "a.h5")
