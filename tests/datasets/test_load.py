import shutil
import subprocess
import sys

import pytest

from decaf.datasets import ADAPTERS, dataset_infos, load_dataset, read_bytes
from decaf.errors import ConfigError, DataError
from tests.datasets.test_tars import write_tar


@pytest.fixture
def pets(tmp_path):
    for path in ("pets/cat/1.jpg", "pets/cat/2.jpg", "pets/dog/1.jpg", "pets/dog/2.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    (tmp_path / "pets.csv").write_text("path,label\npets/cat/1.jpg,cat\npets/dog/1.jpg,dog\n")
    return tmp_path


def test_a_folder_a_file_and_a_name(pets):
    assert len(load_dataset(pets / "pets").image_ids) == 4
    assert len(load_dataset(str(pets / "pets.csv")).image_ids) == 2
    assert load_dataset("digits", pets).name == "digits"


def test_limit(pets):
    table = load_dataset(pets / "pets", limit=2)
    assert table.image_ids == ("cat/1.jpg", "dog/1.jpg")
    assert table.partial


def test_an_unknown_name_is_told_the_choices(pets):
    with pytest.raises(ConfigError, match="unknown data set 'caltech': found no folder or file of"):
        load_dataset("caltech")
    with pytest.raises(
        ConfigError, match=r"found a file that is no .csv; choose one of: caltech101"
    ):
        load_dataset(pets / "pets" / "cat" / "1.jpg")


def test_every_adapter_goes_by_its_name():
    assert [info.name for info in dataset_infos()] == list(ADAPTERS)


BY_HAND = ("office31",)  # its archive has no lasting address


@pytest.mark.parametrize("info", dataset_infos(), ids=lambda info: info.name)
def test_every_record_is_whole(info, tmp_path):
    assert info.n_images > info.n_classes > 1
    assert info.licence
    assert info.home.startswith("http")
    assert f"{info.n_images} images, {info.n_classes} classes" in info.summary
    assert not info.is_present(tmp_path)
    for archive in info.archives:
        assert bool(archive.urls) == (info.name not in BY_HAND)
        assert archive.checksum is None or archive.checksum.split(":")[0] in ("sha256", "md5")


def test_reading_tables_loads_no_heavy_library():
    code = (
        "import sys, decaf.datasets;"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_packed_data_sets_are_told_to_be_unpacked(pets):
    shutil.make_archive(str(pets / "mine"), "zip", pets, "pets")
    shutil.make_archive(str(pets / "mine"), "gztar", pets, "pets")
    (pets / "mine.zip").rename(pets / "mine.jar")
    with pytest.raises(DataError, match="found a zip archive of another name; rename it to mine"):
        load_dataset(pets / "mine.jar")
    with pytest.raises(DataError, match=r"found a compressed archive.*unpack it"):
        load_dataset(pets / "mine.tar.gz")


@pytest.mark.parametrize("name", ["n" * 5000, "a\0b", "a/" * 3000, "pets/loop", "pets/loop/x"])
def test_names_that_no_file_can_have_are_unknown(pets, name, monkeypatch):
    monkeypatch.chdir(pets)
    (pets / "pets" / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="unknown data set"):
        load_dataset(name)


def test_a_folder_may_have_colons_in_its_name(pets):
    (pets / "pets").rename(pets / "pets::1")
    assert len(load_dataset(pets / "pets::1").image_ids) == 4
    write_tar(pets / "tars::2" / "x.tar", {"a/1.jpg": b"one", "b/1.jpg": b"two"})
    table = load_dataset(pets / "tars::2")
    assert [read_bytes(table, row) for row in range(2)] == [b"one", b"two"]
