"""Every published layout: the official lists where they are at hand, else their form in small."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from decaf.datasets import ADAPTERS, caltech256, load_dataset
from decaf.datasets.birds import load_parts, part_boxes
from decaf.datasets.voc import CLASSES
from decaf.datasets.voc2012_actions import ACTIONS
from decaf.errors import DataError

METADATA = Path(os.environ.get("DECAF_ASSETS", "absent")) / "metadata"


def touch(root, paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def sides(table, column=0):
    return [int((table.official[:, column] == code).sum()) for code in (1, 2, 3)]


@pytest.fixture(scope="module")
def mit67(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(METADATA / "mit67", root / "mit67")
    for name in ("TrainImages.txt", "TestImages.txt"):
        touch(root / "mit67" / "Images", (METADATA / "mit67" / name).read_text().splitlines())
    return root


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    home = root / "birds" / "CUB_200_2011"
    shutil.copytree(METADATA / "cub200-2011", home)
    lines = (home / "images.txt").read_text().splitlines()
    touch(home / "images", [line.split()[1] for line in lines])
    return root


@pytest.fixture(scope="module")
def voc2007(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    home = root / "voc2007" / "VOCdevkit" / "VOC2007"
    shutil.copytree(METADATA / "voc2007", home)
    ids = [
        number
        for name in ("trainval.txt", "test.txt")
        for number in (home / "ImageSets" / "Main" / name).read_text().split()
    ]
    touch(home / "JPEGImages", [f"{number}.jpg" for number in ids])
    return root


@pytest.mark.data
@pytest.mark.skipif(not METADATA.is_dir(), reason="DECAF_ASSETS names no official lists")
class TestOfficialLists:
    def test_mit67(self, mit67):
        table = load_dataset("mit67", mit67)
        assert len(table.image_ids) == 6700
        assert len(table.class_names) == 67
        assert sides(table) == [5360, 0, 1340]
        per_class = np.bincount(table.labels[table.official[:, 0] == 1])
        assert per_class.min() >= 77
        assert per_class.max() <= 83
        assert "laundromat/laundry room.jpg" in table.image_ids
        assert not table.partial

    def test_birds(self, birds):
        table = load_dataset("birds", birds)
        assert len(table.image_ids) == 11_788
        assert len(table.class_names) == 200
        assert sides(table) == [5994, 0, 5794]
        assert table.class_names[0] == "001.Black_footed_Albatross"
        assert table.image_ids[0] == (
            "001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg"
        )
        np.testing.assert_array_equal(table.boxes[0], [59, 26, 384, 330])
        assert (table.boxes[:, 2:] > table.boxes[:, :2]).all()
        for name, label in zip(table.image_ids, table.labels, strict=True):
            assert name.split("/")[0] == table.class_names[label]

    def test_parts_of_birds(self, birds):
        parts = load_parts(birds)
        assert parts.shape == (11_788, 15, 3)
        np.testing.assert_array_equal(parts[0, 1], [311, 181, 1])
        np.testing.assert_array_equal(np.unique(parts[..., 2]), [0, 1])

    def test_boxes_of_heads_and_bodies(self, birds):
        """As many as the authors' rule gives, and those without in training and test."""
        found = part_boxes(load_parts(birds))
        sides = load_dataset("birds", birds, allow_partial=True).official[:, 0]
        for part, n_boxes, without in (("head", 11_768, (11, 9)), ("body", 11_713, (39, 36))):
            seen = np.isfinite(found[part]).all(1)
            assert seen.sum() == n_boxes
            assert (np.sum(~seen & (sides == 1)), np.sum(~seen & (sides == 3))) == without

    def test_voc2007(self, voc2007):
        table = load_dataset("voc2007", voc2007)
        assert len(table.image_ids) == 9963
        assert table.class_names == CLASSES
        assert sides(table) == [2501, 2510, 4952]
        assert table.image_ids[0] == "JPEGImages/000012.jpg"
        trainval = table.labels[table.official[:, 0] < 3]
        assert trainval.shape == (5011, 20)
        lists = METADATA / "voc2007" / "ImageSets" / "Main"
        for number, name in enumerate(CLASSES):
            published = (lists / f"{name}_trainval.txt").read_text().split()[1::2]
            for label in (-1, 0, 1):
                assert (trainval[:, number] == label).sum() == published.count(str(label))

    @pytest.mark.parametrize("name", ["mit67", "birds", "voc2007"])
    def test_a_lost_image_is_missed(self, name, request):
        root = request.getfixturevalue(name)
        info = ADAPTERS[name].INFO
        table = load_dataset(name, root)
        lost = table.root / table.image_ids[7]
        lost.unlink()
        try:
            first = re.escape(f"1 are missing, first {table.image_ids[7]};")
            with pytest.raises(DataError, match=rf"has {info.n_images} images, .*: {first}"):
                load_dataset(name, root)
            part = load_dataset(name, root, allow_partial=True)
        finally:
            lost.write_bytes(b"x")
        assert part.partial
        assert part.image_ids == table.image_ids[:7] + table.image_ids[8:]
        np.testing.assert_array_equal(part.labels, np.delete(table.labels, 7, axis=0))


def write(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))


@pytest.fixture
def small_voc2012(tmp_path):
    home = tmp_path / "voc2012" / "VOCdevkit" / "VOC2012"
    images = {"train": ["2008_1", "2008_2"], "val": ["2009_1"]}
    for side, ids in images.items():
        touch(home / "JPEGImages", [f"{image}.jpg" for image in ids])
        for name in CLASSES:
            labels = {"2008_1": " 1" if name == "person" else "-1", "2008_2": " 0", "2009_1": "-1"}
            write(
                home / "ImageSets" / "Main" / f"{name}_{side}.txt",
                [f"{image} {labels[image]}" for image in ids],
            )
        for name in ACTIONS:
            write(
                home / "ImageSets" / "Action" / f"{name}_{side}.txt",
                [f"{image}  {n} {1 if name == 'walking' and n == 2 else -1}"
                 for image in ids for n in (1, 2)],
            )  # fmt: skip
        for image in ids:
            write(
                home / "Annotations" / f"{image}.xml",
                ["<annotation><folder>VOC2012</folder>"]
                + [
                    f"<object><name>person</name><bndbox><xmin>{10 * n}.5</xmin><ymin>1</ymin>"
                    f"<xmax>{10 * n + 9}</xmax><ymax>40</ymax></bndbox></object>"
                    for n in (1, 2)
                ]
                + ["</annotation>"],
            )
    return tmp_path


def test_voc2012_has_no_test_side(small_voc2012):
    with pytest.raises(
        DataError, match=r"a line of the official lists \(\(2, 1, 0\) of \(5717, 58"
    ):
        load_dataset("voc2012", small_voc2012)
    table = load_dataset("voc2012", small_voc2012, allow_partial=True)
    assert sides(table) == [2, 1, 0]
    person = CLASSES.index("person")
    np.testing.assert_array_equal(table.labels[:, person], [1, 0, -1])
    np.testing.assert_array_equal(table.labels[:, 0], [-1, 0, -1])


def test_voc2012_actions_have_a_row_a_person(small_voc2012):
    table = load_dataset("voc2012-actions", small_voc2012)
    assert table.image_ids[:3] == ("JPEGImages/2008_1.jpg",) * 2 + ("JPEGImages/2008_2.jpg",)
    assert sides(table) == [4, 2, 0]
    np.testing.assert_allclose(table.boxes[:2], [[9.5, 0, 19, 40], [19.5, 0, 29, 40]])
    np.testing.assert_array_equal(table.labels[:, ACTIONS.index("walking")], [-1, 1] * 3)
    np.testing.assert_array_equal(table.labels[:, 0], [-1] * 6)


def test_voc_lists_that_contradict_each_other_are_refused(small_voc2012):
    lists = small_voc2012 / "voc2012" / "VOCdevkit" / "VOC2012" / "ImageSets"
    write(lists / "Main" / "cow_val.txt", ["2009_9 -1"])
    with pytest.raises(DataError, match=r"cow_val.txt lists other images than aeroplane_val.txt"):
        load_dataset("voc2012", small_voc2012)
    for name in ACTIONS:
        write(lists / "Action" / f"{name}_val.txt", ["2009_1 3 1"])
    with pytest.raises(DataError, match="name object 3 of 2009_1, which has 2"):
        load_dataset("voc2012-actions", small_voc2012)


def test_a_broken_annotation_is_named(small_voc2012):
    annotations = small_voc2012 / "voc2012" / "VOCdevkit" / "VOC2012" / "Annotations"
    (annotations / "2008_2.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"cannot read .*2008_2.xml"):
        load_dataset("voc2012-actions", small_voc2012)


@pytest.fixture
def small_sun397(tmp_path):
    home = tmp_path / "sun397"
    names = ["/a/abbey", "/a/apartment_building/outdoor", "/b/bakery/shop"]
    ids = [f"{name}/sun_{n}.jpg" for name in names for n in "abcd"]
    touch(home / "SUN397", [image_id.strip("/") for image_id in ids])
    touch(home / "SUN397", ["a/abbey/.DS_Store", "README.txt"])
    write(home / "Partitions" / "ClassName.txt", names)
    for partition in range(1, 11):
        shift = partition % 2
        write(home / "Partitions" / f"Training_{partition:02d}.txt", ids[shift::4])
        write(home / "Partitions" / f"Testing_{partition:02d}.txt", ids[2 + shift :: 4])
    return tmp_path


def test_sun397_has_ten_partitions_and_names_of_two_levels(small_sun397):
    table = load_dataset("sun397", small_sun397, allow_partial=True)
    assert table.class_names == ("abbey", "apartment_building/outdoor", "bakery/shop")
    assert table.image_ids[4] == "a/apartment_building/outdoor/sun_a.jpg"
    np.testing.assert_array_equal(table.labels, np.repeat([0, 1, 2], 4))
    assert table.official.shape == (12, 10)
    np.testing.assert_array_equal(table.official[:4, 0], [0, 1, 0, 3])
    np.testing.assert_array_equal(table.official[:4, 9], [1, 0, 3, 0])
    with pytest.raises(DataError, match=r"found 12 .* a line of Training_01.txt \(3 of 19850\)"):
        load_dataset("sun397", small_sun397)


def test_sun397_misses_what_a_partition_names(small_sun397):
    shutil.rmtree(small_sun397 / "sun397" / "SUN397" / "b")
    table = load_dataset("sun397", small_sun397, allow_partial=True)
    assert len(table.image_ids) == 8
    assert len(table.class_names) == 3


@pytest.fixture(scope="module")
def caltech256_root(tmp_path_factory):
    """257 classes that add up to the published count, with the strays of the real archive."""
    root = tmp_path_factory.mktemp("data")
    tree = root / caltech256.INFO.tree
    for number in range(1, 258):
        name = "257.clutter" if number == 257 else f"{number:03d}.thing-{number}"
        count = 30_607 - 256 * 119 if number == 257 else 119
        (tree / name).mkdir(parents=True)
        for image in range(1, count + 1):
            (tree / name / f"{number:03d}_{image:04d}.jpg").touch()
    touch(tree, ["198.thing-198/RENAME2", "056.thing-56/greg/1.jpg", "056.thing-56/bad_name.jpg"])
    return root


def test_caltech256_counts_and_passes_over_strays(caltech256_root):
    table = load_dataset("caltech256", caltech256_root)
    assert len(table.image_ids) == 30_607
    assert len(table.class_names) == 257
    assert table.class_names[-1] == "257.clutter"
    assert not any("RENAME" in name or "greg" in name or "bad" in name for name in table.image_ids)
    assert not table.partial


@pytest.mark.parametrize(
    ("lost", "first"),
    [("003.thing-3/003_0007.jpg", "003_0007.jpg"), ("003.thing-3/003_0119.jpg", "the last image")],
)
def test_caltech256_misses_a_image(caltech256_root, lost, first):
    file = caltech256_root / caltech256.INFO.tree / lost
    file.unlink()
    try:
        with pytest.raises(DataError, match=f"found 30606 .* 1 are missing, first {first}"):
            load_dataset("caltech256", caltech256_root)
        assert load_dataset("caltech256", caltech256_root, allow_partial=True).partial
    finally:
        file.touch()
