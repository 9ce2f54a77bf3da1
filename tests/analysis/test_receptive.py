from types import SimpleNamespace

import pytest
import torch

from decaf.analysis.receptive import receptive_extents
from decaf.backbones import load_backbone


def net(*modules, size=64):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*modules).requires_grad_(requires_grad=False)
    return SimpleNamespace(
        preprocessing=SimpleNamespace(input_size_px=size),
        device=torch.device("cpu"),
        with_gradients=lambda given, names: {names[0]: layers(given)},
    )


@pytest.mark.parametrize(
    ("modules", "extents"),
    [
        ([torch.nn.Conv2d(3, 4, 16, 16)], [(0, 16), (16, 32), (32, 48), (48, 64)]),
        ([torch.nn.Conv2d(3, 4, 32, 16, 8)], [(0, 24), (8, 40), (24, 56), (40, 64)]),
        ([torch.nn.Conv2d(3, 4, 6, 20)], [(0, 6), (20, 26), (40, 46)]),  # small ones are finer
        (
            [torch.nn.Conv2d(3, 8, 8, 8), torch.nn.ReLU(), torch.nn.MaxPool2d(2)],
            [(0, 16), (16, 32), (32, 48), (48, 64)],
        ),
    ],
)
def test_extents_are_those_of_the_arithmetic(modules, extents):
    assert receptive_extents(net(*modules), "map") == extents


def test_a_global_average_sees_everything():
    everything = net(torch.nn.Conv2d(3, 4, 8, 8), torch.nn.AdaptiveAvgPool2d(1))
    assert receptive_extents(everything, "map") == [(0, 64)]


def test_faster_convolutions_do_not_widen_what_a_unit_sees():
    fast = load_backbone("alexnet", weights="random", device="cpu")
    assert fast.convolutions == "winograd"
    extents = receptive_extents(fast, "features.3")
    assert {end - start for start, end in extents[6:-6]} <= {52, 54}  # 51 px, in strips of 2
