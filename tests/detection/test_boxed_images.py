"""Boxes of objects from annotations and tables, sound and odd."""

import numpy as np
import pytest
from detection_scenes import NAMES, annotation
from PIL import Image
from scipy.io import savemat

from decaf.detection import load_boxed
from decaf.detection.box_files import read_proposals
from decaf.errors import DataError
from decaf.records import Source

WHOLE = ("disc", (1, 1, 10, 10))


def folder(tmp_path, *texts):
    for name in ("Annotations", "JPEGImages"):
        (tmp_path / name).mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "Annotations" / f"{number}.xml").write_text(text)
        Image.new("RGB", (20, 20)).save(tmp_path / "JPEGImages" / f"{number}.png")
    return tmp_path


def test_a_folder_in_vocs_layout(collages):
    images = load_boxed(collages)
    assert images.class_names == NAMES
    assert len(images.side("train", "val").objects) == 12
    test = images.side("test")
    assert test.table.image_ids[0] == "JPEGImages/12.png"
    assert not test.objects[0].difficult.any()
    assert images.objects[8].difficult.all()
    few = load_boxed(collages, Source(limit=4))
    assert list(few.table.image_ids) == [f"JPEGImages/{n}.png" for n in (0, 4, 8, 12)]


def test_classes_are_chosen_and_numbered_anew(collages):
    some = load_boxed(collages).of_classes(["absent", "stripes"])
    assert some.class_names == ("absent", "stripes")
    assert all(one.labels.tolist() == [1] for one in some.objects)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (annotation(("disc", (9, 1, 3, 10))), r"'disc' in the box 9, 1, 3, 10 \(xmin"),
        (annotation(("disc", (5, 5, 4, 9))), "a box with an area"),
        (annotation(("disc", ("nan", 1, 5, 5))), "a box with an area"),
        (annotation(("disc", (1, 1, "1e999", 5))), "a box with an area"),
        (annotation(("", (1, 1, 5, 5))), "it needs a name"),
        (annotation(("disc", ("x", 1, 5, 5))), "could not convert string to float"),
        ("<annotation><object><name>a</name></object></annotation>", "could not convert"),
        ("<annotation><object>", "no element found"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><annotation/>', "document type or entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "document type or entities"),
        ("<annotation/>", "no object in any"),
    ],
)
def test_odd_annotations_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        load_boxed(folder(tmp_path, text))


def test_a_split_names_every_image(tmp_path):
    home = folder(tmp_path, annotation(WHOLE), annotation(WHOLE))
    (home / "ImageSets" / "Main").mkdir(parents=True)
    (home / "ImageSets" / "Main" / "train.txt").write_text("0\n")
    with pytest.raises(DataError, match="does not say the side of 1"):
        load_boxed(home)
    (home / "ImageSets" / "Main" / "test.txt").write_text("1\n")
    assert len(load_boxed(home).side("test").objects) == 1


def test_a_table_of_boxes(tmp_path):
    for name in "abc":
        Image.new("RGB", (20, 20)).save(tmp_path / f"{name}.png")
    (tmp_path / "boxes.csv").write_text(
        "Split,path,label,x1,y1,x2,y2,difficult\n"
        "train,a.png,disc,0,0,10,10,0\ntrain,a.png,stripes,5,5,9,9,1\n"
        "test,b.png,disc,1,2,3.5,4,\ntrain,c.png,,,,,,\n"
    )
    images = load_boxed(tmp_path / "boxes.csv")
    assert images.class_names == NAMES
    assert [len(one.labels) for one in images.objects] == [2, 1, 0]
    assert images.objects[0].difficult.tolist() == [False, True]
    assert images.objects[1].boxes.tolist() == [[1, 2, 3.5, 4]]
    assert list(images.side("test").table.image_ids) == ["b.png"]


def test_boxes_that_leave_their_image_are_said(tmp_path, capsys):
    for name in "ab":
        Image.new("RGB", (20, 10)).save(tmp_path / f"{name}.png")
    (tmp_path / "far.csv").write_text(
        "path,label,x1,y1,x2,y2\na.png,disc,-5,2,30,8\nb.png,disc,40,2,50,8\nb.png,disc,0,0,20,10\n"
    )
    first, second = load_boxed(tmp_path / "far.csv").objects
    assert first.boxes.tolist() == [[0, 2, 20, 8]]
    assert second.boxes.tolist() == [[40, 2, 50, 8], [0, 0, 20, 10]]  # a test counts it as missed
    said = capsys.readouterr().err.splitlines()
    assert said == ["far: 1 boxes are cut to their image ('a.png')",
                    "far: 1 boxes are outside their image ('b.png')"]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,disc,3,3,3,9", "line 2: found the box 3, 3, 3, 9 .* no area"),
        ("a.png,disc,9,3,3,9", "has no area"),
        ("a.png,disc,1,1,inf,9", "has no area"),
        ("a.png,disc,1,1,x,9", "could not convert string to float: 'x'; give numbers"),
        ("a.png,disc,,,,", "a label without a box"),
        ("a.png,,1,1,2,2", "a box without a label"),
        (",disc,1,1,2,2", "a path is needed"),
        ("a.png,disc,0.1,0.1,0.9,1.0", "shares of an image do; give pixels"),
    ],
)
def test_odd_lines_are_named(tmp_path, line, message):
    (tmp_path / "boxes.csv").write_text(f"path,label,x1,y1,x2,y2\n{line}\n")
    with pytest.raises(DataError, match=message):
        load_boxed(tmp_path / "boxes.csv")


def test_a_table_without_its_columns_or_lines(tmp_path):
    file = tmp_path / "boxes.csv"
    file.write_text("path,label\na.png,disc\n")
    with pytest.raises(DataError, match="found the columns path, label; add x1, y1, x2, y2"):
        load_boxed(file)
    file.write_text("path,label,x1,y1,x2,y2\n")
    with pytest.raises(DataError, match="lists no images"):
        load_boxed(file)
    file.write_bytes(b"path,label,x1,y1,x2,y2\n\xff,a,1,1,2,2\n")
    with pytest.raises(DataError, match="not UTF-8"):
        load_boxed(file)


def test_proposals_of_both_forms(tmp_path):
    """R-CNN's are y1 x1 y2 x2, inclusive, from 1; decaf's half-open, from 0."""
    cells = np.empty(2, object)
    cells[:] = [np.array([[1, 2, 30, 40], [5, 5, 9, 9]]), np.zeros((0, 4))]
    savemat(tmp_path / "ss.mat", {"boxes": cells, "images": np.array(["a", "b"], object)})
    (tmp_path / "ss.csv").write_text(
        "path,x1,y1,x2,y2,score\nx/a.jpg,4,4,9,9,0.5\nx/a.jpg,1,0,40,30,0.9\nb.jpg,,,,,\n"
    )
    for name in ("ss.mat", "ss.csv"):
        found = read_proposals(tmp_path / name)
        assert found["a"].tolist() == [[1, 0, 40, 30], [4, 4, 9, 9]]
        assert found["b"].shape == (0, 4)
    (tmp_path / "ss.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match="it needs the cells images and boxes"):
        read_proposals(tmp_path / "ss.mat")
