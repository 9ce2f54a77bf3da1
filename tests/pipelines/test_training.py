"""The training scripts run on small images, go on where they were, and write what decaf reads."""

import io
import runpy
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from decaf.backbones import load_backbone

PIPELINES = Path(__file__).parents[2] / "pipelines"
N_IMAGES = 30  # a class, 25 of them held out


@pytest.fixture(scope="module")
def tiny_imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-imagenet")
    numbers = np.random.default_rng(0)
    (folder / "wnids.txt").write_text("n01\tdark\nn02\tlight\n")
    with zipfile.ZipFile(folder / "train-part0.zip", "w") as archive:
        for label, wnid in enumerate(("n01", "n02")):
            for number in range(N_IMAGES):
                tones = numbers.integers(0, 100, (64, 64, 3)) + 150 * label
                file = io.BytesIO()
                Image.fromarray(tones.astype(np.uint8)).save(file, "JPEG")
                archive.writestr(f"train/{wnid}/{wnid}_{number}.JPEG", file.getvalue())
    return folder


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.syspath_prepend(PIPELINES)
    return runpy.run_path(str(PIPELINES / f"{name}.py"))


def test_pretraining_writes_weights_that_decaf_reads(
    tiny_imagenet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = script("pretrain_mini", monkeypatch)["main"]
    weights = {}
    for name in ("whole", "stopped"):
        out = tmp_path / name / "mini.safetensors"
        out.parent.mkdir()
        arguments = [str(tiny_imagenet), "--out", str(out), "--epochs", "2"]
        if name == "stopped":
            end_after(1, main, arguments, monkeypatch)
        main(arguments)
        net = load_backbone("decaf-mini", weights=str(out), device="cpu")
        weights[name] = net.weights_sha256
        assert f"sha256 {net.weights_sha256}" in capsys.readouterr().out
        assert out.stat().st_size <= 8_000_000
    assert weights["whole"] == weights["stopped"]


def end_after(
    epochs: int, main: object, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run until the net is kept for the nth time, and stop there as Ctrl-C does."""
    import mini_training

    keep = mini_training.keep

    def keep_and_stop(*state: object) -> None:
        keep(*state)
        if state[3] == epochs:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mini_training, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            main(arguments)


def test_the_ablation_prints_the_published_column(
    tiny_imagenet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = script("ablate_depth", monkeypatch)["main"]
    main([str(tiny_imagenet), "--out", str(tmp_path), "--epochs", "1"])
    assert "published val top-1" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "errors.csv")
    assert list(table["published val top-1"]) == [40.5, 40.0, 44.8, 45.4, 71.3]
    assert (table.parameters.diff().dropna()[:2] < 0).all()
    assert table["val top-1"].between(0, 100).all()
