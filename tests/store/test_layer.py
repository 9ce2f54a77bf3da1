import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decaf.store import FeatureStore, StoredLayer, layer

N_IMAGES = 40
KEYS = [
    0,
    -1,
    np.int64(3),
    slice(None),
    slice(5, 9),
    slice(30, 4, -3),
    slice(9, 9),
    slice(-5, None),
    Ellipsis,
    [],
    [7],
    [3, 39, 0, 3, -2],
    np.array([[1, 2], [30, 4]]),
    np.arange(N_IMAGES) % 3 == 0,
    np.zeros(N_IMAGES, bool),
    (slice(2, 4), slice(1, 3)),
    (3, 1),
    (Ellipsis, 0),
    ([4, 1], Ellipsis, slice(None, None, 2)),
]


@pytest.fixture(scope="module", params=[1, 3])
def stored_and_array(request, make, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.h5"
    make.store(path, N_IMAGES, n_views=request.param)
    with FeatureStore(path) as store:
        yield store["fc6"], make.features(range(N_IMAGES), request.param)["fc6"]


class CountingReader:
    """Stands in for a file and notes which rows are read."""

    def __init__(self, array):
        self.array, self.reads = array, []

    def __call__(self, start, stop):
        self.reads.append((start, stop))
        return self.array[start:stop].copy()

    def layer(self):
        return StoredLayer(self, self.array.shape, self.array.dtype)


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_indexing_equals_numpy(stored_and_array, key):
    stored, array = stored_and_array
    np.testing.assert_array_equal(stored[key], array[key], strict=True)


@given(st.lists(st.integers(-N_IMAGES, N_IMAGES - 1)), st.integers(8, 2**10))
def test_rows_in_any_order_equal_numpy_whatever_the_pieces(rows, piece_bytes):
    array = np.arange(N_IMAGES * 5, dtype=np.float32).reshape(N_IMAGES, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer, "BLOCK_BYTES", piece_bytes)
        patch.setattr(layer, "_GAP_BYTES", piece_bytes // 4)
        found = CountingReader(array).layer()[rows]
    np.testing.assert_array_equal(found, array[rows], strict=True)


def test_looks_like_an_array(stored_and_array):
    stored, array = stored_and_array
    assert (stored.shape, stored.dtype, len(stored)) == (array.shape, array.dtype, len(array))
    np.testing.assert_array_equal(np.asarray(stored), array, strict=True)
    assert np.asarray(stored, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        np.array(stored, copy=False)


def test_what_comes_back_is_the_callers_own(stored_and_array):
    stored, array = stored_and_array
    stored[:3][:] = 0
    np.testing.assert_array_equal(stored[:3], array[:3])


@pytest.mark.parametrize("key", [N_IMAGES, -N_IMAGES - 1, [0, N_IMAGES], np.ones(3, bool), 1.5])
def test_wrong_rows_fail_as_in_numpy(stored_and_array, key):
    with pytest.raises(IndexError):
        stored_and_array[0][key]


def test_two_arrays_are_refused(stored_and_array):
    with pytest.raises(IndexError, match="only the first index"):
        stored_and_array[0][[0, 1], [0, 1]]


def test_near_rows_are_read_together_and_far_ones_apart(monkeypatch):
    reader = CountingReader(np.zeros((1000, 4), np.float32))
    monkeypatch.setattr(layer, "_GAP_BYTES", 10 * 16)
    reader.layer()[[900, 5, 3, 12, 905]]
    assert reader.reads == [(3, 13), (900, 906)]


def test_no_read_is_larger_than_a_block(monkeypatch):
    reader = CountingReader(np.zeros((1000, 4), np.float32))
    monkeypatch.setattr(layer, "BLOCK_BYTES", 100 * 16)
    reader.layer()[::2]
    assert len(reader.reads) == 10
    assert max(stop - start for start, stop in reader.reads) <= 100
