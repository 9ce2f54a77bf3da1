"""Damage anywhere in a store is found when it is read, and nothing else comes of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from decaf.errors import StoreError
from decaf.store import FeatureStore, join, verify
from decaf.store.header import is_of_rows
from decaf.store.opening import read_header

N_FLIPS = 800


def everything(path: Path) -> dict[str, object]:
    """Return all that a store says."""
    with FeatureStore(path) as store:
        found = {layer: store[layer][:] for layer in store.layers}
        names = ("labels", "official", "boxes", "done", "image_sha256")
        found |= {name: getattr(store, name) for name in names}
        return found | {
            "image_ids": store.image_ids,
            "class_names": store.class_names,
            "provenance": store.provenance.to_json(),
            "digest": store.digest,
        }


def same(one: dict[str, object], other: dict[str, object]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        and one[name].dtype == other[name].dtype
        if isinstance(one[name], np.ndarray)
        else one[name] == other[name]
        for name in one
    )


def outside_of_rows(path: Path) -> Iterator[int]:
    """Yield the bytes of a store's header, structures and table."""
    first = 0
    header = read_header(path)
    for column in sorted(header.row_columns.values(), key=lambda column: column.offset):
        yield from range(first, column.offset)
        first = column.end
    yield from range(first, header.n_bytes)


def outcome(path: Path, data: bytes, bit: int, expected: dict[str, object]) -> str:
    """Return ``refused``, ``same`` or ``wrong`` for a store with one bit flipped."""
    byte, mask = divmod(bit, 8)
    path.write_bytes(data[:byte] + bytes([data[byte] ^ (1 << mask)]) + data[byte + 1 :])
    try:
        found = everything(path)
    except StoreError:
        return "refused"
    return "same" if same(found, expected) else "wrong"


@pytest.fixture
def stores(make, tmp_path) -> list[Path]:
    """A store in which a row failed, and a joined one."""
    with make.writer(tmp_path / "a.h5") as writer:
        writer.fail(3, "truncated")
        rows = writer.pending()
        writer.write(rows, make.features(rows), make.sha256(rows))
        whole = writer.finish()
    shards = [make.shard(tmp_path, *rows) for rows in ((0, 6), (6, 12))]
    return [whole, join(shards, tmp_path / "joined.h5")]


@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_is_refused_or_changes_nothing(stores, tmp_path, which):
    path, expected = stores[which], everything(stores[which])
    data, damaged = path.read_bytes(), path.with_name("damaged.h5")
    everywhere = np.random.default_rng(0).choice(8 * len(data), N_FLIPS // 2, replace=False)
    structures = 8 * np.array(list(outside_of_rows(path)))
    chosen = np.random.default_rng(1).choice(structures, N_FLIPS // 2, replace=False)
    for bit in (*everywhere.tolist(), *chosen.tolist()):
        assert outcome(damaged, data, bit, expected) != "wrong", f"bit {bit}"
    for bit in chosen.tolist():
        assert outcome(damaged, data, bit, expected) == "refused", f"bit {bit}"


def test_a_bit_of_any_byte_of_the_first_block_is_refused(stores, tmp_path):
    path, expected, rng = stores[0], everything(stores[0]), np.random.default_rng(3)
    data, damaged = path.read_bytes(), tmp_path / "damaged.h5"
    for byte in range(data.index(b"}", data.index(b"table_crc32")) + 2):
        bit = 8 * byte + int(rng.integers(8))
        assert outcome(damaged, data, bit, expected) == "refused", f"bit {bit}"


def test_bytes_that_are_lost_doubled_or_swapped_are_refused(stores, tmp_path):
    path, rng = stores[0], np.random.default_rng(2)
    data, expected, damaged = path.read_bytes(), everything(path), tmp_path / "damaged.h5"
    for _ in range(200):
        start, stop = sorted(rng.integers(0, len(data), 2).tolist())
        for changed in (
            data[:start] + data[stop:],
            data[:stop] + data[start:],
            data[:start] + bytes(stop - start) + data[stop:],
            data[:start] + rng.bytes(stop - start) + data[stop:],
        ):
            damaged.write_bytes(changed)
            try:
                assert same(everything(damaged), expected)
            except StoreError:
                continue


@pytest.mark.parametrize("name", ["features/fc6", "crc32/fc6", "image_sha256", "row_crc32", "done"])
def test_a_damaged_row_is_named_when_it_is_read_and_not_before(make, tmp_path, flip, name):
    path = make.store(tmp_path / "a.h5")
    column = read_header(path).columns[name]
    flip(path, column.offset + 7 * column.row_bytes)
    with FeatureStore(path) as store:
        if name.endswith("/fc6"):
            store["fc6"][:7]
            store["features.12"][:]
        for _ in range(2):  # it is not forgotten
            with pytest.raises(StoreError, match=r"in 1 rows: 7 \(tööl/7.jpg\); delete it"):
                np.asarray(store["fc6"] if name.endswith("/fc6") else store.done)
    assert len(verify(path)) >= 1
    assert is_of_rows(name)


def test_rows_are_checked_once(make, tmp_path, monkeypatch):
    from decaf.store import reader

    n_checked = []
    crcs = reader.row_crcs
    monkeypatch.setattr(reader, "row_crcs", lambda rows: n_checked.append(len(rows)) or crcs(rows))
    with FeatureStore(make.store(tmp_path / "a.h5")) as store:
        for _ in range(3):
            store["fc6"][:]
            store["fc6"][3:5]
    assert sum(n_checked) == 12


def test_rows_that_are_yet_to_come_need_no_checksum(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        writer.write([1, 2], make.features([1, 2]), make.sha256([1, 2]))
    with FeatureStore(tmp_path / "a.h5.part") as store:
        np.testing.assert_array_equal(store["fc6"][[1, 2]], make.features([1, 2])["fc6"])
        assert np.flatnonzero(store.done).tolist() == [1, 2]
        assert not store["fc6"][5].any()
