from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from decaf.datasets import dataset_digest, digits
from decaf.errors import DataError


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    digits.load(root)
    return root


def test_the_files_are_the_digits_of_scikit_learn(data_root):
    table, bundled = digits.load(data_root), load_digits()
    assert len(table.image_ids) == len(set(table.image_ids)) == 1797
    assert table.image_ids[:2] == ("0/0000.png", "0/0010.png")
    assert table.class_names == tuple("0123456789")
    for row in range(0, 1797, 50):
        image_id = table.image_ids[row]
        number = int(image_id[2:6])
        with Image.open(data_root / "digits" / image_id) as image:
            grey = np.asarray(image)
        assert grey.dtype == np.uint8
        np.testing.assert_allclose(grey / 255 * 16, bundled.images[number], atol=0.05)
        assert table.labels[row] == bundled.target[number]


def test_they_are_written_once(data_root, tmp_path):
    before = (data_root / "digits").stat().st_mtime_ns
    table = digits.load(data_root)
    assert (data_root / "digits").stat().st_mtime_ns == before
    assert dataset_digest(table) == dataset_digest(digits.load(tmp_path / "new" / "root"))


def test_several_processes_may_write_at_once(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        tables = list(pool.map(digits.load, [tmp_path] * 3))
    assert {len(table.image_ids) for table in tables} == {1797}
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_a_removed_digit_is_missed(tmp_path):
    digits.load(tmp_path)
    (tmp_path / "digits" / "0" / "0010.png").unlink()
    with pytest.raises(DataError, match=r"has 1797 images, found 1796 .* first 0010.png"):
        digits.load(tmp_path)
    assert digits.load(tmp_path, allow_partial=True).partial


def test_a_root_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the digits"):
        digits.load(tmp_path / "file")
