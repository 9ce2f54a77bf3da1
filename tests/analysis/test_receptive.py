from types import SimpleNamespace

import pytest
import torch

from decaf.analysis.receptive import receptive_extents


def net(*modules, size=64):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*modules).requires_grad_(requires_grad=False)
    return SimpleNamespace(
        preprocessing=SimpleNamespace(input_size_px=size),
        device=torch.device("cpu"),
        activations=lambda batch, names: {names[0]: layers(batch.float() / 255)},
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
