"""Published lists and annotations that are damaged: a table or a message, never a traceback."""

import re
from pathlib import Path

import numpy as np
import pytest

from decaf.datasets import load_dataset
from decaf.datasets.birds import load_parts
from decaf.datasets.objects import read_annotation
from decaf.datasets.voc import CLASSES
from decaf.datasets.voc2012_actions import ACTIONS
from decaf.errors import DataError

XML = b"""<?xml version="1.0" encoding="utf-8"?>
<annotation><size><width>9</width></size>
<object><name>person</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>8</xmax><ymax>9</ymax></bndbox></object></annotation>
"""
PIECES = (
    b"nan inf 1e999 <object> </bndbox> &amp; &x; \0 \xff utf-16 -1 2 \xef\xbb\xbf \n ../ 9999999"
)


def write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace some pieces of a file by others."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, piece = int(rng.integers(len(changed) + 1)), PIECES.split(b" ")
        changed[at : at + rng.integers(4)] = piece[rng.integers(len(piece))]
    return bytes(changed[: rng.integers(len(changed) + 1)] if rng.random() < 0.2 else changed)


def lay_out_voc(root: Path) -> list[Path]:
    tree = root / "voc2012" / "VOCdevkit" / "VOC2012"
    main, action = tree / "ImageSets" / "Main", tree / "ImageSets" / "Action"
    for number, side in enumerate(("train", "val")):
        key = f"2008_00000{number}"
        write(tree / "JPEGImages" / f"{key}.jpg", b"x")
        write(tree / "Annotations" / f"{key}.xml", XML)
        for name in CLASSES:
            write(main / f"{name}_{side}.txt", f"{key} -1\n".encode())
        for name in ACTIONS:
            write(action / f"{name}_{side}.txt", f"{key} 1  1\n".encode())
    write(tree / "JPEGImages" / "2008_000002.jpg", b"x")
    files = [main / f"{CLASSES[0]}_train.txt", main / f"{CLASSES[3]}_val.txt"]
    files += [action / f"{ACTIONS[0]}_train.txt", action / f"{ACTIONS[1]}_val.txt"]
    return [*files, tree / "Annotations" / "2008_000000.xml"]


def lay_out_birds(root: Path) -> list[Path]:
    home = root / "birds" / "CUB_200_2011"
    ids = ["001.a/1.jpg", "002.b/2.jpg"]
    for image_id in ids:
        write(home / "images" / image_id, b"x")
    lists = {
        "images.txt": f"1 {ids[0]}\n2 {ids[1]}\n",
        "classes.txt": "1 001.a\n2 002.b\n",
        "image_class_labels.txt": "1 1\n2 2\n",
        "train_test_split.txt": "1 1\n2 0\n",
        "bounding_boxes.txt": "1 1.0 2.0 3.0 4.0\n2 1.0 2.0 3.0 4.0\n",
        "parts/part_locs.txt": "".join(
            f"{i} {part} 1.0 2.0 1\n" for i in (1, 2) for part in range(1, 16)
        ),
    }
    for name, text in lists.items():
        write(home / name, text.encode())
    return [home / name for name in lists]


@pytest.mark.parametrize("seed", range(3))
def test_annotations(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        write(tmp_path / "a.xml", damaged(XML, rng))
        try:
            found = read_annotation(tmp_path / "a.xml")
        except DataError:
            continue
        assert np.isfinite([box for _, _, box in found]).all()


@pytest.mark.parametrize(
    ("edge", "allowed", "refused"),
    [("xmin", 0, -2), ("ymin", 0, -2), ("xmax", 41, 42), ("ymax", 31, 99999)],
)
def test_a_box_outside_its_image_is_refused(
    tmp_path: Path, edge: str, allowed: int, refused: int
) -> None:
    def annotated(value: int) -> Path:
        box = {"xmin": 2, "ymin": 3, "xmax": 9, "ymax": 8} | {edge: value}
        edges = "".join(f"<{name}>{at}</{name}>" for name, at in box.items())
        size = "<size><width>40</width><height>30</height></size>"
        named = f"<object><name>cup</name><bndbox>{edges}</bndbox></object>"
        write(tmp_path / "a.xml", f"<annotation>{size}{named}</annotation>".encode())
        return tmp_path / "a.xml"

    assert len(read_annotation(annotated(allowed))) == 1
    with pytest.raises(DataError, match=rf"'cup'.*{refused}.*outside the image of 40 x 30"):
        read_annotation(annotated(refused))


def test_deep_and_growing_annotations_are_bounded(tmp_path: Path) -> None:
    write(tmp_path / "deep.xml", b"<a>" * 100_000)
    entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 50) for n in range(1, 9))
    bomb = (
        b'<!DOCTYPE a [<!ENTITY e0 "x">' + entities + b"]><a><object><name>&e8;</name></object></a>"
    )
    write(tmp_path / "bomb.xml", bomb)
    for name in ("deep", "bomb"):
        with pytest.raises(DataError, match=r"unpack the archive anew|document type or entities"):
            read_annotation(tmp_path / f"{name}.xml")


@pytest.mark.parametrize("name", ["voc2012", "voc2012-actions", "birds"])
def test_lists(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    longest = 0
    files = (lay_out_birds if name == "birds" else lay_out_voc)(tmp_path)
    for number in range(150):
        file = files[number % len(files)]
        whole = file.read_bytes()
        file.write_bytes(damaged(whole, rng))
        try:
            load_dataset(name, tmp_path, allow_partial=True)
            if name == "birds":
                load_parts(tmp_path)
        except DataError as error:
            longest = max(longest, len(str(error)))
        finally:
            file.write_bytes(whole)
    assert 0 < longest < 1000


@pytest.mark.parametrize("text", ["2008_000000 2", "2008_000000 x", "2008_000000 " + "9" * 5000])
def test_a_label_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    file, *_ = lay_out_voc(tmp_path)
    file.write_text(text)
    with pytest.raises(DataError, match=re.escape(file.name) + ": found the label .*, expected 1"):
        load_dataset("voc2012", tmp_path, allow_partial=True)
