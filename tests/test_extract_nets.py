"""Several nets in one pass over the images: each store is as if it had been filled alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flat import evaluate, train
from flat import extract as flat_extract
from typer.testing import CliRunner

from decaf import Cluster, Compute, Net, View, extract, extract_nets
from decaf.cli.app import app
from decaf.engines import batch, local
from decaf.errors import ConfigError
from decaf.store import FeatureStore, verify

SMALL, OTHER = (
    Net("decaf-mini", weights="random", layers="pool5,fc7"),
    Net("squeezenet1_1", weights="random", layers="features.3", pool="avg"),
)
ON_CPU = Compute(device="cpu", quiet=True, batch_size=5)


def assert_same(found: Path, expected: Path) -> None:
    """Two stores hold the same, and say the same of images that could not be used."""
    assert verify(found) == []
    with FeatureStore(found) as one, FeatureStore(expected) as other:
        assert one.digest == other.digest
        for layer in other.layers:
            np.testing.assert_array_equal(one[layer][:], other[layer][:])
        for name in ("done", "image_sha256", "image_stamp", "image_sizes_px"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    reasons = [path.with_suffix(".failures.csv").read_text() for path in (found, expected)]
    assert reasons[0] == reasons[1]


@pytest.fixture
def images(image_folder: Path) -> Path:
    (image_folder / "green" / "3.png").write_bytes(b"<html>not found</html>")
    return image_folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how long each file is that is decoded."""
    decode, lengths = batch.decode, []

    def noting(data: bytes, *more: Any) -> Any:
        lengths.append(len(data))
        return decode(data, *more)

    monkeypatch.setattr(batch, "decode", noting)
    return lengths


def alone(images: Path, net: Net, folder: Path) -> Path:
    return extract(images, net, compute=ON_CPU, out=folder / "alone" / net.backbone)


def test_images_are_decoded_once_and_stores_are_those_of_each_net(
    images: Path, tmp_path: Path, decoded: list[int]
) -> None:
    found = extract_nets(images, [SMALL, OTHER], compute=ON_CPU, out=tmp_path)
    assert len(decoded) == 24
    assert len(set(found)) == 2
    for path, net in zip(found, (SMALL, OTHER), strict=True):
        assert_same(path, alone(images, net, tmp_path))
    decoded.clear()
    again = extract_nets(images, [OTHER, SMALL], compute=ON_CPU, out=tmp_path)
    assert again == found[::-1]
    assert decoded == []


@pytest.mark.parametrize("begun", [(SMALL, OTHER), (OTHER,)])
def test_a_pass_goes_on_where_each_store_was(
    images: Path,
    tmp_path: Path,
    decoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
    begun: tuple[Net, ...],
) -> None:
    load_batches, n_loaded = local.load_batches, 0

    def ends(*given: Any) -> Any:
        nonlocal n_loaded
        n_loaded += 1
        if n_loaded > 2:
            raise KeyboardInterrupt
        return load_batches(*given)

    one_thread = Compute(device="cpu", quiet=True, batch_size=5, workers=0)
    with monkeypatch.context() as patch:
        patch.setattr(local, "load_batches", ends)
        with pytest.raises(KeyboardInterrupt):
            extract_nets(images, begun, compute=one_thread, out=tmp_path)
    assert len(list(tmp_path.glob("*.part"))) == len(begun)
    decoded.clear()
    found = extract_nets(images, [SMALL, OTHER], compute=one_thread, out=tmp_path)
    assert len(decoded) == (14 if len(begun) == 2 else 24)
    for path, net in zip(found, (SMALL, OTHER), strict=True):
        assert_same(path, alone(images, net, tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": Cluster(engine="ray")}, "2 nets in one pass by engine 'ray'"),
        ({"view": View("dense")}, "2 nets in one pass over dense patches"),
        ({"out": "one.h5"}, "2 nets in one pass into the one store"),
        ({"nets": [SMALL, SMALL]}, "found two that are the same"),
        ({"nets": []}, "one or more, found none"),
        ({"nets": [SMALL, "alexnet"]}, "found.*alexnet"),
    ],
)
def test_what_cannot_share_a_pass_is_refused(
    images: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    options = {"nets": [SMALL, OTHER], "compute": ON_CPU, "out": tmp_path / "f"} | options
    with pytest.raises(ConfigError, match=message):
        extract_nets(images, **options)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("verb", [flat_extract, train])
def test_where_one_net_is_taken_several_are_refused(
    images: Path, tmp_path: Path, verb: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigError, match="asked for one net, found 2: alexnet,vgg16"):
        verb(images, backbone="alexnet,vgg16", weights="random", out=tmp_path / "m.safetensors")


TWO = ["--backbone", "decaf-mini,decaf-mini", "--weights", "imagenet,random", "--device", "cpu"]


def test_the_command_prints_each_store(images: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["extract", "--dataset", str(images), *TWO, "--out", str(tmp_path / "f")]
    )
    assert done.exit_code == 0, done.output
    weights = [FeatureStore(Path(path)).provenance.weights for path in done.stdout.split()]
    assert weights[1] == "random"
    assert len(set(weights)) == 2
    assert "24 images through 2 nets" in done.stderr


def test_several_nets_make_one_table(images: Path, tmp_path: Path, decoded: list[int]) -> None:
    options = {"layers": "fc7", "splits": 1, "device": "cpu", "quiet": True}
    table = evaluate(
        images,
        backbone="decaf-mini,decaf-mini",
        weights="imagenet,random",
        features=tmp_path / "f",
        out=tmp_path / "r.csv",
        **options,
    )
    assert len(decoded) == 24
    assert len({row.weights for row in table.results}) == 2
