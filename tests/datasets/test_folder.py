import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decaf.datasets import read_bytes
from decaf.datasets.folder import load_folder
from decaf.datasets.listing import images_under
from decaf.errors import DataError
from decaf.images.decode import decode


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


def test_what_is_no_image_is_passed_over(tmp_path):
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
        ([], "holds no class folders; lay the images out as <class>/<image>"),
        (["1.jpg", "2.jpg"], "holds 2 images outside of class folders, first '1.jpg'"),
        (["1.jpg", "a/1.jpg"], "holds 1 images outside of class folders, first '1.jpg'"),
        (["a/1.jpg"], r"found 1 class \(a\)"),
        (["a/1.txt", "b/1.txt"], r"holds no images \(.jpg, .* in its class folders; fill them"),
        (["a/1.jpg", "b/c/1.jpg"], "class folder .*b holds a folder of images, 'c'"),
        (["a/1.jpg", "b/1.jpg", "b/c/1.jpg"], "class folder .*b holds a folder of images, 'c'"),
        (["train/a/1.jpg", "train/b/1.jpg"], "but only of train; it needs images under"),
        (["test/a/1.jpg", "val/b/1.jpg"], "but only of test, val; it needs images under"),
        (["train/a/1.jpg", "test/1.jpg"], "test holds 1 images outside of class folders"),
    ],
)
def test_other_layouts_are_explained(tmp_path, paths, message):
    with pytest.raises(DataError, match=message):
        load_folder(lay_out(tmp_path, *paths))


def image(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(path, kind)


def test_endings_say_what_is_an_image_and_where_they_do_not_the_content(tmp_path, capsys):
    kinds = dict.fromkeys(["jpg", "jpe", "jfif", "pjpeg"], "JPEG") | dict.fromkeys(
        ["png", "apng", "tmp", "jpg_large"], "PNG"
    )
    kinds |= {"pnm": "PPM", "dib": "BMP", "webp": "WEBP", "tif": "TIFF", "gif": "GIF"}
    for ending, kind in kinds.items():
        image(tmp_path / "a" / f"1.{ending}", kind)
    for number, kind in enumerate(["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "PPM"]):
        image(tmp_path / "b" / f"no-ending-{number}", kind)
    image(tmp_path / "b" / "raw.nef", "TIFF")
    (tmp_path / "b" / "new.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (tmp_path / "b" / "BM notes").write_text("BMW and P5 are not images")
    table = load_folder(tmp_path)
    without = [f"b/no-ending-{number}" for number in range(7)]
    assert set(table.image_ids) == {*(f"a/1.{e}" for e in kinds), *without, "b/new.heic"}
    for row, image_id in enumerate(table.image_ids):
        if image_id == "b/new.heic":
            with pytest.raises(DataError, match=r"not an image: found HEIC|broken image"):
                decode(read_bytes(table, row))
        else:
            assert decode(read_bytes(table, row)).shape == (3, 6, 8)
    said = capsys.readouterr().err
    assert "passed over entries that are no images (2: 'b/BM notes', 'b/raw.nef')" in said


def test_a_name_that_is_not_utf8_is_a_row_that_fails(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        image(tmp_path / name)
    (tmp_path / "a" / "2.png").rename(tmp_path / "a" / os.fsdecode(b"caf\xe9.png"))
    table = load_folder(tmp_path)
    assert table.image_ids == ("a/1.png", "a/caf\\xe9.png", "b/1.png")
    with pytest.raises(OSError, match="not UTF-8; rename it"):
        read_bytes(table, 1)


def test_loops_of_links_end(tmp_path, capsys):
    lay_out(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "9.jpg").symlink_to("9.jpg")
    table = load_folder(tmp_path)
    assert table.image_ids == ("a/1.jpg", "a/9.jpg", "b/1.jpg")
    assert "passed over entries that are no images (2: 'self', 'a/up')" in capsys.readouterr().err


def test_images_deep_in_a_class_folder_are_not_passed_over(tmp_path):
    with pytest.raises(DataError, match=r"class folder .*b holds a folder of images, 'c'"):
        load_folder(lay_out(tmp_path, "a/1.jpg", "b/1.jpg", "b/c/d/1.jpg"))


def test_a_folder_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    lay_out(tmp_path, "a/1.jpg", "b/1.jpg")
    scandir = os.scandir

    def closed(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    for read in (load_folder, lambda root: list(images_under(root))):
        with pytest.raises(DataError, match=r"list the folder .*b, found: Permission denied; give"):
            read(tmp_path)


def test_images_at_any_depth_are_found_once(tmp_path, capsys):
    root = lay_out(tmp_path / "new", "2.jpg", "b/1.jpg", "b/c/1.jpg", "z/notes.txt")
    lay_out(tmp_path / "elsewhere", "3.jpg")
    for link, target in {"b/up": "..", "a": "b/c", "y": "../elsewhere", "z/y": "../y"}.items():
        (root / link).symlink_to(target)
    (root / "b" / "5.jpg").symlink_to("5.jpg")
    found = [os.path.relpath(path, root) for path in images_under(root)]
    assert found == ["2.jpg", "b/1.jpg", "b/5.jpg", "b/c/1.jpg", "y/3.jpg"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "passed over entries that are no images (4: " in said
