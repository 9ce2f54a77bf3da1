"""Nets whose last blocks train: which blocks, and that nothing else moves."""

import pytest
import torch
from quick import slow_unless
from torch import nn

from decaf.backbones import load_backbone, wrap_module
from decaf.backbones.trainable import TrainableNet
from decaf.errors import ConfigError
from decaf.types import Preprocessing

LAST_BLOCKS = [
    ("decaf-mini", "pool5", 5, ("features.conv5", "features.norm5")),
    ("decaf-mini", "fc6", 6, ("classifier.fc6", "classifier.norm6")),
    ("squeezenet1_1", "features.12", 9, ("features.12",)),
    ("squeezenet1_1", "features.12.squeeze", 9, ("features.12",)),
    ("squeezenet1_1", "features.9", 6, ("features.9",)),
    ("resnet18", "pool5", 9, ("layer4.1",)),
    ("resnet18", "fc8", 10, ("fc",)),
    ("alexnet", "fc7", 7, ("classifier.4",)),
    ("convnext_tiny", "pool5", 22, ("features.7.2", "classifier.0")),
    ("timm/vit_tiny_patch16_224", "pool5", 13, ("blocks.11", "norm")),
]


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    chance = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (8, 3, 64, 64), generator=chance).byte()


def mini(layer: str = "pool5", blocks: int | str = 1) -> TrainableNet:
    return TrainableNet(load_backbone("decaf-mini", device="cpu"), layer, "none", blocks)


SMALL = ("decaf-mini", "squeezenet1_1", "resnet18")


@pytest.mark.parametrize(
    ("name", "layer", "n_blocks", "last"), slow_unless(lambda one: one[0] in SMALL, LAST_BLOCKS)
)
def test_the_blocks_of_a_net(name: str, layer: str, n_blocks: int, last: tuple[str, ...]) -> None:
    backbone = load_backbone(name, weights="random", device="cpu")
    if layer not in backbone.layers:
        layer = "norm"
    net = TrainableNet(backbone, layer, "avg", "all")
    assert len(net.blocks) == n_blocks
    assert net.blocks[-1].modules == last
    modules = [name for block in net.blocks for name in block.modules]
    assert len(set(modules)) == len(modules)


@pytest.mark.parametrize(
    ("name", "layer"), [("decaf-mini", "fc7"), ("squeezenet1_1", "features.12"), ("alexnet", "fc6")]
)
def test_the_net_in_two_parts_gives_the_backbones_features(name: str, layer: str) -> None:
    backbone = load_backbone(name, weights="random", device="cpu")
    net = TrainableNet(backbone, layer, "none", 2)
    side = backbone.preprocessing.input_size_px
    pixels = torch.randint(0, 256, (3, 3, side, side)).byte()
    expected = backbone.activations(pixels, [layer])[layer].flatten(1)
    with torch.no_grad():
        torch.testing.assert_close(net(pixels), expected)
        torch.testing.assert_close(net.after(net.frozen(pixels)), expected)
    assert net.splits


def test_a_net_that_looks_back_is_not_split() -> None:
    class LooksBack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, 4)
            self.second = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = self.first(x)
            return self.second(first) + first

    prepared = Preprocessing(32, 32, "bilinear", "center", (0.5,) * 3, (0.2,) * 3)
    backbone = wrap_module(nn.Sequential(LooksBack()), prepared, device="cpu")
    net = TrainableNet(backbone, "0", "avg")
    assert [block.modules for block in net.blocks] == [("0.second",)]
    assert not net.splits


def test_gradients_reach_the_trained_blocks_alone(pixels: torch.Tensor) -> None:
    net = mini(blocks=2).train()
    net(pixels).square().sum().backward()
    reached = {name for name, p in net.net.named_parameters() if p.grad is not None}
    trained = ("features.conv4", "features.norm4", "features.conv5", "features.norm5")
    assert reached == {name for name, _ in net.net.named_parameters() if name.startswith(trained)}
    names = {name for block in net.trained_parameters() for name in block}
    assert names == reached


def test_statistics_of_frozen_normalisations_do_not_move(pixels: torch.Tensor) -> None:
    net = mini().train()
    before = {key: value.clone() for key, value in net.net.state_dict().items()}
    net(pixels)
    moved = {k for k, v in net.net.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {
        f"features.norm5.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert moved <= set(net.trained_state())


def test_statistics_of_trained_normalisations_can_be_kept(pixels: torch.Tensor) -> None:
    backbone = load_backbone("decaf-mini", device="cpu")
    net = TrainableNet(backbone, "pool5", "none", 2, keep_statistics=True).train()
    before = {key: value.clone() for key, value in net.net.state_dict().items()}
    net(pixels).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in net.net.state_dict().items())
    assert net.net.get_submodule("features.norm5").weight.grad is not None


def test_the_backbone_itself_is_not_touched(pixels: torch.Tensor) -> None:
    backbone = load_backbone("decaf-mini", device="cpu")
    before = backbone.activations(pixels, ["pool5"])["pool5"]
    net = TrainableNet(backbone, "pool5", "none", "all").train()
    net(pixels).sum().backward()
    with torch.no_grad():
        for parameter in net.net.parameters():
            parameter.add_(1)
    torch.testing.assert_close(backbone.activations(pixels, ["pool5"])["pool5"], before)


def test_dropout_works_in_the_trained_part_alone(pixels: torch.Tensor) -> None:
    frozen = mini("fc7")
    for net, drops in ((frozen, False), (mini("fc7", 2), True)):
        for name in ("drop5", "drop6"):
            net.net.get_submodule(f"classifier.{name}").p = 0.5
        net.train()
        modes = [net.net.get_submodule(f"classifier.{n}").training for n in ("drop5", "drop6")]
        assert modes == [False, drops]
        assert not any(m.training for m in net.eval().modules())


@pytest.mark.parametrize("blocks", [0, 6])
def test_more_blocks_than_there_are(blocks: int) -> None:
    with pytest.raises(ConfigError, match="has 5; give 1 to 5, or all"):
        mini(blocks=blocks)


def test_what_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match="unknown layer"):
        mini("conv9")
    backbone = load_backbone("decaf-mini", device="cpu", precision="bf16")
    with pytest.raises(ConfigError, match="parameters are trained in fp32"):
        TrainableNet(backbone, "pool5", "none")
