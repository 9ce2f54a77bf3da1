import zlib

import numpy as np
import pytest

from decaf.store import checksums
from decaf.store.checksums import mismatches, row_crcs, seal_crcs
from decaf.store.opening import StoreFile


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 2, 5)])
def test_row_crcs_are_those_of_each_rows_bytes(dtype, shape):
    block = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    expected = [zlib.crc32(row.tobytes()) for row in block]
    np.testing.assert_array_equal(row_crcs(block), expected)
    np.testing.assert_array_equal(row_crcs(np.asfortranarray(block)), expected)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_seal_covers_digest_size_checksums_and_flag(n_layers):
    sha256 = np.arange(64, dtype="u1").reshape(2, 32)
    sizes = np.array([[3, 4], [5, 6]], "<i4")
    crcs = np.arange(2 * n_layers, dtype="<u4").reshape(2, n_layers)
    done = np.array([1, 0], "u1")
    columns = (sha256, sizes, crcs, done[:, None])
    expected = [zlib.crc32(b"".join(column[i].tobytes() for column in columns)) for i in range(2)]
    np.testing.assert_array_equal(seal_crcs(sha256, sizes, crcs, done), expected)


def test_mismatches_name_the_row_in_whichever_block_it_is(make, tmp_path, flip, monkeypatch):
    monkeypatch.setattr(checksums, "BLOCK_BYTES", 3 * 5 * 4)  # three rows a block
    path = make.store(tmp_path / "a.h5")
    with StoreFile(path) as file:
        offset = file.columns["features/fc6"].offset
    for row in (0, 7):
        flip(path, offset + row * 5 * 4 + 2)
    every = np.ones(12, bool)
    with StoreFile(path) as file:
        assert list(mismatches(file, every)) == [("crc32/fc6", 0), ("crc32/fc6", 7)]
        every[7] = False
        assert list(mismatches(file, every)) == [("crc32/fc6", 0)]
