"""fc6 and fc7 from a stored pool5, other poolings from maps: the same bits, no image touched."""

from pathlib import Path

import numpy as np
import pytest
from flat import extract

from decaf.engines import local, stored
from decaf.store import FeatureStore, verify

OPTIONS = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "quiet": True}


@pytest.mark.parametrize(
    ("view", "runtime"), [("center", "torch"), ("ten-crop", "torch"), ("ten-crop", "onnx")]
)
def test_deeper_layers_follow_to_the_bit_without_a_image(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str, runtime: str
) -> None:
    (many / "a" / "16.png").write_bytes(b"broken")
    options = {**OPTIONS, "view": view, "limit": 48, "runtime": runtime}
    whole = extract(many, **options, layers="pool5,fc6,fc7", out=tmp_path / "whole.h5")
    folder = tmp_path / "stores"
    extract(many, **options, layers="pool5", out=folder)
    monkeypatch.setattr(local, "load_batches", None)  # what reads images
    found = extract(many, **options, layers="fc6,fc7", out=folder)
    with FeatureStore(found) as deeper, FeatureStore(whole) as expected:
        assert deeper.layers == ("fc6", "fc7")
        for layer in deeper.layers:
            np.testing.assert_array_equal(deeper[layer][:], expected[layer][:])
        np.testing.assert_array_equal(deeper.done, expected.done)
        np.testing.assert_array_equal(deeper.image_sha256, expected.image_sha256)
        assert (~deeper.done).sum() == 1
    assert verify(found) == []
    reasons = [path.with_suffix(".failures.csv").read_text() for path in (found, whole)]
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize(
    ("layer", "pool", "view", "runtime"),
    [
        ("features.pool2", "rmac", "center", "torch"),
        ("pool5", "gem:3", "ten-crop", "torch"),
        ("pool5", "avg", "center", "onnx"),
    ],
)
def test_stored_maps_are_pooled_to_the_bit_without_an_image(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    layer: str, pool: str, view: str, runtime: str,
) -> None:  # fmt: skip
    options = {**OPTIONS, "view": view, "limit": 6, "runtime": runtime}
    whole = extract(many, **options, layers=layer, pool=pool, out=tmp_path / "whole.h5")
    extract(many, **options, layers=f"{layer},fc6", out=tmp_path / "stores")
    monkeypatch.setattr(local, "load_batches", None)  # what reads images
    found = extract(many, **options, layers=layer, pool=pool, out=tmp_path / "stores")
    with FeatureStore(found) as pooled, FeatureStore(whole) as expected:
        np.testing.assert_array_equal(pooled[layer][:], expected[layer][:])
        assert pooled.provenance == expected.provenance
        assert pooled.done.all()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"precision": "bf16"},
        {"runtime": "onnx"},
        {"dtype": "float16"},
        {"view": "warp"},
    ],
)
def test_a_pool5_of_other_settings_is_no_start(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, object]
) -> None:
    options = {**OPTIONS, "limit": 4, "out": tmp_path}
    extract(many, **options | other, layers="pool5")
    monkeypatch.setattr(stored, "FeatureStore", None)  # to start from a store, it is opened
    with FeatureStore(extract(many, **options, layers="fc7")) as store:
        assert store.done.all()


def test_pooled_maps_are_no_start(many: Path, tmp_path: Path) -> None:
    options = {**OPTIONS, "limit": 4, "out": tmp_path}
    extract(many, **options, layers="pool5", pool="avg")
    with FeatureStore(extract(many, **options, layers="fc7", pool="avg")) as store:
        assert store.done.all()


def test_windows_of_one_pass_do_not_start_at_stored_ones(many: Path, tmp_path: Path) -> None:
    options = {**OPTIONS, "limit": 2, "view": "dense", "patch_scales": "1"}
    extract(many, **options, layers="pool5", out=tmp_path)
    found, fresh = (
        extract(many, **options, layers="fc6", out=out) for out in (tmp_path, tmp_path / "fresh")
    )
    with FeatureStore(found) as one, FeatureStore(fresh) as other:
        np.testing.assert_array_equal(one["fc6"][:], other["fc6"][:])


def test_layers_that_need_more_than_pool5_are_computed_from_images(
    many: Path, tmp_path: Path
) -> None:
    options = {**OPTIONS, "limit": 4, "out": tmp_path}
    extract(many, **options, layers="pool5")
    with FeatureStore(extract(many, **options, layers="features.conv3,fc7")) as store:
        assert store["features.conv3"][:].any()
