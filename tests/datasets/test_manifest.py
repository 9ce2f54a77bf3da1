from pathlib import Path

import numpy as np
import pytest

from decaf.datasets import read_bytes
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
        (
            "path|label\na.jpg|cat\n",
            "found the columns path|label; the first line".replace("|", "[|]"),
        ),
        ("path,label\n", "lists no images"),
        ("path,label\na.jpg,cat\nb.jpg\n", "line 3: its number of values is not that of the head"),
        ("path,label\na.jpg,cat,x\n", "line 2: its number of values is not that of the header"),
        ("path,label\n,cat\nb.jpg,dog\n", "line 2: found the path ''"),
        ("path,label\na.jpg,cat\n./a.jpg,dog\n", "'a.jpg' is listed twice"),
        ("path,label\nb.jpg,dog\na.jpg,\n", "line 3: the label of 'a.jpg' is empty"),
        ("path,label\na.jpg,cat\n" + "\0" * 9 + ",\n", "line 3: found a zero byte"),
        ("path,label\na\0.jpg,cat\n", "line 2: found a zero byte"),
        ("path,label\nfile:///a%00.jpg,cat\n", "line 2: found the path"),
        ("path,label\nfile://host/a.jpg,cat\n", "line 2: found the path"),
        ("path,label\nhttps://x.org/a.jpg,cat\n", "line 2: found the URL 'https://x.org/a.jpg'"),
        ("path,label,Label\na.jpg,cat,dog\n", "found the column label twice"),
        ("path,label\nb.jpg,dog\n" + "x" * 100_000 + ",cat\n", "line 3: the path 'xxx.* is longer"),
        ("path,label\nb.jpg," + "9" * 100_000 + "\n", "line 2: the label '999.* is longer"),
        ("path,label\nb.jpg," + "9" * 1_200_000 + "\n", "after line 1: field larger than"),
        ("path,label\na.jpg,cat\nb.jpg,cat\n", r"found 1 class \(cat\)"),
        ("path,label\nx.jpg,cat\ny.jpg,dog\n", "none of its 2 images is under"),
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


def test_the_plain_csv_of_a_spreadsheet_is_read_and_that_is_said(write, capsys):
    text = "path;label\r\na.jpg;dög\r\nb.jpg;cat\r\n"
    table = load_manifest(write(text, "cp1252"))
    assert table.class_names == ("cat", "dög")
    said = capsys.readouterr().err
    assert "line 2 is not UTF-8: found the byte 0xf6, read as 'ö' of Windows-1252" in said


def test_what_is_in_no_encoding_is_refused(write):
    file = write("path,label\na.jpg,dog\n")
    file.write_bytes(file.read_bytes() + b"b.jpg,\x81\n")
    with pytest.raises(DataError, match="begins as Windows-1252 and is not; save it as UTF-8"):
        load_manifest(file)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path;label\na.jpg;cat\nb.jpg;dog\n", "utf-8"),
        ("path\tlabel\na.jpg\tcat\nb.jpg\tdog\n", "utf-8"),
        ("\ufeffPath, Label \r\na.jpg, cat\r\nb.jpg, dog\r\n", "utf-8"),
        ('"PATH";"LABEL"\n"a.jpg";"cat"\n"b.jpg";"dog"\n', "utf-8"),
        ("path,label,,\na.jpg,cat,,\nb.jpg,dog,,\n,,,\n", "utf-8"),
        ("path,label\na.jpg,cat,\nb.jpg,dog,,\n\n,\n", "utf-8"),
        ("path\tlabel\na.jpg\tcat\nb.jpg\tdog\n", "utf-16"),
        ("path,label\r.\\a.jpg,cat\rb.jpg,dog\r", "utf-8"),
        ("path,label\n{here}/a.jpg,cat\nfile://{here}/b.jpg,dog\n", "utf-8"),
        ("path,label\nfile://localhost{here}/%61.jpg,cat\n../{name}/b.jpg,dog\n", "utf-8"),
    ],
)
def test_what_can_mean_one_thing_only_is_read(write, tmp_path, text, encoding):
    file = write(text.replace("{here}", str(tmp_path)).replace("{name}", tmp_path.name), encoding)
    table = load_manifest(file)
    assert [Path(table.root, name).resolve().name for name in table.image_ids] == ["a.jpg", "b.jpg"]
    np.testing.assert_array_equal(table.sizes_bytes, [1, 1])
    assert table.class_names == ("cat", "dog")


def test_images_elsewhere_are_found_by_absolute_paths(write, tmp_path):
    other = tmp_path.parent / f"{tmp_path.name}-other"
    other.mkdir()
    (other / "x.jpg").write_bytes(b"xx")
    table = load_manifest(write(f"path,label\n{other}/x.jpg,cat\na.jpg,dog\n"))
    np.testing.assert_array_equal(table.sizes_bytes, [2, 1])
    assert read_bytes(table, 0) == b"xx"


def test_a_file_by_two_ways_is_listed_twice(write, tmp_path):
    with pytest.raises(DataError, match=r"'a.jpg' is listed twice"):
        load_manifest(write(f"path,label\na.jpg,cat\n../{tmp_path.name}/a.jpg,dog\n"))


def test_backslashes_are_slashes_where_no_file_has_them(write, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("sub/1.jpg", "sub/2.jpg", "sub\\2.jpg"):
        (tmp_path / name).write_bytes(b"x")
    table = load_manifest(write("path,label\nsub\\1.jpg,cat\nsub\\2.jpg,dog\n"))
    assert table.image_ids == ("sub/1.jpg", "sub\\2.jpg")


def test_two_unicode_forms_are_one_class_and_one_file(write, tmp_path):
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    (tmp_path / f"{nfc}.jpg").write_bytes(b"x")
    (tmp_path / f"2{nfd}.jpg").write_bytes(b"x")
    text = f"path,label\n{nfd}.jpg,{nfc}\n2{nfc}.jpg,{nfd}\na.jpg,dog\n"
    table = load_manifest(write(text))
    assert table.class_names == (nfc, "dog")
    np.testing.assert_array_equal(table.labels, [0, 0, 1])
    np.testing.assert_array_equal(table.sizes_bytes, [1, 1, 1])


def test_columns_that_are_not_used_are_said(write, capsys):
    load_manifest(write("path,label,Side,note,,\na.jpg,cat,g1,,,\nb.jpg,dog,g2,,,7\n"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("pets.csv: not used are the columns Side, number 6")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_a_table_or_a_message(write, seed):
    rng = np.random.default_rng(seed)
    whole = 'path;label,split\ta.jpg\t"c, d.jpg",cat|dog;train\n\r\0é file://%2e\\../'.encode()
    rows = b'path,label,split\na.jpg,cat,train\n"c, d.jpg",dog,test\nb.jpg,dog,train\n'
    longest = 0
    for number in range(150):
        data = bytearray(rows)
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(len(data)))
            piece = int(rng.integers(len(whole)))
            data[at : at + rng.integers(3)] = whole[piece : piece + rng.integers(5)]
        file = write("")
        file.write_bytes(bytes(data[: rng.integers(len(data))]) if number % 3 == 0 else data)
        try:
            load_manifest(file)
        except DataError as error:
            longest = max(longest, len(str(error)))
    assert 0 < longest < 1000
