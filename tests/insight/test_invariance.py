import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.v2 import InterpolationMode, functional
from typer.testing import CliRunner

from decaf.backbones import wrap_module
from decaf.backbones.mini import PREPROCESSING
from decaf.cli.app import app
from decaf.errors import ConfigError, DataError
from decaf.insight.asked import Moves
from decaf.insight.invariance import invariance
from decaf.insight.moved import IDENTITY, moved
from decaf.insight.shown_images import shown_images

LAYERS = ["features.relu1", "pool5", "fc7"]


def noise(n=2, side=64):
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, side, side), generator=draw, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("transform", "amount"), [*IDENTITY.items(), ("rotate", 360.0), ("rotate", -360.0)]
)
@pytest.mark.parametrize("fill", ["mean", "edge", "reflect"])
def test_no_move_gives_the_image_back(transform, amount, fill):
    pixels = noise()
    assert torch.equal(moved(pixels, transform, amount, fill, PREPROCESSING), pixels)


def test_translation_moves_down_and_fills():
    pixels = noise()
    mean = torch.tensor(PREPROCESSING.mean).mul(255).round().to(torch.uint8)
    for fill, row in [("mean", mean[:, None]), ("edge", pixels[0, :, 0]),
                      ("reflect", pixels[0, :, 2])]:  # fmt: skip
        found = moved(pixels, "translate", 3, fill, PREPROCESSING)
        assert torch.equal(found[:, :, 3:], pixels[:, :, :-3])
        assert torch.equal(found[0, :, 0], row.expand(3, 64))


def test_rotation_and_scale_are_torchvisions():
    pixels = noise(1)[:, :, ::8, ::8].repeat_interleave(8, 2).repeat_interleave(8, 3)
    turned = functional.rotate(pixels, 30, InterpolationMode.BILINEAR)
    larger = functional.affine(pixels, 0, [0, 0], 1.5, [0.0, 0.0], InterpolationMode.BILINEAR)
    for expected, found in [
        (turned, moved(pixels, "rotate", 30, "edge", PREPROCESSING)),
        (larger, moved(pixels, "scale", 1.5, "edge", PREPROCESSING)),
    ]:
        inside = (found.float() - expected.float())[:, :, 16:48, 16:48]
        assert inside.abs().max() <= 1.5


@pytest.fixture
def shown(image_folder):
    return shown_images(image_folder, 6)


@pytest.mark.parametrize(
    ("transform", "amounts"), [("translate", "0,20"), ("scale", "1,1.8"), ("rotate", "0,360,90")]
)
def test_features_change_with_the_image_alone(mini, shown, transform, amounts):
    found = invariance(mini, shown, LAYERS, Moves(transform=transform, amounts=amounts), quiet=True)
    n_amounts = len(found.amounts)
    assert found.distances.shape == (6, n_amounts, 3)
    assert (found.distances[:, 0] == 0).all()
    assert (found.distances[:, -1] > 0).all()
    if transform == "rotate":
        assert found.relative[:, 1].max() < 1e-4
    assert found.unchanged[:, 0].all()
    assert not found.told
    # the most probable class of the unmoved image, by another way
    pixels = shown.pixels(mini.preprocessing)
    own = mini.activations(pixels, ["fc8"])["fc8"].softmax(1).amax(1)
    np.testing.assert_allclose(found.probability[:, 0], own, rtol=1e-5)


def test_distances_by_hand(identity, shown):
    found = invariance(identity, shown, ["0"], Moves(amounts="4"), quiet=True)
    pixels = shown.pixels(identity.preprocessing)
    x = identity.activations(pixels, ["0"])["0"].flatten(1)
    down = identity.activations(moved(pixels, "translate", 4, "mean", PREPROCESSING), ["0"])["0"]
    np.testing.assert_allclose(found.distances[:, 0, 0], (down.flatten(1) - x).norm(dim=1))
    np.testing.assert_allclose(found.between, [torch.cdist(x, x).sum() / 30], rtol=1e-5)
    assert found.probability is None  # the net has no classes


def test_a_texture_moved_by_its_period_looks_the_same(tmp_path):
    conv = nn.Sequential(nn.Conv2d(3, 4, 4, 4))
    net = wrap_module(conv, PREPROCESSING, device="cpu")
    for name, half in zip("ab", noise(2, 8), strict=True):
        texture = torch.cat([half, half.flip(1)], 1).repeat(1, 4, 8)  # mirrored, it goes on
        (tmp_path / name).mkdir()
        Image.fromarray(texture.permute(1, 2, 0).numpy()).save(tmp_path / name / "x.png")
    moves = Moves(amounts="16,-32,8", fill="reflect")
    found = invariance(net, shown_images(tmp_path, 2), ["0"], moves, quiet=True)
    assert (found.distances[:, :2] < 1e-3).all()
    assert (found.distances[:, 2] > 1).all()


def test_classes_are_found_by_their_names(image_folder, tmp_path, mini):
    names = [f"class {number}" for number in range(200)]
    names[5], names[17], names[100] = "red", "green", "blue"
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    shown = shown_images(image_folder, 6)
    expected = {"blue": 100, "green": 17, "red": 5}
    told = [expected[one.partition("/")[0]] for one in shown.ids]
    assert shown.columns(200, tmp_path / "names.txt").tolist() == told
    found = invariance(
        mini, shown, ["fc7"], Moves(amounts="0"), classes=tmp_path / "names.txt", quiet=True
    )
    p = mini.activations(shown.pixels(mini.preprocessing), ["fc8"])["fc8"].softmax(1)
    np.testing.assert_allclose(found.probability[:, 0], p[range(6), told], rtol=1e-4)
    assert shown.columns(3, None).tolist() == shown.labels.tolist()
    assert shown.columns(200, None) is None
    for lines, reason in [(names[:9], "9 lines"), (["x", *names[:5], *names[6:]], "no red")]:
        (tmp_path / "names.txt").write_text("\n".join(lines))
        with pytest.raises(ConfigError, match=reason):
            shown.columns(200, tmp_path / "names.txt")


@pytest.mark.parametrize(("transform", "amounts"), [("scale", "0"), ("rotate", "nan")])
def test_amounts_that_are_none(mini, shown, transform, amounts):
    with pytest.raises(ConfigError, match="finite numbers"):
        invariance(mini, shown, LAYERS, Moves(transform=transform, amounts=amounts), quiet=True)


def test_the_command_writes_a_figure_and_every_value(image_folder, tmp_path, mini):
    out = tmp_path / "moved.png"
    words = ["--images", str(image_folder), "--limit", "4", "--layers", "pool5,fc7", "--device",
             "cpu", "--amounts", "-10,0,10", "--out", str(out)]  # fmt: skip
    done = CliRunner().invoke(app, ["visualize", "invariance", "decaf-mini", *words])
    assert done.exit_code == 0, done.output
    assert out.stat().st_size > 10_000
    with (tmp_path / "moved.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3 * 2
    still = [row for row in rows if float(row["translate"]) == 0]
    assert {(row["distance"], row["unchanged"]) for row in still} == {("0", "1")}
    with pytest.raises(DataError, match="give two or more"):
        invariance(mini, shown_images(image_folder, 1), ["fc7"], quiet=True)


@pytest.mark.data
def test_deep_layers_of_a_real_net_change_less(assets):
    """As Zeiler and Fergus find: the first layer changes at once, the last slowly."""
    from decaf.backbones import load_backbone

    weights = str(assets / "weights" / "squeezenet1_1.safetensors")
    net = load_backbone("squeezenet1_1", weights=weights, device="cpu")
    folder = assets / "data" / "imagenet-200"
    found = invariance(
        net, shown_images(folder, 10), ["features.1", "fc8"], Moves(amounts="20"),
        classes=folder / "wnids.txt", quiet=True,
    )  # fmt: skip
    first, last = found.relative[:, 0].mean(0)
    assert first > 0.7
    assert last < 0.5
    assert found.told
    assert found.probability.mean() > 0.3
