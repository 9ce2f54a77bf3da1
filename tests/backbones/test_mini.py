"""decaf-mini: its shape, its ablations, and the weights that the package carries."""

import hashlib
import re
from pathlib import Path

import pytest
import torch

from decaf.backbones import load_backbone
from decaf.backbones.mini import WEIGHTS, MiniNet
from decaf.errors import ConfigError

CARD = Path(__file__).parents[2] / "docs" / "decaf-mini.md"


@pytest.mark.parametrize(
    ("without", "kinds"),
    [
        ((), (5, 3)),
        (("fc7",), (5, 2)),
        (("fc6", "fc7"), (5, 1)),
        (("conv3", "conv4"), (3, 3)),
        (("conv3", "conv4", "fc6", "fc7"), (3, 1)),
    ],
)
def test_layers_can_be_left_out(without: tuple[str, ...], kinds: tuple[int, int]) -> None:
    net = MiniNet(without).eval()
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    linear = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
    assert (len(convolutions), len(linear)) == kinds
    assert not set(without) & {name.rpartition(".")[2] for name, _ in net.named_modules()}
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 200)


def test_conv5_cannot_be_left_out() -> None:
    with pytest.raises(ConfigError, match="cannot remove conv5; choose from: conv3, conv4"):
        MiniNet(["conv5"])


def test_the_carried_weights_are_those_of_the_card() -> None:
    assert WEIGHTS.stat().st_size <= 8_000_000
    stated = re.search(r"[0-9a-f]{64}", CARD.read_text())
    assert stated is not None
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert digest == stated[0]
    assert load_backbone("decaf-mini", device="cpu").weights_sha256 == digest
