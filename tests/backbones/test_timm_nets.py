"""timm's nets: layers, preprocessing and tokens, by family."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from quick import slow_unless
from torchvision.transforms.functional import pil_to_tensor

from decaf.backbones import (
    layer_table,
    load_backbone,
    pool_features,
    timm_nets,
)
from decaf.backbones.families import define
from decaf.errors import BackboneError, ConfigError
from decaf.images.views import make_view
from decaf.types import Preprocessing

timm = pytest.importorskip("timm")

# name: shape of what enters the classifier
NETS = {
    "resnet18": (512,),
    "resnext50_32x4d": (2048,),
    "seresnet50": (2048,),
    "regnety_002": (368,),
    "densenet121": (1024,),
    "efficientnet_b0": (1280,),
    "mobilenetv3_small_100": (1024,),
    "ghostnet_100": (1280,),
    "convnext_atto": (320,),
    "convnext_tiny": (768,),
    "repvgg_a0": (1280,),
    "vgg11": (512, 7, 7),
    "vit_tiny_patch16_224": (192,),
    "deit_tiny_distilled_patch16_224": (192,),
    "vit_small_patch14_reg4_dinov2": (384,),
    "beit_base_patch16_224": (768,),
    "swin_tiny_patch4_window7_224": (768,),
    "mixer_s32_224": (512,),
    "pvt_v2_b0": (256,),
    "poolformer_s12": (512,),
    "coatnet_0_rw_224": (768,),
    "levit_128s": (384,),
    "maxvit_tiny_rw_224": (512,),
}


SOME = ("resnet18", "vgg11", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")


@pytest.mark.parametrize("name", slow_unless(SOME.__contains__, NETS))
def test_layers_are_right(name: str) -> None:
    rows = {row.name: row for row in layer_table(f"timm/{name}")}
    assert rows["pool5"].shape == NETS[name]
    if "dinov2" in name:  # trained without classes
        assert "fc8" not in rows
    else:
        assert rows["fc8"].shape == (1000,)
    assert len(rows) > 10
    for row in rows.values():
        if len(row.shape) == 3 and min(row.shape) > 1:
            assert row.shape[1] == row.shape[2], row


def test_the_layers_read_are_timms_own() -> None:
    net = load_backbone("timm/vit_tiny_patch16_224", weights="random", device="cpu", seed=3)
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    found = net.activations(pixels, ["pool5", "norm", "fc8", "blocks.11"])
    x = (pixels / 255 - 0.5) / 0.5
    with torch.no_grad():
        tokens = net._net.net.forward_features(x)
        scores = net._net.net.forward_head(tokens)
    torch.testing.assert_close(found["norm"], tokens, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["fc8"], scores, rtol=1e-4, atol=1e-4)
    cls = pool_features(found["norm"], "cls", net.prefix_tokens)
    torch.testing.assert_close(cls, found["pool5"], rtol=1e-4, atol=1e-4)
    patches = pool_features(found["norm"], "mean", net.prefix_tokens)
    torch.testing.assert_close(patches, tokens[:, 1:].mean(1), rtol=1e-4, atol=1e-4)


def test_a_stage_of_swin_is_read_as_a_map() -> None:
    net = load_backbone("timm/swin_tiny_patch4_window7_224", weights="random", device="cpu")
    pixels = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    found = net.activations(pixels, ["layers.1", "pool5"])
    assert net.shape("layers.1") == found["layers.1"].shape[1:] == (192, 28, 28)


def test_the_preprocessing_is_timms() -> None:
    vit = define("timm/vit_tiny_patch16_224").preprocessing
    assert (vit.input_size_px, vit.resize_px, vit.interpolation) == (224, 248, "bicubic")
    assert vit.mean == vit.std == (0.5, 0.5, 0.5)
    dinov2 = define("timm/vit_small_patch14_reg4_dinov2")
    assert dinov2.preprocessing.input_size_px == 518
    assert dinov2.layout.prefix_tokens == 5


def configs() -> dict[str, dict[str, object]]:
    found = {}
    for name in timm.list_pretrained():
        config = timm.get_pretrained_cfg(name).to_dict()
        found[name] = timm.data.resolve_data_config({}, pretrained_cfg=config)
    return found


def test_every_pretrained_net_is_cropped_as_timm_does_or_refused() -> None:
    modes = Counter()
    for name, config in configs().items():
        fits = config["input_size"][0] == 3 and len({*config["input_size"][1:]}) == 1
        if not fits or config["interpolation"] not in ("bilinear", "bicubic"):
            with pytest.raises(BackboneError, match="choose another net"):
                timm_nets.preprocessing(name, config)
            continue
        found = timm_nets.preprocessing(name, config)
        modes[found.crop] += 1
        assert found.crop == config["crop_mode"]
        assert found.interpolation == config["interpolation"]
        assert found.resize_px == math.floor(found.input_size_px / config["crop_pct"])
    assert modes["squash"] > 100
    assert modes["border"] >= 1
    assert modes["center"] > 1000


@pytest.mark.parametrize("size", [(300, 200), (201, 333), (64, 64), (640, 90), (31, 40)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.9, 0.875])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_the_center_view_is_timms_transform(
    crop_mode: str, crop_pct: float, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)).resize(size)
    config = {
        "input_size": (3, 64, 64),
        "interpolation": "bicubic",
        "crop_pct": crop_pct,
        "crop_mode": crop_mode,
        "mean": (0.48, 0.45, 0.3),
        "std": (0.2, 0.3, 0.4),
    }
    own = timm_nets.preprocessing("net", config)
    transform = timm.data.create_transform(**config, normalize=False)
    found = make_view(pil_to_tensor(image), "center", own)
    apart = (found.int() - transform(image).int()).abs()
    assert apart.max() <= 2
    assert (apart > 1).float().mean() < 1e-3


def test_a_crop_mode_that_is_not_known_is_refused() -> None:
    config = next(iter(configs().values())) | {"crop_mode": "spiral"}
    with pytest.raises(BackboneError, match=r"'spiral'; decaf knows center, squash, border"):
        timm_nets.preprocessing("net", config)


def test_ten_crops_of_a_net_that_pads_are_of_the_padded_image() -> None:
    own = Preprocessing(64, 64, "bicubic", "border", (0.5,) * 3, (0.5,) * 3)
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    assert make_view(image, "ten-crop", own).shape == (10, 3, 64, 64)


def test_a_name_that_timm_does_not_have() -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'timm/resnet19'.*resnet18"):
        define("timm/resnet19")
    with pytest.raises(ConfigError, match="or a name with a tag"):
        define("timm/resnet18", "IMAGENET1K_V2")


def test_weights_that_cannot_be_fetched_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_args: object, **_options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", no_network)
    from decaf.backbones.timm_nets import published

    with pytest.raises(BackboneError, match=r"cannot be had \(no network\); choose"):
        published("resnet18")
