"""All windows of a larger image from one pass."""

import numpy as np
import pytest
import torch
from quick import slow_unless
from torch import nn

from decaf.backbones import TorchBackbone, dense_pass, load_backbone, wrap_module
from decaf.errors import BackboneError
from decaf.types import Preprocessing

SIDE = 31
PREPROCESSING = Preprocessing(SIDE, SIDE, "bilinear", "center", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


class Unpadded(nn.Module):
    """A small AlexNet without padding: stride 4, maps of 4 x 4, two fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 12, 3), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(12 * 4 * 4, 20), nn.ReLU(inplace=True), nn.Linear(20, 7)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


def unpadded() -> TorchBackbone:
    torch.manual_seed(0)
    return wrap_module(Unpadded(), PREPROCESSING, device="cpu")


def new_image(height: int, width: int) -> torch.Tensor:
    chance = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=chance)


def cropped(net, image, layers, rows, columns, grid):
    crops = [
        image[:, r * grid.stride_px :, c * grid.stride_px :][:, : grid.side_px, : grid.side_px]
        for r in rows
        for c in columns
    ]
    return net.activations(torch.stack(crops), layers)


@pytest.mark.parametrize("layers", [["classifier.2"], ["features"], ["features.3", "classifier.3"]])
def test_windows_are_the_images_cut_out(layers):
    net = unpadded()
    dense = dense_pass(net, layers)
    assert dense.grid.stride_px == 4
    assert dense.window == (4, 4)
    image = new_image(SIDE + 5 * 4, SIDE + 7 * 4)
    rows, columns = np.array([0, 2, 5]), np.array([0, 1, 4, 7])
    found = dense.features(image, rows, columns)
    wanted = cropped(net, image, layers, rows, columns, dense.grid)
    for layer in layers:
        assert found[layer].shape == wanted[layer].shape
        torch.testing.assert_close(found[layer], wanted[layer], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layers", "stride"),
    slow_unless(
        lambda one: one[0] in ("decaf-mini", "squeezenet1_0"),
        [("decaf-mini", ["fc6", "fc7"], 8), ("squeezenet1_0", ["features.12"], 16),
         ("alexnet", ["pool5", "fc6"], 32), ("resnet18", ["pool5"], 32)],
    ),
)  # fmt: skip
def test_a_image_of_the_nets_own_size_is_one_window(name, layers, stride):
    net = load_backbone(name, weights="random", device="cpu")
    dense = dense_pass(net, layers)
    assert dense.grid.stride_px == stride
    image = new_image(dense.grid.side_px, dense.grid.side_px)
    found = dense.features(image, np.array([0]), np.array([0]))
    wanted = net.activations(image[None], layers)
    for layer in layers:
        torch.testing.assert_close(found[layer], wanted[layer], rtol=1e-3, atol=1e-4)


def test_where_maps_are_padded_windows_are_near_the_images_cut_out():
    net = load_backbone("decaf-mini", device="cpu")
    dense = dense_pass(net, ["fc6"])
    image = nn.functional.interpolate(new_image(8, 10)[None].float(), (112, 144), mode="bilinear")
    image = image[0].to(torch.uint8)
    rows, columns = np.array([0, 1, 3]), np.array([0, 2, 5])
    found = dense.features(image, rows, columns)["fc6"]
    wanted = cropped(net, image, ["fc6"], rows, columns, dense.grid)["fc6"]
    likeness = nn.functional.cosine_similarity(found, wanted)
    assert likeness.min() > 0.5
    others = nn.functional.cosine_similarity(found, wanted.roll(4, 0))
    assert likeness.mean() > others.mean() + 0.1


@pytest.mark.parametrize(("name", "layer"), [("vit_b_32", "pool5")])
def test_nets_of_a_fixed_input_say_so(name, layer):
    net = load_backbone(name, weights="random", device="cpu")
    with pytest.raises(BackboneError, match="view 'patches'"):
        dense_pass(net, [layer])
