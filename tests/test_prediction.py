"""Each image that goes into `predict` comes out, as a row or as a failure with a reason."""

import csv
import dataclasses
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from flat import predict, train
from torchvision.models import resnet18

from decaf.classifier import Classifier
from decaf.errors import BackboneError, ConfigError, DataError
from decaf.trained_net import load_net

QUIET = {"device": "cpu", "quiet": True}


@pytest.fixture(params=["center", "patches"])
def model(request: pytest.FixtureRequest, image_folder: Path, tmp_path: Path) -> Path:
    return fit(image_folder, tmp_path, view=request.param)


@pytest.fixture
def plain(image_folder: Path, tmp_path: Path) -> Path:
    return fit(image_folder, tmp_path)


def fit(folder: Path, tmp_path: Path, **options: object) -> Path:
    net = {"backbone": "decaf-mini", "layers": "pool5"}
    more = {"patches_per_image": 4} if options.get("view") == "patches" else {}
    out = {"out": tmp_path / "model.safetensors", "features": tmp_path / "features"}
    return train(folder, **{**net, **QUIET, **more, **out, **options})


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_images_come_out_in_the_lists_order_with_repeats(
    model: Path, image_folder: Path, tmp_path: Path
) -> None:
    names = ["red/1.png", "blue/2.png", "red/1.png", "red/1.png", "green/3.png", "blue/2.png"]
    listed = image_folder / "list.txt"
    listed.write_text("\n".join(names))
    rows = read(predict(model, [listed], out=tmp_path / "p.csv", all_classes=True, **QUIET))
    found = [row["path"] for row in rows[::3]]
    assert [str(Path(path).relative_to(image_folder)) for path in found] == names
    by_place = [tuple(row.values()) for row in rows]
    assert by_place[:3] == by_place[6:9] == by_place[9:12]
    once = read(predict(model, [image_folder / "red" / "1.png"], out=tmp_path / "q.csv", **QUIET))
    assert once[0]["class"] == rows[0]["class"]


def test_every_image_is_a_row_or_a_failure_that_can_be_given_back(
    model: Path, image_folder: Path, tmp_path: Path
) -> None:
    broken = [image_folder / "red" / f"{i}.png" for i in (1, 4)]
    whole = {path: path.read_bytes() for path in broken}
    for path in broken:
        path.write_bytes(b"no image")
    items = [image_folder, broken[1], image_folder / "red"]
    out = predict(model, items, out=tmp_path / "out" / "p.csv", max_failures=0.5, **QUIET)
    assert len({row["path"] for row in read(out)}) == 22
    failures = out.with_name("p.failures.csv")
    assert [row["path"] for row in read(failures)] == list(map(str, broken))
    assert all(row["reason"] for row in read(failures))
    for path, data in whole.items():
        path.write_bytes(data)
    again = predict(model, [failures], out=tmp_path / "out" / "again.csv", **QUIET)
    assert [row["path"] for row in read(again)] == list(map(str, broken))
    predict(model, items, out=out, **QUIET)
    assert not failures.exists()


def test_a_run_that_ends_by_its_failures_lists_them(
    plain: Path, image_folder: Path, tmp_path: Path
) -> None:
    broken = sorted(image_folder.glob("*/[0-3].png"))
    for path in broken:
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="max-failures"):
        predict(plain, [image_folder], out=tmp_path / "p.csv", **QUIET)
    assert sorted(row["path"] for row in read(tmp_path / "p.failures.csv")) == list(
        map(str, broken)
    )


def test_a_name_that_is_not_utf8_is_a_failure(
    plain: Path, image_folder: Path, tmp_path: Path
) -> None:
    name = os.fsencode(image_folder / "red") + b"/caf\xe9.png"
    shutil.copy(image_folder / "red" / "1.png", name)
    out = predict(plain, [image_folder], out=tmp_path / "p.csv", **QUIET)
    assert len(read(out)) == 24
    (failure,) = read(tmp_path / "p.failures.csv")
    assert failure["path"].endswith("caf\\xe9.png")
    assert "UTF-8" in failure["reason"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_a_head_that_is_not_finite_is_refused(
    part: int, value: float, plain: Path, image_folder: Path, tmp_path: Path
) -> None:
    good = Classifier.load(plain)
    layer = [values.copy() for values in good.layers[0]]
    layer[part].flat[0] = value
    dataclasses.replace(good, layers=(tuple(layer),)).save(plain)
    with pytest.raises(DataError, match="not finite"):
        predict(plain, [image_folder], out=tmp_path / "p.csv", **QUIET)
    assert not (tmp_path / "p.csv").exists()


def test_features_that_are_not_finite_are_failures(
    plain: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = torch.nn.AdaptiveMaxPool2d.forward

    def spoilt(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        found = pool(self, x)
        found[:3] = torch.nan
        return found

    monkeypatch.setattr(torch.nn.AdaptiveMaxPool2d, "forward", spoilt)
    options = {**QUIET, "max_failures": 0.5, "workers": 0, "batch_size": 24}  # all at once
    out = predict(plain, [image_folder], out=tmp_path / "p.csv", **options)
    failures = read(tmp_path / "p.failures.csv")
    assert len(read(out)) == 21
    assert ["not finite" in row["reason"] for row in failures] == [True] * 3
    with pytest.raises(DataError, match="max-failures"):
        predict(plain, [image_folder], out=out, **{**options, "max_failures": 0.1})


@pytest.fixture
def moved(image_folder: Path, tmp_path: Path) -> Path:
    """Return a model of a file of weights, both moved to another folder."""
    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), tmp_path / "r18.pth")
    options = {"backbone": "resnet18", "weights": str(tmp_path / "r18.pth"), "limit": 9}
    model = fit(image_folder, tmp_path, **options)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.move(tmp_path / "r18.pth", folder)
    return Path(shutil.move(model, folder))


def test_weights_are_found_beside_a_moved_model(
    moved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier.load(moved)
    assert load_net(classifier).weights == "r18.pth"
    monkeypatch.chdir(moved.parent)
    assert load_net(Classifier.load(Path(moved.name))).weights == "r18.pth"
    (tmp_path / "r18.pth").write_bytes(b"others, where it was in training")
    assert load_net(classifier).weights == "r18.pth"
    kept = Path(shutil.move(moved.parent / "r18.pth", tmp_path / "renamed.pth"))
    with pytest.raises(BackboneError, match=r"was trained on resnet18 .*r18\.pth.*--weights"):
        load_net(classifier)
    (tmp_path / "r18.pth").unlink()
    with pytest.raises(BackboneError, match=r"looked for .*elsewhere.*; say with --weights") as e:
        load_net(classifier)
    assert "random" not in str(e.value)
    assert "imagenet" not in str(e.value)
    assert load_net(classifier, weights=str(kept)).weights == "renamed.pth"


def test_models_have_ordinary_modes(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    ordinary = stat.S_IMODE((tmp_path / "other").stat().st_mode)
    assert stat.S_IMODE(plain.stat().st_mode) == ordinary


def test_a_model_of_a_gpus_pixels_can_be_used_without_one(
    plain: Path, image_folder: Path, tmp_path: Path
) -> None:
    dataclasses.replace(Classifier.load(plain), decoder="gpu").save(plain)
    out = predict(plain, [image_folder], out=tmp_path / "p.csv", decoder="auto", **QUIET)
    assert len(read(out)) == 24


def test_neither_the_model_nor_a_list_is_overwritten(
    plain: Path, image_folder: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "x.failures.csv"
    listed.write_text(f"path\n{image_folder / 'red' / '1.png'}\n")
    before = plain.read_bytes(), listed.read_bytes()
    for out in (plain, listed, tmp_path / "x.csv"):  # the last one's failures would be the list
        with pytest.raises(ConfigError, match=r"give a(nother)? name"):
            predict(plain, [listed], out=out, **QUIET)
    assert (plain.read_bytes(), listed.read_bytes()) == before


def test_a_model_that_is_a_pipe_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(DataError, match="found no regular file; give a trained one"):
        predict(tmp_path / "m.safetensors", [tmp_path], out=tmp_path / "p.csv", **QUIET)
