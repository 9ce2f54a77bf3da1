import pytest

from decaf.datasets.lists import read_columns, read_lines
from decaf.errors import DataError


@pytest.mark.parametrize("text", ["a\nb c", "a\nb c\n", "a\r\nb c\r\n", "\n a \n\n b c\n"])
def test_line_ends_do_not_matter(tmp_path, text):
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert read_lines(tmp_path / "list.txt") == ["a", "b c"]


def test_columns_are_apart_by_one_or_two_spaces(tmp_path):
    (tmp_path / "list.txt").write_text("000005 -1\n000007  1\n000009   train station.jpg\n")
    rows = read_columns(tmp_path / "list.txt", 2)
    assert rows == [["000005", "-1"], ["000007", "1"], ["000009", "train station.jpg"]]


def test_faults_name_the_list(tmp_path):
    (tmp_path / "list.txt").write_text("1 2\n3\n")
    with pytest.raises(DataError, match=r"list.txt, entry 2: found '3', expected 2 values"):
        read_columns(tmp_path / "list.txt", 2)
    with pytest.raises(DataError, match=r"gone.txt cannot be read \(No such file"):
        read_lines(tmp_path / "gone.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no text"):
        read_lines(tmp_path / "list.txt")
