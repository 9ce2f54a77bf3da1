"""One answer to where nets and heads compute."""

import numpy as np
import pytest
import torch
from flat import evaluate, train

from decaf.backbones import load_backbone
from decaf.device import find_device, find_devices
from decaf.errors import ConfigError
from decaf.heads import HEADS


@pytest.fixture
def gpus(monkeypatch):
    """Make torch say how many GPUs there are."""

    def say(number):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return say


@pytest.mark.parametrize(
    ("device", "n_gpus", "expected"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda"]),
        ("cpu", 2, ["cpu"]),
        ("cuda", 1, ["cuda"]),
        ("cuda:1", 2, ["cuda:1"]),
        ("cuda:all", 2, ["cuda:0", "cuda:1"]),
    ],
)
def test_a_name_means_devices(device, n_gpus, expected, gpus):
    gpus(n_gpus)
    assert [str(one) for one in find_devices(device)] == expected
    assert str(find_device(device)) == expected[0]


@pytest.mark.parametrize(
    ("device", "n_gpus", "message"),
    [
        ("tpu", 2, "unknown device 'tpu'; choose one of: auto, cpu, cuda, cuda:N, cuda:all"),
        ("cuda:x", 2, "unknown device"),
        ("cuda:-1", 2, "unknown device"),
        ("cuda:", 2, "unknown device"),
        ("cudax", 2, "unknown device"),
        ("", 2, "unknown device"),
        ("cuda:2", 2, "asked for device 'cuda:2'; found 2 GPUs"),
        ("cuda:99999999999999999999", 2, "unknown device"),
        ("cuda", 0, "no GPU here; choose --device cpu"),
        ("cuda:0", 0, "no GPU here"),
        ("cuda:all", 0, "no GPU here"),
    ],
)
def test_what_is_not_there_is_refused_by_net_and_heads_alike(device, n_gpus, message, gpus):
    gpus(n_gpus)
    with pytest.raises(ConfigError, match=message):
        load_backbone("decaf-mini", device=device)
    X, y = np.eye(20, dtype=np.float32), np.arange(20) % 2
    for head in HEADS.values():
        with pytest.raises(ConfigError, match=message):
            head(device=device).fit(X, y)


def test_a_bad_device_is_refused_before_the_data_are_looked_for(tmp_path):
    with pytest.raises(ConfigError, match="unknown device"):
        evaluate(tmp_path / "none", backbone="decaf-mini", device="gpu")
    with pytest.raises(ConfigError, match="unknown device"):
        train(
            tmp_path / "none", backbone="decaf-mini", device="gpu", out=tmp_path / "m.safetensors"
        )
