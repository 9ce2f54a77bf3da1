import numpy as np
import pytest

from decaf.datasets.manifest import load_manifest
from decaf.errors import DataError


@pytest.fixture
def write(tmp_path):
    for name in ("a.jpg", "b.jpg", "c, d.jpg"):
        (tmp_path / name).write_bytes(b"x")

    def manifest(text, encoding="utf-8"):
        file = tmp_path / "pets.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return manifest


def test_one_label_a_line_in_the_order_of_the_file(write):
    table = load_manifest(write("path,label\nb.jpg,dog 10\na.jpg,dog 2\n./c.jpg,dog 10\n"))
    assert table.name == "pets"
    assert table.image_ids == ("b.jpg", "a.jpg", "c.jpg")
    assert table.class_names == ("dog 2", "dog 10")
    np.testing.assert_array_equal(table.labels, [1, 0, 1])
    np.testing.assert_array_equal(table.sizes_bytes, [1, 1, -1])
    assert table.official is None


def test_spreadsheet_habits_are_understood(write):
    text = '\ufeffid,label,path,split\r\n7, dog ,a.jpg,Train\r\n8,cat,"c, d.jpg",test\r\n'
    table = load_manifest(write(text))
    assert table.image_ids == ("a.jpg", "c, d.jpg")
    assert table.class_names == ("cat", "dog")
    np.testing.assert_array_equal(table.official, [[1], [3]])
    np.testing.assert_array_equal(table.sizes_bytes, [1, 1])


def test_several_labels_are_joined_by_a_bar(write):
    table = load_manifest(write("path,label\na.jpg,cat|dog\nb.jpg,\nc.jpg,cow\n"))
    assert table.class_names == ("cat", "cow", "dog")
    np.testing.assert_array_equal(table.labels, [[1, -1, 1], [-1, -1, -1], [-1, 1, -1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found the columns nothing; the first line is the header path,label"),
        ("a.jpg,cat\nb.jpg,dog\n", "found the columns a.jpg, cat; the first line is the header"),
        ("path;label\na.jpg;cat\n", "found the columns path;label; the first line"),
        ("path,label\n", "lists no pictures"),
        ("path,label\na.jpg,cat\nb.jpg\n", "line 3: its number of values is not that of the head"),
        ("path,label\na.jpg,cat,x\n", "line 2: its number of values is not that of the header"),
        ("path,label\n/a.jpg,cat\nb.jpg,dog\n", "line 2: found the path '/a.jpg'; give it rel"),
        ("path,label\n,cat\nb.jpg,dog\n", "line 2: found the path ''"),
        ("path,label\na.jpg,cat\n./a.jpg,dog\n", "'a.jpg' is listed twice"),
        ("path,label\na.jpg,\nb.jpg,dog\n", "the label of 'a.jpg' is empty"),
        ("path,label\na.jpg,cat\nb.jpg,cat\n", r"found 1 class \(cat\)"),
        ("path,label\nx.jpg,cat\ny.jpg,dog\n", "none of its 2 pictures is under"),
        (
            "path,label,split\na.jpg,cat,trian\n",
            "line 2: found the split 'trian'; choose one of: tr",
        ),
        ("path,label,split\na.jpg,cat,train\nb.jpg,dog,train\n", "but only of train; it needs"),
        ('path,label\n"a.jpg"x,cat\n', "after line 1: .*; correct the quotes"),
    ],
)
def test_mistakes_are_explained_with_their_line(write, text, message):
    with pytest.raises(DataError, match=message):
        load_manifest(write(text))


def test_another_encoding_is_refused(write):
    with pytest.raises(DataError, match="is not UTF-8"):
        load_manifest(write("path,label\ncafé.jpg,cat\n", "latin-1"))
