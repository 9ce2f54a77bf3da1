"""Checkpoints as they are found: other names, no head, another head, more or fewer blocks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from quick import slow_unless
from torch import nn
from torchvision.models import resnet18, resnet34

from decaf.backbones import TorchBackbone, load_backbone, wrap_module
from decaf.backbones.trainable import TrainableNet
from decaf.errors import BackboneError
from decaf.types import Preprocessing

State = dict[str, torch.Tensor]
PIXELS = torch.randint(0, 256, (2, 3, 224, 224), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(1)
    return resnet18().state_dict()


@pytest.fixture(scope="module")
def expected(state: State, tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return layer4(load(state, tmp_path_factory.mktemp("whole")))


def load(content: object, folder: Path, name: str = "resnet18") -> TorchBackbone:
    torch.save(content, folder / "net.pth.tar")
    return load_backbone(name, weights=str(folder / "net.pth.tar"), device="cpu")


def layer4(net: TorchBackbone) -> torch.Tensor:
    return net.activations(PIXELS, ["layer4"])["layer4"]


def named(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def without(state: State, *parts: str) -> State:
    return {k: v for k, v in state.items() if not any(part in k for part in parts)}


FORMS: dict[str, Callable[[State], object]] = {
    "no counters": lambda s: without(s, "num_batches_tracked"),
    "nested": lambda s: {"state_dict": s, "epoch": 3},
    "nested as model": lambda s: {"model": s, "optimizer": {"lr": 0.1}},
    "nested twice": lambda s: {"state_dict": {"model": s}},
    "of DataParallel": lambda s: {"state_dict": named(s, "module.")},
    "of MoCo": lambda s: {
        "state_dict": named(without(s, "fc."), "module.encoder_q.")
        | {"module.queue": torch.zeros(4, 8), "module.encoder_q.fc.0.weight": torch.zeros(8, 512)}
    },
    "a backbone": lambda s: (
        named(without(s, "fc."), "backbone.") | {"decode_head.weight": torch.zeros(3)}
    ),
    "headless": lambda s: without(s, "fc."),
    "another head": lambda s: s | {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)},
}


QUICK = ("no counters", "of DataParallel", "headless")


@pytest.mark.parametrize("form", slow_unless(QUICK.__contains__, FORMS))
def test_layers_that_a_checkpoint_determines_are_read(
    form: str, state: State, expected: torch.Tensor, tmp_path: Path
) -> None:
    net = load(FORMS[form](state), tmp_path)
    assert torch.equal(layer4(net), expected)
    assert net.default_layers == ("pool5",)


@pytest.mark.parametrize(
    "form", slow_unless("headless".__eq__, ["of MoCo", "a backbone", "headless", "another head"])
)
def test_layers_that_a_checkpoint_lacks_are_refused(
    form: str, state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = load(FORMS[form](state), tmp_path)
    with pytest.raises(BackboneError, match=r"fc8 .*fc\.weight.*choose one of: .*layer4"):
        net.activations(PIXELS, ["fc8"])
    with pytest.raises(BackboneError, match="fc8"):
        TrainableNet(net, "fc8", "none")
    assert "fc8" not in net.layers
    assert "fc.weight" in net.weights_fit
    assert net.weights_fit in capsys.readouterr().err


def test_what_was_taken_off_the_names_is_said(state: State, tmp_path: Path) -> None:
    assert "'module.' was taken off" in load(named(state, "module."), tmp_path).weights_fit
    assert load(state, tmp_path).weights_fit == ""


def test_a_deeper_net_gives_the_blocks_that_both_have(
    state: State, expected: torch.Tensor, tmp_path: Path
) -> None:
    """All parameters of a ResNet-18 are in a ResNet-34, which computes with more."""
    torch.manual_seed(2)
    deep = resnet34().state_dict()
    assert deep.keys() >= state.keys()
    net = load(deep, tmp_path)
    (found,) = net.activations(PIXELS, ["layer1.1"]).values()
    (right,) = load(deep, tmp_path, "resnet34").activations(PIXELS, ["layer1.1"]).values()
    assert torch.equal(found, right)
    for layer in ("layer1", "layer2.0", "layer4", "pool5"):
        with pytest.raises(BackboneError, match="unexpected"):
            net.activations(PIXELS, [layer])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "conv1"), r"missing \(conv1\.weight"),
        (lambda s: {"a.weight": torch.zeros(3)}, "do not fit resnet18"),
        (lambda s: {}, "do not fit resnet18"),
        (lambda s: s | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, r"\(64, 1, 7, 7\) instead of"),
        (lambda s: {k: v.to(torch.int8) for k, v in s.items()}, "int8"),
        (lambda s: s | {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, "not finite"),
        (lambda s: s | {"bn1.bias": torch.full((64,), torch.inf)}, "not finite"),
    ],
)
def test_weights_that_determine_nothing_are_refused(
    change: Callable[[State], State], message: str, state: State, tmp_path: Path
) -> None:
    with pytest.raises(BackboneError, match=message):
        load(change(state), tmp_path)


def test_what_is_missing_counts_where_a_layer_depends_on_it(tmp_path: Path) -> None:
    """In a net of two branches, one branch is read without the other's weights."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
            self.both = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            right = self.right(x)
            return self.both(self.left(x) + right)

    from decaf.backbones import loading
    from decaf.backbones.own_nets import define_module

    torch.manual_seed(0)
    prepared = Preprocessing(16, 16, "bilinear", "center", (0.5,) * 3, (0.5,) * 3)
    whole = wrap_module(Branches(), prepared, device="cpu")
    torch.save(without(whole._net.net.state_dict(), "right"), tmp_path / "left.pth")
    made = define_module(Branches(), prepared, "branches")
    options = {"precision": "fp32", "runtime": "torch", "seed": 0}
    net = loading._load(made, str(tmp_path / "left.pth"), "cpu", **options)
    assert list(net.layers) == ["left"]
    pixels = PIXELS[..., :16, :16]
    found, right = (n.activations(pixels, ["left"])["left"] for n in (net, whole))
    np.testing.assert_allclose(found.numpy(), right.numpy(), rtol=1e-5, atol=1e-6)


def test_alexnets_convolutions_give_pool5(assets: Path) -> None:
    path = str(assets / "weights" / "alexnet-conv.safetensors")
    net = load_backbone("alexnet", weights=path, device="cpu")
    assert net.default_layers == ("pool5",)
    assert net.activations(PIXELS, ["pool5"])["pool5"].isfinite().all()
    with pytest.raises(BackboneError, match=r"fc6 .*missing \(classifier\.1\.weight.*pool5"):
        net.shape("fc6")
