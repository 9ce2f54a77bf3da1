"""Units of a net, epoch by epoch."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from decaf.backbones import load_backbone
from decaf.cli.app import app
from decaf.errors import DataError
from decaf.insight.units import inputs_of, see_units
from decaf.report import evolution
from decaf.report.evolution import shown_epochs
from decaf.tensor_file import write_tensors


def test_epochs_that_are_shown() -> None:
    assert shown_epochs(3) == [0, 1, 2]
    many = shown_epochs(41)
    assert many[0] == 0
    assert many[-1] == 40
    assert len(many) == 6
    assert (np.diff(many, n=2) >= 0).all()


def test_the_strongest_image_of_each_epoch(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets = [load_backbone("decaf-mini", weights="random", device="cpu", seed=s) for s in (0, 1)]
    for number, net in enumerate(nets):
        state = net._net.net.state_dict()
        write_tensors(tmp_path / f"epoch-{number:03d}.safetensors", state, {"format": "pt"})
    looked = []

    def noted(net, strongest, layer):
        looked.append((net, strongest))
        return see_units(net, strongest, layer)

    monkeypatch.setattr(evolution, "see_units", noted)
    words = [str(tmp_path), str(image_folder), "--layer", "features.pool2", "--units", "3,5",
             "--out", str(tmp_path / "e.png"), "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(app, ["visualize", "evolution", "decaf-mini", *words])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "e.png").stat().st_size > 5000
    for own, (net, strongest) in zip(nets, looked, strict=True):
        assert list(strongest) == [3, 5]
        assert net.weights_sha256 != load_backbone("decaf-mini", device="cpu").weights_sha256
        every = inputs_of(own, [str(path) for path in sorted(image_folder.glob("*/*.png"))])
        activations = own.activations(every, ["features.pool2"])["features.pool2"].amax((2, 3))
        for unit, (pixels,) in strongest.items():
            assert (pixels == every[activations[:, unit].argmax()]).all()


def test_a_folder_without_epochs(image_folder: Path, tmp_path: Path) -> None:
    words = [str(tmp_path), str(image_folder), "--out", str(tmp_path / "e.png")]
    error = CliRunner().invoke(app, ["visualize", "evolution", "decaf-mini", *words]).exception
    assert isinstance(error, DataError)
    assert "keep_epochs=yes" in str(error)
