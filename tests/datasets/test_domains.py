"""Folders of domains, and the domain of each row on its way into a store."""

from pathlib import Path

import numpy as np
import pytest
from flat import extract
from layouts import Painter
from small_folders import OPTIONS

from decaf.datasets import load_dataset, slice_rows
from decaf.errors import ConfigError, DataError
from decaf.store import FeatureStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for domain, classes in {"sketch": ("cat", "dog"), "photo": ("dog", "owl", "cat")}.items():
        for name in classes:
            Painter()(tmp_path / "pets" / domain / name, ["1.png", "2.png"])
    return tmp_path / "pets"


def test_rows_have_domains_and_the_classes_of_all_of_them(folder):
    table = load_dataset(folder, by_domain=True)
    assert table.class_names == ("cat", "dog", "owl")
    assert list(table.domains) == ["photo"] * 6 + ["sketch"] * 4
    for image_id, label, domain in zip(table.image_ids, table.labels, table.domains, strict=True):
        assert image_id.startswith(f"{domain}/{table.class_names[label]}/")
    assert list(slice_rows(table, slice(5, 7)).domains) == ["photo", "sketch"]
    assert len(load_dataset(folder, by_domain=True, limit=4).domains) == 4


def test_other_layouts_are_explained(folder, image_folder):
    with pytest.raises(DataError, match="holds a folder of images"):
        load_dataset(folder)
    with pytest.raises(DataError, match="holds 8 images outside of class folders"):
        load_dataset(image_folder, by_domain=True)
    (folder / "photo" / "train").mkdir()
    for name in ("cat", "dog", "owl"):
        (folder / "photo" / name).rename(folder / "photo" / "train" / name)
    Painter()(folder / "photo" / "test" / "cat", ["3.png"])
    with pytest.raises(DataError, match="a split of its own"):
        load_dataset(folder, by_domain=True)
    with pytest.raises(ConfigError, match="does not have"):
        load_dataset("digits", folder, by_domain=True)


def test_a_store_holds_the_domains_and_their_order_is_part_of_the_table(folder, tmp_path):
    options = {**OPTIONS, "layers": "fc6", "quiet": True, "domains": "photo:sketch"}
    path = extract(folder, **options, out=tmp_path / "features")
    with FeatureStore(path) as store:
        assert store.domains == store.image_table().domains == ("photo",) * 6 + ("sketch",) * 4
        assert store.provenance.dataset_digest
    (folder / "sketch").rename(folder / "drawing")
    with pytest.raises(ConfigError, match=r"'photo:sketch' of pets, found drawing, photo"):
        extract(folder, **options, out=tmp_path / "features")
    other = extract(folder, **options | {"domains": "photo:drawing"}, out=tmp_path / "features")
    assert other != path
    with FeatureStore(other) as store:
        assert set(store.domains) == {"photo", "drawing"}


def test_office_of_other_counts_says_of_which_domain(data_root):
    with pytest.raises(DataError, match=r"first some of amazon: 15 of 2817"):
        load_dataset("office31", data_root)
    table = load_dataset("office31", data_root, allow_partial=True)
    assert table.partial
    assert table.image_ids[0] == "amazon/images/back_pack/frame_0001.jpg"
    counts = dict(zip(*np.unique(list(table.domains), return_counts=True), strict=True))
    assert counts == {"amazon": 15, "dslr": 15, "webcam": 15}
