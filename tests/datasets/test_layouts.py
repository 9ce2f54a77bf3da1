"""Folders that are laid out nearly as they should be, and very many of them."""

from time import process_time

import numpy as np
import pytest

from decaf.datasets.folder import load_folder
from decaf.datasets.places import table_of_places
from decaf.errors import DataError
from tests.datasets.test_folder import lay_out


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a/1.jpg", "b/1.txt"], r"found 1 class \(a\)"),
        (["Train/a/1.jpg", "Test/a/1.jpg"], "test and val alone: name Test test, Train train; or"),
        (
            ["train/a/1.jpg", "test/a/1.jpg", "annotations/1.xml"],
            "outermost folders are train, test and val alone: move annotations elsewhere; or list",
        ),
        (
            ["training/a/1.jpg", "validation/a/1.jpg", "notes/1.txt"],
            "name training train, validation val; move notes elsewhere",
        ),
    ],
)
def test_layouts_that_are_nearly_right_are_explained(tmp_path, paths, message):
    with pytest.raises(DataError, match=message):
        load_folder(lay_out(tmp_path, *paths))


def test_an_empty_class_folder_is_said_where_others_have_images(tmp_path, capsys):
    root = lay_out(tmp_path, "a/1.jpg", "b/1.jpg", "c/notes.txt", "d/notes.txt")
    assert load_folder(root).class_names == ("a", "b")
    assert "passed over class folders without images (2: 'c', " in capsys.readouterr().err


def test_classes_may_be_called_as_sides_are(tmp_path):
    table = load_folder(lay_out(tmp_path, "train/1.jpg", "bus/1.jpg", "test/1.jpg"))
    assert table.class_names == ("bus", "test", "train")


def test_two_unicode_forms_of_a_name_are_one_class(tmp_path):
    nfc, nfd = "bi\u00e8re", "bie\u0300re"
    sides = (f"train/{nfc}/1.jpg", "train/x/1.jpg", f"test/{nfd}/1.jpg", "test/x/1.jpg")
    table = load_folder(lay_out(tmp_path, *sides))
    assert table.class_names == (nfc, "x")
    np.testing.assert_array_equal(table.labels, [0, 1, 0, 1])
    assert (table.sizes_bytes == 1).all()


def test_forty_thousand_classes_take_seconds(tmp_path):
    names = [f"{number:05d}/1.jpg" for number in range(40_000)]
    start = process_time()
    table = table_of_places(
        "x", "x", tmp_path, names, [name[:5] for name in names], sizes_bytes=[1] * len(names)
    )
    assert process_time() - start < 5
    assert table.labels[-1] == 39_999
