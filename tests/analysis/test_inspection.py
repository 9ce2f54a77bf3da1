"""What `inspect` finds in a store, and that planted duplicates are among it."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat import extract
from PIL import Image
from typer.testing import CliRunner

from decaf.analysis.inspection import inspect_store
from decaf.cli.app import app
from decaf.errors import ConfigError, DataError, StoreMismatchError
from decaf.records import Images


def test_layers_are_described_and_compared(store_path, image_folder):
    found = inspect_store(store_path, images=Images(image_folder), quiet=True)
    assert list(found.statistics) == ["features.pool2", "features.pool5"]
    assert (found.n_images, found.n_looked_at) == (25, 25)
    assert {len(norms) for norms in found.norms.values()} == {25}
    np.testing.assert_allclose(np.diag(found.similarity), 1)
    assert np.isfinite(list(found.logme.values())).all()
    assert {(one.n_rows, len(one.scores)) for one in found.kernel.values()} == {(25, 1)}


def test_kernel_analysis_is_written_and_drawn(store_path, tmp_path):
    words = ["--kernel-rows", "9", "--out", str(tmp_path), "--quiet"]
    done = CliRunner().invoke(app, ["inspect", str(store_path), *words])
    assert done.exit_code == 0, done.output
    assert "5 samples of 9 images" in " ".join(done.output.split())
    curves = pd.read_csv(tmp_path / "kernel.csv")
    layers = pd.read_csv(tmp_path / "layers.csv").set_index("layer")
    assert (layers["kernel_rows"] == 9).all()
    for layer, curve in curves.groupby("layer"):
        assert curve["directions"].tolist() == list(range(10))
        np.testing.assert_allclose(1 - curve["error"].mean(), layers["kernel_score"][layer])
    assert 'id="kernels-title"' in (tmp_path / "index.html").read_text()
    none = inspect_store(store_path, kernel_rows=0, quiet=True)
    assert set(none.kernel.values()) == {None}


def test_a_copy_under_another_label_is_found(store_path, image_folder):
    found = inspect_store(store_path, images=Images(image_folder), quiet=True)
    pair = found.duplicates[0]
    assert pair.kind == "same file"
    assert {found.image_ids[row] for row in (pair.first, pair.second)} == {
        "blue/3.png",
        "red/copy.png",
    }
    assert {found.labels[row] for row in (pair.first, pair.second)} == {"blue", "red"}


def test_a_store_is_alike_itself(store_path):
    found = inspect_store(store_path, against=[store_path], layers="features.pool5", quiet=True)
    assert found.similarity_names == (
        "features.pool5",
        "decaf-mini features.pool2",
        "decaf-mini features.pool5",
    )
    np.testing.assert_allclose(found.similarity[0, 2], 1)


def test_stores_of_other_images_cannot_be_compared(store_path, tmp_path, net):
    folder = tmp_path / "others"
    for name in "ab":
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (30, 30)).save(folder / name / "x.png")
    other = extract(
        folder, backbone=net, layers="features.pool2", pool="avg", out=tmp_path, quiet=True
    )
    with pytest.raises(StoreMismatchError, match="found 0 images in common"):
        inspect_store(store_path, against=[other], quiet=True)
    with pytest.raises(DataError, match="found 2 images; give 4"):
        inspect_store(other, quiet=True)


def test_a_wrong_layer_is_said(store_path):
    with pytest.raises(ConfigError, match="unknown layer 'fc9'"):
        inspect_store(store_path, layers="fc9", quiet=True)


def test_the_command_prints_tables_and_writes_files(store_path, image_folder, tmp_path):
    out = tmp_path / "inspected"
    arguments = ["inspect", str(store_path), "--images", str(image_folder), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--quiet"])
    assert done.exit_code == 0, done.output
    assert "effective rank" in done.output
    assert "same file" in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "duplicates.csv",
        "index.html",
        "kernel.csv",
        "layers.csv",
        "similarity.csv",
    ]
    duplicates = pd.read_csv(out / "duplicates.csv")
    assert duplicates.loc[0, ["first_label", "second_label"]].tolist() == ["blue", "red"]
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg") >= 2


def _plant(source: Path, folder: Path) -> int:
    """Copy every fifth image and plant four kinds of copy of every fifth of these."""
    files = sorted(source.glob("*/*.jpg"))[::5]
    copies = folder / "planted"
    copies.mkdir(parents=True)
    for number, path in enumerate(files):
        (folder / path.parent.name).mkdir(exist_ok=True)
        data = path.read_bytes()
        (folder / path.parent.name / path.name).write_bytes(data)
        if number % 5:
            continue
        image = Image.open(io.BytesIO(data)).convert("RGB")
        stem = f"{path.parent.name}__{path.stem}"
        (copies / f"{stem}__copy.jpg").write_bytes(data)
        image.save(copies / f"{stem}__quality.jpg", quality=70)
        half = (max(1, image.width // 2), max(1, image.height // 2))
        image.resize(half).save(copies / f"{stem}__half.jpg")
        mirror = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirror.save(copies / f"{stem}__mirror.jpg")
    return -(-len(files) // 5)


@pytest.mark.data
@pytest.mark.slow
def test_planted_duplicates_among_real_images_are_found(assets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    n_planted = _plant(assets / "data/caltech101/101_ObjectCategories", folder)
    path = extract(
        folder,
        backbone="decaf-mini",
        layers="features.relu4",
        pool="avg",
        view="squash",
        device="cpu",
        out=tmp_path,
        quiet=True,
    )
    found = inspect_store(path, images=Images(folder), mirrored=True, limit=300, quiet=True)

    def origin(row: int) -> tuple[str, str]:
        class_name, name = found.image_ids[row].split("/")
        if class_name != "planted":
            return f"{class_name}__{Path(name).stem}", "original"
        original, kind = Path(name).stem.rsplit("__", 1)
        return original, kind

    ends = [(origin(pair.first), origin(pair.second)) for pair in found.duplicates]
    true = [(a, b) for a, b in ends if a[0] == b[0]]
    # a copy is found if it is paired with its original, or with the original's very file
    same = {"original", "copy"}
    recall = Counter(
        kind
        for kind in ("copy", "quality", "half", "mirror")
        for name in {a[0] for a, _ in true}
        if any(
            a[0] == name and kind in {a[1], b[1]} and same & ({a[1], b[1]} - {kind})
            for a, b in true
        )
    )
    assert min(recall[kind] for kind in ("copy", "quality", "half", "mirror")) >= 0.95 * n_planted
    assert len(ends) - len(true) <= 0.01 * len(ends)
