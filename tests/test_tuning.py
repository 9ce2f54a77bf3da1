"""Fine-tuning as a user does it: trained, killed, gone on with, predicted from, evaluated."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from flat import evaluate, extract, finetune, predict
from safetensors.torch import load_file

from decaf.backbones import load_backbone
from decaf.classifier import Classifier
from decaf.errors import ConfigError, DataError
from decaf.finetuning import Recipe
from decaf.store import FeatureStore

NET = {"backbone": "decaf-mini", "layers": "pool5", "device": "cpu", "precision": "fp32"}
SHORT = Recipe(epochs=3, crops=2, batch_size=8, lr=0.01)


def tune(data: Path, tmp_path: Path, name: str = "m", **options: object) -> Path:
    out = tmp_path / name / "model.safetensors"
    settings = {**NET, "recipe": SHORT, "out": out, "features": tmp_path / "features"}
    return finetune(data, **settings | {"quiet": True} | options)


def weights_of(model: Path) -> Path:
    return model.with_name("model-weights.safetensors")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def hard(folder: Path) -> Path:
    """Turn labels of a folder around now and then, so that no epoch is perfect."""
    lines = ["path,label"]
    for number, path in enumerate(sorted(folder.glob("*/*.png"))):
        label = path.parent.name if number % 3 else ("red", "green", "blue")[number % 9 // 3]
        lines.append(f"{path.relative_to(folder.parent)},{label}")
    manifest = folder.parent / "hard.csv"
    manifest.write_text("\n".join(lines))
    return manifest


@pytest.fixture
def manifest(image_folder: Path) -> Path:
    return hard(image_folder)


def test_a_tuned_net_goes_back_into_extraction_and_prediction(
    manifest: Path, image_folder: Path, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=2, crops=1, batch_size=8, lr=0.01, validation=0)
    model = tune(manifest, tmp_path, recipe=recipe)
    before = load_backbone("decaf-mini", device="cpu")._net.net.state_dict()
    after = load_file(weights_of(model))
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert "features.conv5.weight" in changed
    assert all(key.startswith(("features.conv5", "features.norm5")) for key in changed)
    store = extract(
        image_folder,
        backbone="decaf-mini",
        weights=str(weights_of(model)),
        layers="pool5",
        out=tmp_path / "again.h5",
        device="cpu",
        quiet=True,
    )
    classifier = Classifier.load(model)
    assert classifier.head == "finetune"
    with FeatureStore(store) as features:
        expected = classifier.probabilities(features["pool5"][:])
        names = [str(image_folder / name) for name in features.image_ids]
    out = predict(model, [image_folder], out=tmp_path / "p.csv", all_classes=True, quiet=True)
    found = {(row["path"], row["class"]): float(row["probability"]) for row in read(out)}
    for name, line in zip(names, expected, strict=True):
        for label, value in zip(classifier.class_names, line, strict=True):
            np.testing.assert_allclose(found[name, label], value, atol=2e-6)
    assert not [path for path in model.parent.iterdir() if path.name.startswith("finetune-")]


def test_training_lowers_the_loss_and_the_best_epoch_is_kept(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(epochs=6, batch_size=8, start="random", lr=0.01, head_lr=1.0, crops=1)
    model = tune(image_folder, tmp_path, recipe=recipe, quiet=False)
    said = capsys.readouterr().err.splitlines()[-1]
    assert "fine-tuned features.conv5 for" in said
    start, best = (float(word.split()[0]) for word in said.split("images ")[1].split(", ")[:2])
    assert best > max(start, 0.8)
    rows = read(predict(model, [image_folder], out=tmp_path / "p.csv", quiet=True))
    assert np.mean([row["class"] == Path(row["path"]).parent.name for row in rows]) > 0.9


@pytest.mark.parametrize("refit", [True, False])
def test_weights_of_every_epoch_are_kept(manifest: Path, tmp_path: Path, refit: bool) -> None:
    recipe = Recipe(epochs=2, crops=1, batch_size=8, lr=0.01, keep_epochs=True, refit=refit)
    model = tune(manifest, tmp_path, recipe=recipe)
    files = sorted((model.parent / "model-epochs").iterdir())
    names = [file.name for file in files]
    assert names == [f"epoch-{number:03d}.safetensors" for number in range(len(files))]
    start = load_backbone("decaf-mini", device="cpu")
    states = [load_file(file) for file in files]
    first = load_backbone("decaf-mini", weights=str(files[0]), device="cpu")
    assert all((first._net.net.state_dict()[k] == v).all() for k, v in states[0].items())
    assert first.shape("pool5") == start.shape("pool5")
    whole = load_file(weights_of(model))
    same = [all(torch.equal(one[key], whole[key]) for key in whole) for one in states]
    assert any(same)
    if not refit:
        assert len(files) == 3
        assert sum(same) == 1


def test_epochs_of_an_evaluation_are_not_kept(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give it to decaf finetune"):
        evaluate(manifest, heads="finetune", recipe="keep_epochs=yes", out=tmp_path / "r.csv")


def test_all_blocks_of_a_random_net_are_trained(image_folder: Path, tmp_path: Path) -> None:
    recipe = "epochs=1,batch_size=8,validation=0"
    model = tune(image_folder, tmp_path, weights="random", recipe=f"{recipe},blocks=all")
    before = load_backbone("decaf-mini", weights="random", device="cpu")._net.net.state_dict()
    after = load_file(weights_of(model))
    same = {k for k, v in after.items() if v.is_floating_point() and torch.equal(v, before[k])}
    assert all(key.startswith("classifier") for key in same)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        "epochs=4,batch_size=8,ema_decay=0.9,dropout=0.2,lr=0.01,head_lr=3",
        "epochs=4,batch_size=8,crops=2,lr=0.01,head_lr=3,refit=no",
    ],
)
def test_a_killed_run_ends_with_the_same_weights(
    recipe: str, manifest: Path, tmp_path: Path
) -> None:
    options = {"recipe": f"{recipe},blocks=2", "device": "cpu", "quiet": True}
    whole = tune(manifest, tmp_path, "whole", **options)
    model = tmp_path / "killed" / "model.safetensors"
    words = {"dataset": manifest, "recipe": f"{recipe},blocks=2", "out": model, **NET}
    words |= {"features": tmp_path / "features"}
    command = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    code = "from decaf.cli.app import main; main()"
    killed = subprocess.Popen(
        [sys.executable, "-c", code, "finetune", *command], stderr=subprocess.DEVNULL
    )
    checkpoint = wait_for(tmp_path / "killed", "finetune-*/choice.safetensors")
    first = checkpoint.stat().st_mtime_ns
    while checkpoint.stat().st_mtime_ns == first:  # the start is there; wait for an epoch
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert not model.exists()
    models = [whole, tune(manifest, tmp_path, "killed", **options)]
    whole, resumed = (load_file(weights_of(model)) for model in models)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    heads = [Classifier.load(model).layers for model in models]
    for one, other in zip(*heads, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.slow
def test_two_runs_in_one_folder_leave_each_other_alone(manifest: Path, tmp_path: Path) -> None:
    """Two of the same training and one of another, at once, end as each does alone."""
    recipes = {"a": "epochs=3,batch_size=8", "b": "epochs=3,batch_size=8"}
    recipes["c"] = "epochs=2,batch_size=8"
    extract(manifest, backbone="decaf-mini", layers="pool5", out=tmp_path / "features",
            device="cpu", quiet=True)  # fmt: skip
    code = "from decaf.cli.app import main; main()"
    running = []
    for name, recipe in recipes.items():
        words = {
            "dataset": manifest,
            "recipe": recipe,
            "out": tmp_path / "all" / f"{name}.safetensors",
        }
        words |= {"features": tmp_path / "features", **NET}
        command = [word for key, value in words.items() for word in (f"--{key}", str(value))]
        running.append(subprocess.Popen([sys.executable, "-c", code, "finetune", *command]))
    assert [one.wait(timeout=300) for one in running] == [0, 0, 0]
    found = [load_file(tmp_path / "all" / f"{name}-weights.safetensors") for name in recipes]
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    alone = load_file(weights_of(tune(manifest, tmp_path, recipe=recipes["c"])))
    assert all(torch.equal(found[2][key], alone[key]) for key in alone)
    assert not list((tmp_path / "all").glob("*finetune-*"))


def test_what_a_stopped_run_left_is_named(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("decaf.finetuning.loop.Loop._epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(manifest, tmp_path)
    left = sorted(tmp_path.glob("m/finetune-*"))
    assert len(left) == 2  # the checkpoint's, and that of what splits share
    capsys.readouterr()
    tune(manifest, tmp_path, recipe="epochs=1,batch_size=8")
    said = capsys.readouterr().err
    for folder in left:
        assert f"{folder} is of a training that was stopped" in said
        assert folder.is_dir()
    tune(manifest, tmp_path)
    assert not list(tmp_path.glob("m/finetune-*"))


def wait_for(folder: Path, pattern: str) -> Path:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for path in folder.glob(pattern):
            return path
        time.sleep(0.001)
    raise AssertionError(f"no {pattern} in {folder}")


def test_images_with_several_labels(image_folder: Path, tmp_path: Path) -> None:
    lines = ["path,label"]
    for name, labels in (("red", "red|warm"), ("green", "green"), ("blue", "blue|cold")):
        lines += [f"images/{name}/{i}.png,{labels}" for i in range(8)]
    several = tmp_path / "several.csv"
    several.write_text("\n".join(lines))
    model = tune(several, tmp_path)
    rows = read(predict(model, [several], out=tmp_path / "p.csv", quiet=True))
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(Path(row["path"]).parent.name, set()).add(row["class"])
    assert found == {"red": {"red", "warm"}, "green": {"green"}, "blue": {"blue", "cold"}}


def test_a_tuned_net_stands_beside_the_heads(manifest: Path, tmp_path: Path) -> None:
    table = evaluate(
        manifest,
        backbone="decaf-mini",
        layers="pool5",
        heads="svm,finetune",
        recipe=SHORT,
        splits=2,
        device="cpu",
        features=tmp_path / "features",
        out=tmp_path / "r.csv",
        quiet=True,
    )
    frame = pd.read_csv(tmp_path / "r.csv")
    assert list(frame["head"]) == ["svm", "finetune"]
    svm, tuned = frame.itertuples()
    assert tuned.n_splits == svm.n_splits == 2
    assert (tuned.n_train, tuned.n_test, tuned.digest) == (svm.n_train, svm.n_test, svm.digest)
    for result in table.results[2:]:
        assert "fine-tuned features.conv5 for" in result.notes[-1]
        assert sum(n for _, _, n, _ in result.confusion) == result.n_test
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".h5"]


def test_without_training_the_tuned_net_is_the_linear_head(manifest: Path, tmp_path: Path) -> None:
    """Where no epoch is better than the start, what is tested is the svm itself."""
    still = Recipe(epochs=1, lr=1e-12, head_lr=1e-12, crops=1)
    options = {"layers": "pool5", "splits": 3, "device": "cpu", "normalize": "l2", "quiet": True}
    options |= {"features": tmp_path / "features", "out": tmp_path / "r.csv", "recipe": still}
    table = evaluate(manifest, backbone="decaf-mini", heads="svm,finetune", **options)
    values = [result.value for result in table.results]
    np.testing.assert_allclose(values[:3], values[3:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "model.bin"}, "ends in .safetensors"),
        ({"view": "ten-crop"}, "view 'ten-crop'; choose .* single crop: center, warp, squash"),
        ({"recipe": "blocks=some"}, "give last, a number or all"),
        ({"recipe": "blocks=9"}, "asked to train the last 9 blocks before pool5 of decaf-mini"),
        ({"recipe": "speed=9"}, "unknown part 'speed=9' of a recipe"),
        ({"precision": "fp16"}, "choose one of: auto, fp32, bf16"),
    ],
)
def test_wrong_options(
    options: dict[str, object], message: str, image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(image_folder, tmp_path, **options)


def test_a_damaged_checkpoint_is_said(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("decaf.finetuning.loop.Loop._epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(image_folder, tmp_path)
    (checkpoint,) = tmp_path.glob("m/finetune-*/choice.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"which is damaged .* delete it and run again"):
        tune(image_folder, tmp_path)
