"""A square that moves over an image shows what an answer rests on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion
from plain_nets import small_net
from torch import nn

from decaf.analysis.receptive import receptive_extents
from decaf.backbones import TorchBackbone, load_backbone
from decaf.errors import ConfigError
from decaf.insight.asked import Occlusion
from decaf.insight.occlusion import ClassScores, Occluded, occlude, own_classes, places
from decaf.insight.units import inputs_of
from decaf.report.occlusion_maps import occlusion_figure

Wrap = Callable[[nn.Module], TorchBackbone]


def run(net: TorchBackbone, pixels: torch.Tensor, **options: object) -> Occluded:
    size = options.pop("batch_size", 32)
    asked = Occlusion(**options)  # type: ignore[arg-type]
    return occlude(net, pixels, own_classes(net), asked, batch_size=size, quiet=True)  # type: ignore[arg-type]


@pytest.fixture
def pixels() -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (3, 24, 24), generator=draw, dtype=torch.uint8)


def test_places_end_flush_with_the_border() -> None:
    assert places(224, 50, 8).tolist() == [*range(0, 174, 8), 174]
    assert len(places(224, 50, 8)) == 23  # 529 places
    assert places(24, 24, 3).tolist() == [0]
    assert places(24, 8, 8).tolist() == [0, 8, 16]
    with pytest.raises(ConfigError, match="a square of 25 px, found an input of 24"):
        places(24, 25, 1)


@pytest.mark.parametrize(("square", "stride"), [(8, 8), (8, 4), (12, 6)])
def test_probabilities_are_those_of_captum(
    square: int, stride: int, wrap: Wrap, pixels: torch.Tensor
) -> None:
    """Captum gives a pixel the mean loss over the squares that cover it."""
    plain = small_net()

    def probability(x: torch.Tensor) -> torch.Tensor:
        return plain(x.float() / 255).softmax(1)

    expected = CaptumOcclusion(probability).attribute(
        pixels[None].float(), (3, square, square), (3, stride, stride), baselines=128, target=2
    )
    net = wrap(small_net(inplace=True))
    found = run(net, pixels, square=square, stride=stride, fill="grey", label="class 2")
    loss, count = np.zeros((2, 24, 24))
    for i, y in enumerate(found.starts):
        for j, x in enumerate(found.starts):
            loss[y : y + square, x : x + square] += found.before - found.probability[i, j]
            count[y : y + square, x : x + square] += 1
    assert np.abs(loss).max() > 1e-3
    np.testing.assert_allclose(loss / count, expected[0, 0].detach().numpy(), atol=1e-6)


def test_what_is_watched_is_that_of_the_covered_image(wrap: Wrap, pixels: torch.Tensor) -> None:
    net = wrap(small_net())
    found = run(net, pixels, square=7, stride=5, fill="black", layer="5", batch_size=3)
    covered = pixels.clone()
    covered[:, 10:17, 17:24] = 0
    assert found.starts.tolist() == [0, 5, 10, 15, 17]
    outputs = net.activations(torch.stack([pixels, covered]), ["5", "8"])
    totals = outputs["5"].sum((2, 3))
    scores = outputs["8"].softmax(1)
    assert found.unit == totals[0].argmax()
    assert found.label == scores[0].argmax()
    assert found.total == pytest.approx(float(totals[0, found.unit]), rel=1e-5)
    assert found.activation[2, 4] == pytest.approx(float(totals[1, found.unit]), rel=1e-5)
    assert found.probability[2, 4] == pytest.approx(float(scores[1, found.label]), rel=1e-5)
    assert found.best[2, 4] == scores[1].argmax()


def test_a_square_over_all_leaves_one_place(wrap: Wrap, pixels: torch.Tensor) -> None:
    net = wrap(small_net())
    one, other = (run(net, some, square=24, label="class 1") for some in (pixels, 255 - pixels))
    assert one.probability.shape == (1, 1)
    assert one.probability == other.probability


def test_what_a_unit_does_not_see_does_not_matter(pixels: torch.Tensor) -> None:
    """Of a map, one place is watched: the difference is exactly 0 outside what it sees."""
    net = load_backbone("decaf-mini", device="cpu")
    side, layer, (i, j) = 64, "features.norm2", (7, 7)
    image = pixels.repeat(1, 3, 3)[:, :side, :side]
    classes = ClassScores(layer, ("there",), lambda maps: maps[:, :1, i, j].cpu().numpy())
    found = occlude(net, image, classes, Occlusion(square=8, stride=8), quiet=True)
    extents = receptive_extents(net, layer)
    (y0, y1), (x0, x1) = extents[i], extents[j]
    seen = np.zeros((8, 8), bool)
    seen[y0 // 8 : -(-y1 // 8), x0 // 8 : -(-x1 // 8)] = True
    assert not seen.all()
    assert (found.probability[~seen] == found.before).all()
    assert (found.probability[seen] != found.before).any()


class Reddest(nn.Module):
    """Scores of two classes: how red the reddest part of an image is, or a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.maps.weight[:] = torch.tensor([[4.0, -4, -4], [0, 0, 0]]).view(2, 3, 1, 1)
            self.maps.bias[:] = torch.tensor([0.0, 1.0])
        self.scores = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(self.maps(x).amax((2, 3)))


def test_a_planted_object_is_found(wrap: Wrap) -> None:
    image = torch.full((3, 24, 24), 90, dtype=torch.uint8)
    image[:, 13:17, 5:9] = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1)
    found = run(wrap(Reddest()), image, square=6, stride=1, fill="black")
    assert found.class_names[found.label] == "class 0"
    hidden = found.probability < found.before - 0.1
    y, x = np.nonzero(hidden)
    assert (y.min(), y.max(), x.min(), x.max()) == (11, 13, 3, 5)  # squares that hold it whole
    assert (found.best[hidden] == 1).all()
    assert (found.best[~hidden] == 0).all()


def test_what_is_wrong_is_said(wrap: Wrap, pixels: torch.Tensor) -> None:
    net = wrap(small_net())
    with pytest.raises(ConfigError, match=r"unknown class 'class 7'; did you mean"):
        run(net, pixels, label="class 7")
    with pytest.raises(ConfigError, match="8, which gives no maps"):
        run(net, pixels, layer="8")
    with pytest.raises(ConfigError, match="asked for the class 'cat', found a net without"):
        occlude(net, pixels, None, Occlusion(label="cat"))


def test_without_classes_a_map_alone_is_watched(wrap: Wrap, pixels: torch.Tensor) -> None:
    net, asked = wrap(small_net()), Occlusion(square=8, stride=8, layer="5")
    alone = occlude(net, pixels, None, asked, quiet=True)
    assert alone.class_names == ()
    assert np.isnan(alone.probability).all()
    both = occlude(net, pixels, own_classes(net), asked, quiet=True)
    np.testing.assert_array_equal(alone.activation, both.activation)
    panels = [len(occlusion_figure(one, "x.png").axes) for one in (alone, both)]
    assert panels == [2 * 3, 2 * 5]


def test_imagenets_classes_have_names_of_their_own() -> None:
    classes = own_classes(load_backbone("squeezenet1_1", weights="random", device="cpu"))
    assert classes is not None
    assert len(set(classes.class_names)) == 1000
    assert classes.class_names[155] == "Shih-Tzu"


@pytest.mark.data
def test_a_dalmatian_is_known_by_its_head(assets: Path) -> None:
    weights = assets / "weights" / "squeezenet1_1.safetensors"
    net = load_backbone("squeezenet1_1", weights=str(weights), device="cpu")
    dog = assets / "data" / "caltech101" / "101_ObjectCategories" / "dalmatian" / "image_0001.jpg"
    found = run(net, inputs_of(net, [str(dog)])[0], stride=24)
    assert found.class_names[found.label] == "dalmatian"
    y, x = np.unravel_index(found.probability.argmin(), found.probability.shape)
    assert found.probability[y, x] < 0.5 * found.before
    assert found.class_names[found.best[y, x]] == "Great Dane"
    assert found.starts[x] > 80  # its head is on the right,
    assert found.starts[y] < 120  # and above
