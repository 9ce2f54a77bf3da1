import errno
import os
import shutil

import numpy as np
import pytest

from decaf.errors import StoreError, StoreMismatchError
from decaf.store import part as part_module
from decaf.store.layout import plan_layout
from decaf.store.opening import read_header
from decaf.store.part import open_part, part_of, sound_rows


@pytest.fixture
def layout(make):
    return plan_layout(make.provenance(), make.dataset(), make.n_features, 1)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_made_first_and_taken_up_later(layout, tmp_path):
    path = tmp_path / "a.h5"
    for _ in range(2):
        os.close(open_part(path, layout))
        assert names(tmp_path) == ["a.h5.part"]
        assert not sound_rows(path).any()


def test_a_layout_that_was_being_made_when_killed_is_made_again(layout, tmp_path):
    (tmp_path / "a.h5.part.new").write_bytes(b"half a layout" * 10_000)
    os.close(open_part(tmp_path / "a.h5", layout))
    assert names(tmp_path) == ["a.h5.part"]
    assert not sound_rows(tmp_path / "a.h5").any()


def test_space_is_reserved_for_every_row(make, tmp_path):
    layout = plan_layout(make.provenance(n_images=20_000), make.dataset(20_000), make.n_features, 1)
    os.close(open_part(tmp_path / "a.h5", layout))
    stat = (tmp_path / "a.h5.part").stat()
    assert stat.st_blocks * 512 >= stat.st_size > 20_000 * 8 * 4


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_other_settings_are_named_with_both_values(make, layout, tmp_path, suffix):
    made = make.store(tmp_path / "a.h5", pooling="avg", precision="bf16")
    made.rename(f"{made}{suffix}")
    with pytest.raises(StoreMismatchError, match="pooling: asked none, found avg; precision: ask"):
        open_part(tmp_path / "a.h5", layout)
    assert names(tmp_path) == [f"a.h5{suffix}"]


def test_a_complete_store_is_left_alone(make, layout, tmp_path):
    path = make.store(tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="found it complete"):
        open_part(path, layout)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_a_foreign_file_is_left_alone(layout, tmp_path, suffix):
    (tmp_path / f"a.h5{suffix}").write_text("precious")
    with pytest.raises(StoreError, match="no store"):
        open_part(tmp_path / "a.h5", layout)
    assert (tmp_path / f"a.h5{suffix}").read_text() == "precious"


def test_a_store_begun_by_another_in_the_meantime_is_left_alone(layout, tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    monkeypatch.setattr(part_module, "require_space", lambda *_: part_of(path).write_text("other"))
    with pytest.raises(StoreError, match="another process has just begun"):
        open_part(path, layout)
    assert part_of(path).read_text() == "other"
    assert names(tmp_path) == ["a.h5.part"]


def test_a_layout_for_which_there_is_no_space_is_removed(layout, tmp_path, monkeypatch):
    def reserve(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(part_module, "reserve", reserve)
    with pytest.raises(OSError, match="full"):
        open_part(tmp_path / "a.h5", layout)
    assert names(tmp_path) == []


def test_no_layout_is_begun_where_it_would_not_fit(layout, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=layout.n_bytes - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="No space left"):
        open_part(tmp_path / "a.h5", layout)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["features/fc6", "crc32/fc6", "image_sha256", "row_crc32", "done"])
def test_a_row_that_a_power_cut_left_unsound_is_not_done(make, tmp_path, flip, name):
    path = tmp_path / "a.h5"
    with make.writer(path) as writer:
        writer.write(np.arange(6), make.features(range(6)), make.sha256(range(6)))
    column = read_header(part_of(path)).columns[name]
    flip(part_of(path), column.offset + 2 * column.row_bytes)
    np.testing.assert_array_equal(np.flatnonzero(sound_rows(path)), [0, 1, 3, 4, 5])
