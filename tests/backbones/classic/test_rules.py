"""Caffe's rules, one by one, where another library's would give other features."""

import numpy as np
import pytest
import torch

from decaf.backbones import classic, layer_table, load_backbone
from decaf.backbones.classic.definitions import CLASSICS
from decaf.backbones.classic.layers import Conv, Norm, Pool, build_net
from decaf.errors import BackboneError, ConfigError
from decaf.images.views import make_view


def test_pooling_reaches_over_the_edge() -> None:
    # cnn_f: 54 pixels, windows of 3 with stride 2; 26 whole windows, and one that is cut off
    net = build_net([Pool("pool1", 3, 2)], 54, bgr=False)
    maps = torch.rand(1, 1, 54, 54)
    found = net(maps)
    assert found.shape == (1, 1, 27, 27)
    assert found[0, 0, 26, 26] == maps[0, 0, 52:, 52:].max()


def test_a_mean_over_the_edge_counts_only_what_is_there() -> None:
    net = build_net([Pool("pool", 3, 2, mean=True)], 4, bgr=False)
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    np.testing.assert_allclose(net(maps)[0, 0], [[5.0, 6.5], [11.0, 12.5]])


def test_alpha_is_divided_by_the_windows_size() -> None:
    net = build_net([Norm("norm1", size=5, alpha=0.5, beta=0.75, k=2.0)], 1, bgr=False)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).view(1, 6, 1, 1)
    sums = [1 + 4 + 9, 1 + 4 + 9 + 16, 55, 4 + 9 + 16 + 25 + 36, 9 + 16 + 25 + 36, 16 + 25 + 36]
    expected = [
        value / (2 + 0.5 / 5 * s) ** 0.75 for value, s in zip(range(1, 7), sums, strict=True)
    ]
    np.testing.assert_allclose(net(x).flatten(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["bvlc_alexnet", "caffenet", "rcnn_ilsvrc13"])
def test_the_crop_is_227(name: str) -> None:
    shapes = {row.name: row.shape for row in layer_table(name)}
    assert shapes["conv1"] == (96, 55, 55)  # 224 without a pad would give 54
    assert shapes["pool5"] == (256, 6, 6)
    assert classic.preprocessing(CLASSICS[name]).input_size_px == 227


def test_channels_are_blue_green_red_of_0_to_255() -> None:
    net = load_backbone("caffenet", weights="random", device="cpu")
    pixels = torch.zeros(1, 3, 227, 227, dtype=torch.uint8)
    pixels[:, 0] = 255  # red
    data = net.activations(pixels, ["data"])["data"][0, :, 0, 0]
    expected = [-104.00698793, -116.66876762, 255 - 122.67891434]
    np.testing.assert_allclose(data, expected, atol=1e-3)


def test_overfeat_takes_red_green_blue() -> None:
    net = load_backbone("overfeat_fast", weights="random", device="cpu")
    assert "data" not in net.layers
    assert net.preprocessing.mean == (118.380948 / 255,) * 3


def test_groups_take_channels_in_order() -> None:
    net = build_net([Conv("conv1", 4, 1), Conv("conv2", 2, 1, groups=2)], 1, bgr=False)
    with torch.no_grad():
        net.conv1.weight.copy_(torch.eye(4, 3).view(4, 3, 1, 1))
        net.conv1.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 8.0]))
        net.conv2.weight.fill_(1)
        net.conv2.bias.zero_()
        found = net(torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)).flatten()
    np.testing.assert_array_equal(found, [1 + 2, 4 + 8])


def test_caffenet_pools_before_it_normalises_and_alexnet_after() -> None:
    order = {
        name: [row.name for row in layer_table(name) if row.name in ("pool1", "norm1")]
        for name in ("caffenet", "bvlc_alexnet", "rcnn_ilsvrc13")
    }
    assert order["caffenet"] == order["rcnn_ilsvrc13"] == ["pool1", "norm1"]
    assert order["bvlc_alexnet"] == ["norm1", "pool1"]


def test_the_view_is_of_256() -> None:
    pixels = torch.randint(0, 256, (3, 300, 400), dtype=torch.uint8)
    preprocessing = classic.preprocessing(CLASSICS["bvlc_alexnet"])
    assert preprocessing.resize_px == 256
    assert make_view(pixels, "center", preprocessing).shape == (3, 227, 227)


# millions of parameters, as the papers' tables and Caffe's files have them
@pytest.mark.parametrize(
    ("name", "millions"),
    [("bvlc_alexnet", 61.0), ("vgg16_caffe", 138.4), ("vgg19_caffe", 143.7),
     ("googlenet_caffe", 7.0),
     ("overfeat_fast", 145.9), ("overfeat_accurate", 144.7)],
)  # fmt: skip
def test_the_number_of_parameters(name: str, millions: float) -> None:
    net = classic.build(CLASSICS[name], "meta")
    n_parameters = sum(parameter.numel() for parameter in net.parameters())
    assert n_parameters / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", CLASSICS)
def test_every_net_has_its_canonical_layers(name: str) -> None:
    net = CLASSICS[name]
    shapes = {row.name: row.shape for row in layer_table(name)}
    assert shapes["fc8"] == (200 if name == "rcnn_ilsvrc13" else 1000,)
    if net.fc6:
        assert shapes["fc6"] == shapes["fc6-pre"]
        assert shapes["fc7"][0] == int(name.rpartition("_")[2]) if "_m_" in name else 4096


def test_weights_that_are_nowhere_say_what_to_put_where(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    with pytest.raises(BackboneError, match=r"put VGG_CNN_S.caffemodel into .*checkpoints"):
        load_backbone("cnn_s", device="cpu")
    with pytest.raises(BackboneError, match="decaf knows no file of them"):
        load_backbone("zeiler_fergus", device="cpu")
    with pytest.raises(ConfigError, match="unknown weights 'IMAGENET1K_V1' for cnn_s"):
        load_backbone("cnn_s", weights="IMAGENET1K_V1", device="cpu")


def test_a_published_file_is_checked_against_its_sha1(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "bvlc_alexnet.caffemodel").write_bytes(b"other")
    with pytest.raises(BackboneError, match=r"is damaged: its sha1 is .*, published 9116a64c"):
        load_backbone("bvlc_alexnet", device="cpu")
