"""`DecafFeatures` among scikit-learn's tools: copies, processes, tables, wrong input."""

import copy
import io
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline

from decaf import DecafFeatures
from decaf.backbones.mini import WEIGHTS
from decaf.errors import BackboneError, ConfigError, DataError


@pytest.fixture
def paths(image_folder: Path) -> list[str]:
    return sorted(map(str, image_folder.glob("*/*.png")))


def dumped(estimator: object) -> object:
    stream = io.BytesIO()
    joblib.dump(estimator, stream)
    assert stream.tell() < 100_000  # the net itself is not in it
    stream.seek(0)
    return joblib.load(stream)


@pytest.mark.parametrize("copied", [copy.deepcopy, dumped])
def test_copies_of_a_fitted_transformer_give_the_same(copied, paths: list[str]) -> None:
    features = DecafFeatures("decaf-mini", layer="fc6", device="cpu").fit(paths)
    expected = features.transform(paths)
    twin = copied(features)
    np.testing.assert_array_equal(twin.transform(paths), expected)
    np.testing.assert_array_equal(features.transform(paths), expected)
    assert twin.get_feature_names_out().tolist() == features.get_feature_names_out().tolist()


def test_a_copy_refuses_weights_that_have_changed(paths: list[str], tmp_path: Path) -> None:
    file = tmp_path / "mini.safetensors"
    file.write_bytes(WEIGHTS.read_bytes())
    features = DecafFeatures("decaf-mini", weights=str(file), device="cpu").fit(paths)
    twin = dumped(features)
    data = bytearray(file.read_bytes())
    data[-4:] = np.float32(0.5).tobytes()
    file.write_bytes(data)
    with pytest.raises(BackboneError, match="fitted with weights"):
        twin.transform(paths)


@pytest.mark.slow
def test_a_pipeline_is_validated_in_two_processes(paths: list[str]) -> None:
    features = DecafFeatures("decaf-mini", device="cpu", pool="avg")
    model = make_pipeline(features, LogisticRegression())
    labels = [Path(path).parent.name for path in paths]
    found = cross_validate(model, paths, labels, cv=2, n_jobs=2, return_estimator=True)
    assert found["test_score"].min() > 0.9
    assert (found["estimator"][0].predict(paths) == np.array(labels)).mean() > 0.9


def test_before_fitting_nothing_is_transformed(paths: list[str]) -> None:
    for features in (DecafFeatures("decaf-mini"), clone(DecafFeatures("decaf-mini"))):
        with pytest.raises(NotFittedError):
            features.transform(paths)
        with pytest.raises(NotFittedError):
            dumped(features).transform(paths)


def test_a_column_of_paths_is_read_as_its_paths(paths: list[str]) -> None:
    features = DecafFeatures("decaf-mini", device="cpu").fit(paths)
    expected = features.transform(paths)
    frame = pd.DataFrame({"path": paths})
    for given in (frame, frame["path"], np.array(paths)[:, None], tuple(map(Path, paths))):
        np.testing.assert_array_equal(features.transform(given), expected)
    assert features.transform([]).shape == (0, expected.shape[1])


def test_what_is_no_list_of_paths_is_refused(paths: list[str]) -> None:
    features = DecafFeatures("decaf-mini", device="cpu").fit(paths)
    frame = pd.DataFrame({"path": paths, "label": paths})
    for given in (paths[0], Path(paths[0]), frame, np.zeros((3, 4)), [1, 2], [None], 7):
        with pytest.raises(DataError, match="asked for features of"):
            features.transform(given)


@pytest.mark.parametrize(
    "options",
    [
        {"layer": "pool5"},
        {"pool": "avg", "layer": "pool5"},
        {"view": "squash"},
        {"weights": "random"},
        {"weights": "random", "seed": 1},
        {"precision": "bf16"},
        {"backbone": "squeezenet1_1", "weights": "random"},
        {"batch_size": 1},
    ],
)
def test_every_option_does_something(options: dict[str, object], paths: list[str]) -> None:
    plain = {"backbone": "decaf-mini", "device": "cpu", "batch_size": 5}
    if "seed" in options:
        plain["weights"] = "random"
    found = DecafFeatures(**plain | options).fit(paths).transform(paths[:3])
    expected = DecafFeatures(**plain).fit(paths).transform(paths[:3])
    if "batch_size" in options:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    else:
        assert found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 3}, "seed is for weights 'random'"),
        ({"batch_size": 0}, "at least 1"),
        ({"view": "sideways"}, "view"),
        ({"pool": "median"}, "pool"),
        ({"precision": "fp8"}, "precision"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DecafFeatures("decaf-mini", **options).fit([])


def test_the_loaded_net_is_an_attribute(paths: list[str]) -> None:
    features = DecafFeatures("decaf-mini", device="cpu").fit(paths)
    assert features.backbone_.device == torch.device("cpu")
    assert features.backbone_ is features.backbone_
