import numpy as np
import pytest

from decaf.datasets.folder import load_folder
from decaf.errors import DataError


def lay_out(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    return root


def test_class_folders_in_natural_order(tmp_path):
    root = lay_out(tmp_path / "pets", "dog 10/b.JPG", "dog 2/10.png", "dog 2/2.png", "cat/b.JPG")
    table = load_folder(root)
    assert table.name == "pets"
    assert table.class_names == ("cat", "dog 2", "dog 10")
    assert table.image_ids == ("cat/b.JPG", "dog 2/2.png", "dog 2/10.png", "dog 10/b.JPG")
    np.testing.assert_array_equal(table.labels, [0, 1, 1, 2])
    assert table.official is None


def test_a_relative_path_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(lay_out(tmp_path / "pets", "a/1.jpg", "b/1.jpg"))
    assert load_folder(tmp_path.__class__(".")).name == "pets"


def test_sides_above_the_classes_are_an_official_split(tmp_path):
    root = lay_out(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "test/b/1.jpg")
    table = load_folder(root)
    assert table.class_names == ("a", "b")
    assert table.image_ids == ("test/b/1.jpg", "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg")
    np.testing.assert_array_equal(table.labels, [1, 0, 1, 0])
    np.testing.assert_array_equal(table.official, [[3], [1], [1], [2]])


def test_what_is_no_picture_is_passed_over(tmp_path):
    strays = ["a/._1.jpg", "a/Thumbs.db", "a/notes.txt", "README.md", ".git/x/1.jpg", "a/sub/n.txt"]
    table = load_folder(lay_out(tmp_path, "a/1.jpg", "b/2.jpg", *strays))
    assert table.image_ids == ("a/1.jpg", "b/2.jpg")


def test_links_are_followed(tmp_path):
    lay_out(tmp_path, "elsewhere/1.jpg", "pets/a/1.jpg")
    (tmp_path / "pets" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pets" / "a" / "2.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "pets" / "a" / "3.jpg").symlink_to(tmp_path / "nowhere.jpg")
    table = load_folder(tmp_path / "pets")
    assert table.image_ids == ("a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg")
    np.testing.assert_array_equal(table.sizes_bytes, [1, 1, -1, 1])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "holds no class folders; lay the pictures out as <class>/<picture>"),
        (["1.jpg", "2.jpg"], "holds 2 pictures outside of class folders, first '1.jpg'"),
        (["1.jpg", "a/1.jpg"], "holds 1 pictures outside of class folders, first '1.jpg'"),
        (["a/1.jpg"], r"found 1 class \(a\)"),
        (["a/1.txt", "b/1.txt"], r"holds no pictures \(.jpg, .* in its class folders; fill them"),
        (["a/1.jpg", "b/c/1.jpg"], "class folder .*b holds a folder of pictures, 'c'"),
        (["a/1.jpg", "b/1.jpg", "b/c/1.jpg"], "class folder .*b holds a folder of pictures, 'c'"),
        (["train/a/1.jpg", "train/b/1.jpg"], "but only of train; it needs pictures under"),
        (["test/a/1.jpg", "val/b/1.jpg"], "but only of test, val; it needs pictures under"),
        (["train/a/1.jpg", "test/1.jpg"], "test holds 1 pictures outside of class folders"),
    ],
)
def test_other_layouts_are_explained(tmp_path, paths, message):
    with pytest.raises(DataError, match=message):
        load_folder(lay_out(tmp_path, *paths))
