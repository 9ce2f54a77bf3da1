"""Weights come from where they are said to, whole and of the right shape."""

import hashlib
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision.models import squeezenet1_1

from decaf.backbones import load_backbone, torchvision_nets
from decaf.backbones.weights import local_weights, published_weights
from decaf.errors import BackboneError


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return squeezenet1_1().state_dict()


def test_safetensors_and_pth_give_the_same_net(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    safetensors.torch.save_file(state, tmp_path / "net.safetensors")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "net.pth")
    pixels = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    read = []
    for name in ("net.safetensors", "net.pth"):
        net = load_backbone("squeezenet1_1", weights=str(tmp_path / name), device="cpu")
        assert net.weights == name
        assert net.weights_sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        read.append(net.activations(pixels, ["pool5"])["pool5"])
    torch.testing.assert_close(*read)


def test_a_state_dict_that_does_not_fit_names_its_keys(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    state["extra.weight"] = state.pop("features.0.weight")
    state["classifier.1.bias"] = torch.zeros(10)
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(BackboneError) as error:
        load_backbone("squeezenet1_1", weights=str(path), device="cpu")
    message = str(error.value)
    assert "1 missing (features.0.weight)" in message
    assert "1 unexpected (extra.weight)" in message
    assert "classifier.1.bias (10,) instead of (1000,)" in message


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


def test_a_pickle_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"x": Payload()}, tmp_path / "net.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    for name in ("net.pth", "plain.pth"):
        with pytest.raises(BackboneError, match="more than tensors"):
            local_weights(tmp_path / name)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.safetensors", b"not a net", "cannot read weights"),
        ("net.pth", b"", "cannot read weights"),
        ("net.bin", b"", "give a .safetensors, .pth, .pt, .onnx, .caffemodel, .tar file"),
    ],
)
def test_a_file_that_is_not_weights(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackboneError, match=message):
        local_weights(tmp_path / name)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "net.pth")
    with pytest.raises(BackboneError, match="holds a list, not a state dict"):
        local_weights(tmp_path / "net.pth")


def test_published_weights_are_checked_against_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, torch.Tensor]
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    entry = torchvision_nets.weights_entry("squeezenet1_1", "imagenet")
    cached = tmp_path / "checkpoints" / Path(entry.url).name
    cached.parent.mkdir()
    torch.save(state, cached)
    with pytest.raises(BackboneError, match=r"is damaged: its sha256 is.*delete the file"):
        published_weights("imagenet", entry)


def test_weights_that_cannot_be_fetched_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_args: object, **_options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    entry = torchvision_nets.weights_entry("alexnet", "imagenet")
    with pytest.raises(BackboneError, match=r"cannot be fetched.*or give a file"):
        published_weights("imagenet", entry)
