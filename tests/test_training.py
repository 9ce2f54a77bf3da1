"""Train, predict and export as a user does, on a folder of images."""

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from flat import predict, train
from quick import slow_unless
from typer.testing import CliRunner

from decaf.backbones import load_backbone
from decaf.classifier import Classifier
from decaf.cli.app import app
from decaf.errors import BackboneError, ConfigError, DataError
from decaf.heads.scores import calibrate, scores_of
from decaf.images.decode import decode
from decaf.images.views import make_view
from decaf.onnx_model import export
from decaf.tensor_file import write_tensors
from decaf.trained_net import load_net
from decaf.transformer import DecafFeatures

NET = {"backbone": "decaf-mini", "weights": "random", "layers": "pool5", "device": "cpu"}


@pytest.fixture
def model(image_folder: Path, tmp_path: Path) -> Path:
    return fit(image_folder, tmp_path)


def fit(folder: Path, tmp_path: Path, **options: object) -> Path:
    out = tmp_path / "model.safetensors"
    settings = {**NET, "out": out, "features": tmp_path / "features", "quiet": True}
    return train(folder, **settings | options)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "head", slow_unless("logreg-dropout".__ne__, ["svm", "logreg", "logreg-dropout"])
)
@pytest.mark.parametrize("normalize", ["l2", "standard"])
def test_a_model_tells_the_classes_of_the_images(
    head: str, normalize: str, image_folder: Path, tmp_path: Path
) -> None:
    held_out = tmp_path / "new"
    held_out.mkdir()
    for name in ("blue", "green", "red"):
        shutil.move(image_folder / name / "7.png", held_out / f"{name}.png")
    model = fit(image_folder, tmp_path, head=head, normalize=normalize)
    rows = read(predict(model, [held_out], out=tmp_path / "p.csv", device="cpu", quiet=True))
    assert [row["class"] for row in rows] == [Path(row["path"]).stem for row in rows]
    assert all(1 / 3 < float(row["probability"]) <= 1 for row in rows)


def test_the_probabilities_are_those_of_the_head_on_the_nets_features(
    image_folder: Path, tmp_path: Path
) -> None:
    model = fit(image_folder, tmp_path, head="logreg", view="ten-crop", pool="avg")
    classifier = Classifier.load(model)
    paths = sorted(image_folder.glob("red/*.png"))
    features = DecafFeatures(
        "decaf-mini", weights="random", layer="pool5", pool="avg", view="ten-crop", device="cpu"
    )
    X = features.fit(paths).transform(paths)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    ((weight, bias),) = classifier.layers
    expected = torch.from_numpy(X @ weight.T + bias).softmax(1).numpy()
    out = predict(
        model, [image_folder / "red"], out=tmp_path / "p.csv", all_classes=True, quiet=True
    )
    rows = read(out)
    assert len(rows) == 3 * len(paths)
    found = {(Path(row["path"]).name, row["class"]): float(row["probability"]) for row in rows}
    for path, line in zip(paths, expected, strict=True):
        for name, value in zip(classifier.class_names, line, strict=True):
            np.testing.assert_allclose(found[path.name, name], value, atol=2e-6)
    for first, second in itertools.pairwise(rows):
        if first["path"] == second["path"]:
            assert float(first["probability"]) >= float(second["probability"])


def test_images_with_several_labels_get_all_likely_ones(image_folder: Path, tmp_path: Path) -> None:
    lines = ["path,label"]
    for name, labels in (("red", "red|warm"), ("green", "green"), ("blue", "blue|cold")):
        lines += [f"images/{name}/{i}.png,{labels}" for i in range(8)]
    manifest = tmp_path / "many.csv"
    manifest.write_text("\n".join(lines))
    model = fit(manifest, tmp_path)
    rows = read(predict(model, [manifest], out=tmp_path / "p.csv", quiet=True))
    found = {}
    for row in rows:
        found.setdefault(Path(row["path"]).parent.name, set()).add(row["class"])
    assert found == {"red": {"red", "warm"}, "green": {"green"}, "blue": {"blue", "cold"}}


def test_two_classes_have_two_probabilities(image_folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(image_folder / "red")
    model = fit(image_folder, tmp_path)
    out = predict(model, [image_folder], out=tmp_path / "p.csv", all_classes=True, quiet=True)
    rows = read(out)
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert {first["class"], second["class"]} == {"blue", "green"}
        assert first["class"] == Path(first["path"]).parent.name
        np.testing.assert_allclose(
            float(first["probability"]) + float(second["probability"]), 1, atol=2e-6
        )


def test_the_official_test_side_does_not_train(image_folder: Path, tmp_path: Path) -> None:
    """Test images of swapped labels leave the model as it is without them."""
    official, alone = tmp_path / "official", tmp_path / "alone" / "images"
    for name, other in (("blue", "red"), ("green", "blue"), ("red", "green")):
        for folder in (official / "train" / name, official / "test" / other, alone / name):
            folder.mkdir(parents=True)
        for i in range(8):
            source = image_folder / name / f"{i}.png"
            shutil.copy(
                source, official / ("test" if i > 5 else "train") / (other if i > 5 else name)
            )
            if i < 6:
                shutil.copy(source, alone / name)
    with_test = Classifier.load(fit(official, tmp_path))
    without = Classifier.load(fit(alone, tmp_path))
    for (W, b), (V, c) in zip(with_test.layers, without.layers, strict=True):
        np.testing.assert_allclose(W, V, atol=1e-4)
        np.testing.assert_allclose(b, c, atol=1e-4)


def test_other_weights_are_refused(model: Path, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="was trained on decaf-mini with weights random"):
        predict(model, [image_folder], out=tmp_path / "p.csv", weights="imagenet")
    assert not (tmp_path / "p.csv").exists()


def test_unreadable_images_are_listed(
    model: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (image_folder / "red" / "broken.png").write_bytes(b"no image")
    out = predict(model, [image_folder], out=tmp_path / "p.csv", max_failures=0.1)
    assert len(read(out)) == 24
    (failure,) = read(tmp_path / "p.failures.csv")
    assert failure["path"].endswith("broken.png")
    assert "1 images could not be used" in capsys.readouterr().err
    with pytest.raises(DataError, match="max-failures"):
        predict(model, [image_folder], out=tmp_path / "p.csv", max_failures=0, quiet=True)


def test_images_are_found_in_files_folders_and_lists(
    model: Path, image_folder: Path, tmp_path: Path
) -> None:
    listed = image_folder / "some.txt"
    listed.write_text("red/1.png\n\nblue/2.png\n")
    table = image_folder / "some.csv"
    table.write_text("number,path\n1,green/3.png\n")
    items = [listed, table, image_folder / "red" / "5.png", image_folder / "blue"]
    rows = read(predict(model, items, out=tmp_path / "p.csv", quiet=True))
    names = [str(Path(row["path"]).relative_to(image_folder)) for row in rows]
    assert names[:4] == ["red/1.png", "blue/2.png", "green/3.png", "red/5.png"]
    assert names[4:] == [f"blue/{i}.png" for i in range(8)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("file,label\n", "one of them must be path"),
        ("path\n", "no images"),
    ],
)
def test_a_wrong_list_is_said(
    content: str | None, message: str, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        predict(model, [path], out=tmp_path / "p.csv", quiet=True)


def test_a_wrong_model_is_said(image_folder: Path, tmp_path: Path) -> None:
    for content in (b"", b"no model at all", None):
        path = tmp_path / "m.safetensors"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match="asked for the model"):
            predict(path, [image_folder], out=tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "knn"}, "keeps the training images"),
        ({"head": "tree"}, "unknown head 'tree'; choose one of: svm"),
        ({"out": "model.pkl"}, "ends in .safetensors"),
        ({"view": "sideways"}, "unknown view"),
    ],
)
def test_wrong_options_of_training(
    options: dict[str, object], message: str, image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(image_folder, tmp_path, **options)


def test_calibration_finds_the_scale_and_offset_of_scores() -> None:
    """Labels drawn from the probabilities of logits; scores are the logits, stretched and moved."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    factors, offsets = calibrate(logits * 7, labels)
    np.testing.assert_allclose(factors, [1 / 7], rtol=0.05)
    assert offsets == [0]
    signs = np.where(rng.random(logits.shape) < 1 / (1 + np.exp(-logits)), 1, -1)
    stretch, move = np.array([5, 0.2, 1, 1]), np.array([0, 1, -2, 0])
    scores = (logits - move) * stretch
    signs[:9_000, 3], scores[:9_000, 3] = 0, 1e3  # of these rows nothing is known
    factors, offsets = calibrate(scores, signs)
    np.testing.assert_allclose(factors, 1 / stretch, rtol=0.06)
    np.testing.assert_allclose(offsets, move, atol=0.1)


def test_calibration_where_a_class_has_no_row() -> None:
    """Columns are those of the head's classes, not of the labels that there happen to be."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    without = labels != 1
    expected, _ = calibrate(logits * 7, labels, np.arange(4))
    found, _ = calibrate(logits[without] * 7, labels[without], np.arange(4))
    np.testing.assert_allclose(found, expected, rtol=0.2)
    named = np.array([3, 5, 6, 9])
    same, _ = calibrate(logits[without] * 7, named[labels[without]], named)
    np.testing.assert_array_equal(same, found)
    two = np.array([4, 8])
    scores = rng.normal(size=5_000) * 2
    drawn = two[(rng.random(5_000) < 1 / (1 + np.exp(-scores))).astype(int)]
    second = drawn == 8
    np.testing.assert_allclose(
        calibrate(scores[second], drawn[second], two)[0],
        calibrate(np.stack([0 * scores, scores], 1)[second], drawn[second], two)[0],
    )


def test_scores_of_a_head_that_knows_some_classes_stand_in_their_columns() -> None:
    scores = np.array([[1.0, -2.0], [3.0, 4.0]])
    found = scores_of(scores, np.array([2, 7]), np.array([1, 2, 5, 7]))
    np.testing.assert_array_equal(found, [[-2, 1, -2, -2], [-2, 3, -2, 4]])
    one = scores_of(np.array([3.0, -1.0]), np.array([0, 2]), np.arange(3))
    np.testing.assert_array_equal(one, [[0, -1, 3], [0, -1, -1]])
    assert scores_of(scores, np.arange(2), np.arange(2)) is scores


def test_a_label_of_one_image_does_not_end_training(tmp_path: Path, image_folder: Path) -> None:
    lines = ["path,label"]
    for path in sorted(image_folder.glob("*/*.png")):
        words = [path.parent.name, *(["even"] if int(path.stem) % 2 == 0 else [])]
        words += ["unicorn"] if (path.parent.name, path.stem) == ("red", "7") else []
        lines.append(f"{path.relative_to(image_folder.parent)},{'|'.join(words)}")
    manifest = image_folder.parent / "rare.csv"
    manifest.write_text("\n".join(lines))
    model = fit(manifest, tmp_path)
    assert "unicorn" in Classifier.load(model).class_names


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("multilabel", slow_unless(bool, [False, True]))
def test_an_onnx_file_gives_the_same_probabilities(
    multilabel: bool, image_folder: Path, tmp_path: Path
) -> None:
    data = image_folder
    if multilabel:
        data = tmp_path / "many.csv"
        lines = [f"images/{n}/{i}.png,{n}" for n in ("red", "blue") for i in range(8)]
        lines += [f"images/green/{i}.png,blue|red" for i in range(8)]
        data.write_text("\n".join(["path,label", *lines]))
    model = fit(data, tmp_path, pool="grid:2")
    file = export(model)
    assert file == model.with_suffix(".onnx")
    classifier = Classifier.load(model)
    net = load_net(classifier, device="cpu")
    paths = sorted(image_folder.glob("*/*.png"))
    images = [decode(path.read_bytes()) for path in paths]
    pixels = torch.stack([make_view(i, classifier.view, net.preprocessing) for i in images])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": pixels.numpy()})
    out = predict(model, paths, out=tmp_path / "p.csv", all_classes=True, quiet=True)
    by_name = {(row["path"], row["class"]): float(row["probability"]) for row in read(out)}
    expected = [[by_name[str(path), name] for name in classifier.class_names] for path in paths]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    about = {p.key: json.loads(p.value) for p in onnx.load(file).metadata_props}
    assert about["class_names"] == list(classifier.class_names)
    assert about["preprocessing"]["input_size_px"] == 64
    assert about["preprocessing"]["view"] == "center"


def test_a_model_with_its_net_needs_no_other_file(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "net.safetensors"
    write_tensors(weights, load_backbone("decaf-mini", weights="random").state_for("fc7"), {})
    model = fit(image_folder, tmp_path, weights=str(weights))
    images = sorted(image_folder.glob("*/*.png"))
    expected = read(predict(model, images, out=tmp_path / "p.csv", quiet=True))
    whole = export(model, to="safetensors")
    assert whole == tmp_path / "model-with-net.safetensors"
    alone = tmp_path / "elsewhere" / "m.safetensors"
    alone.parent.mkdir()
    whole.rename(alone)
    weights.unlink()
    monkeypatch.chdir(alone.parent)
    assert read(predict(alone, images, out=tmp_path / "q.csv", quiet=True)) == expected
    carried = Classifier.load(alone).net
    assert not [name for name in carried if name.startswith(("fc6", "fc7", "fc8"))]
    damaged = bytearray(alone.read_bytes())
    damaged[-5] ^= 1
    alone.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        Classifier.load(alone)


def test_what_cannot_be_exported(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of: onnx, safetensors"):
        export(tmp_path / "m.safetensors", to="coreml")
    model = fit(image_folder, tmp_path, view="ten-crop")
    with pytest.raises(ConfigError, match="several crops"):
        export(model)


def test_the_commands(image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    net = ["--backbone", "decaf-mini", "--weights", "random", "--layers", "pool5"]
    done = run.invoke(app, ["train", "--dataset", str(image_folder), *net])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == "model.safetensors"
    assert "on held-out folds" in done.stderr
    done = run.invoke(app, ["predict", "model.safetensors", str(image_folder), "--all"])
    assert done.exit_code == 0, done.output
    assert len(read(tmp_path / "predictions.csv")) == 24 * 3
