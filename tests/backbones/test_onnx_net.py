"""ONNX Runtime gives what torch gives, from graphs that are made once and kept."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from PIL import Image
from quick import slow_unless
from torch import nn
from torchvision.transforms.v2.functional import pil_to_tensor

from decaf.backbones import TorchBackbone, load_backbone, onnx_net, runtimes, wrap_module
from decaf.backbones.onnx_net import OnnxNet, differences, onnx_folder
from decaf.errors import BackboneError, ConfigError
from decaf.images.views import make_view
from decaf.types import Preprocessing

SIDE = 8
PREPROCESSING = Preprocessing(SIDE, SIDE, "bilinear", "center", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


class Shared(nn.Module):
    """A net that calls one in-place ReLU twice, and goes on past what is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 1)
        self.norm = nn.BatchNorm2d(5)
        self.relu = nn.ReLU(inplace=True)
        self.deep = nn.Linear(5 * SIDE * SIDE, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.second(self.relu(self.first(x)))))
        return self.deep(x.flatten(1))


class Choosing(nn.Module):
    """A net that takes another way for dark images, which no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(x) if x.sum() > 0 else -self.first(x)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DECAF_CACHE", str(tmp_path / "cache"))
    return onnx_folder()


def wrapped(kind: type[nn.Module] = Shared, runtime: str = "onnx", seed: int = 0) -> TorchBackbone:
    torch.manual_seed(seed)
    return wrap_module(kind(), PREPROCESSING, name="mine", device="cpu", runtime=runtime)


def images(n_images: int = 9) -> torch.Tensor:
    chance = torch.Generator().manual_seed(n_images)
    return torch.randint(0, 256, (n_images, 3, SIDE, SIDE), dtype=torch.uint8, generator=chance)


def forbid_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(onnx_net, "to_onnx", refuse)


def test_layers_that_fusions_and_in_place_modules_would_change_are_torchs() -> None:
    layers = ["first", "second", "norm", "relu", "deep"]
    found = wrapped().activations(images(), layers)
    expected = wrapped(runtime="torch").activations(images(), layers)
    assert list(found) == layers
    assert (found["norm"] < 0).any()
    assert max(differences(found, expected).values()) < 1e-6
    torch.testing.assert_close(found["norm"].clamp(min=0), found["relu"])


def test_a_row_has_the_same_bits_in_every_batch() -> None:
    net, all_images = wrapped(), images(9)
    together = net.activations(all_images, ["relu"])["relu"]
    for size in (1, 3, 4, 7):
        parts = [net.activations(part, ["relu"])["relu"] for part in all_images.split(size)]
        assert torch.equal(torch.cat(parts), together)
    assert net.activations(all_images[:0], ["relu"])["relu"].shape == (0, *together.shape[1:])


def test_a_graph_is_made_once_for_the_same_weights(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = wrapped().activations(images(), ["relu"])["relu"]
    assert len(list(cache.iterdir())) == 1
    with monkeypatch.context() as patch:
        forbid_exports(patch)
        assert torch.equal(wrapped().activations(images(), ["relu"])["relu"], expected)
    other = wrapped(seed=1).activations(images(), ["relu"])["relu"]
    assert len(list(cache.iterdir())) == 2
    assert not torch.allclose(other, expected)


@pytest.mark.parametrize("damage", slow_unless("bit".__eq__, ["cut", "bit", "other"]))
def test_a_kept_graph_that_is_not_the_nets_is_made_again(damage: str, cache: Path) -> None:
    expected = wrapped().activations(images(), ["relu"])["relu"]
    (kept,) = cache.iterdir()
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:-40])
    elif damage == "bit":  # the lowest of a weight, which the comparison with torch lets pass
        graph = bytearray(kept.read_bytes())
        torch.manual_seed(0)
        weights = (one.detach().numpy().tobytes() for one in Shared().parameters())
        graph[next(at for at in map(graph.find, weights) if at > 0)] ^= 0x10
        kept.write_bytes(graph)
    else:
        wrapped(seed=1).activations(images(), ["relu"])
        (other,) = set(cache.iterdir()) - {kept}
        kept.write_bytes(other.read_bytes())
    assert torch.equal(wrapped().activations(images(), ["relu"])["relu"], expected)


def test_threads_share_a_net() -> None:
    net, found = wrapped(), {}
    expected = wrapped(runtime="torch").activations(images(), ["relu"])["relu"]

    def work(number: int) -> None:
        found[number] = [net.activations(images(), ["relu"])["relu"] for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for outputs in found.values():
        for output in outputs:
            torch.testing.assert_close(output, expected)


@pytest.mark.slow
def test_processes_that_make_the_same_graph_do_not_harm_each_other(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from decaf.backbones import load_backbone\n"
        "net = load_backbone('decaf-mini', device='cpu', runtime='onnx').for_layers(['pool5'])"
    )
    makers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [maker.wait() for maker in makers] == [0, 0]
    assert [path.suffix for path in cache.iterdir()] == [".onnx"]
    forbid_exports(monkeypatch)
    load_backbone("decaf-mini", device="cpu", runtime="onnx").for_layers(["fc7"])


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DECAF_CACHE", str(tmp_path / "file"))
    assert wrapped().activations(images(), ["relu"])["relu"].isfinite().all()
    told = capsys.readouterr().err
    assert "will be exported again by the next run (asked to write" in told
    assert "give another path with DECAF_CACHE" in told


def test_a_net_that_cannot_be_exported_is_an_error_or_goes_on_in_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BackboneError, match="first of mine, found: torch cannot export them"):
        wrapped(Choosing).for_layers(["first"])
    monkeypatch.setattr(runtimes, "is_faster", lambda _: True)
    net = wrapped(Choosing, "auto")
    assert net.runtime == "auto"
    assert net.for_layers(["first"]).runtime == "torch"
    assert "going on with runtime torch: asked ONNX Runtime" in capsys.readouterr().err
    assert wrapped(Shared, "auto").for_layers(["relu"]).runtime == "onnx"


def test_a_graph_that_differs_from_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = OnnxNet(wrapped(seed=1)._net, SIDE)._exported(("relu",))
    monkeypatch.setattr(OnnxNet, "_exported", lambda _, layers: made)
    with pytest.raises(BackboneError, match="differs from torch by"):
        wrapped().for_layers(["relu"])


def test_memory_that_does_not_suffice_is_that_error() -> None:
    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeException("Failed to allocate memory for requested buffer of size 1")

    with pytest.raises(MemoryError, match="requested buffer"):
        onnx_net._run(Full(), torch.zeros(1, 3, SIDE, SIDE))


@pytest.mark.parametrize(("device", "precision"), [("cuda", "fp32"), ("cpu", "bf16")])
def test_it_is_for_a_cpu_in_fp32(device, precision, monkeypatch: pytest.MonkeyPatch) -> None:
    place = torch.device(device)
    with pytest.raises(ConfigError, match=f"found {precision} on {device}; it computes in fp32"):
        runtimes.find_runtime("onnx", "resnet50", place, precision)
    monkeypatch.setattr(runtimes, "is_faster", lambda _: True)
    assert runtimes.find_runtime("auto", "resnet50", place, precision) == "torch"


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="no package onnxruntime; install: pip install onnxr"):
        load_backbone("decaf-mini", runtime="onnx")
    monkeypatch.setattr(runtimes, "is_faster", lambda _: True)
    assert load_backbone("decaf-mini", runtime="auto", device="cpu").runtime == "torch"
    assert "going on with runtime torch" in capsys.readouterr().err


def test_which_is_faster_follows_from_net_and_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    capability = "AVX512"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert runtimes.is_faster("mobilenet_v2")
    assert not runtimes.is_faster("mine:net")
    capability = "SVE256"
    assert not runtimes.is_faster("mobilenet_v2")


REAL = {  # weights: net, layer
    "squeezenet1_0-deepcompression": ("squeezenet1_0", "pool5"),
    "squeezenet1_1": ("squeezenet1_1", "pool5"),
    "mobilenet_v2": ("mobilenet_v2", "pool5"),
    "tf_efficientnet_lite0": ("timm/tf_efficientnet_lite0", "pool5"),
    "alexnet-conv": ("alexnet", "pool5"),
    "": ("decaf-mini", "fc7"),
}


@pytest.mark.data
@pytest.mark.parametrize("weights", REAL)
def test_features_of_real_nets_differ_by_rounding_alone(weights: str, assets: Path) -> None:
    name, layer = REAL[weights]
    path = f"{assets}/weights/{weights}.safetensors" if weights else "imagenet"
    net = load_backbone(name, weights=path, device="cpu", runtime="onnx")
    files = sorted((assets / "data" / "imagenet-200").glob("*/*"))[:40:5]
    photographs = [pil_to_tensor(Image.open(file).convert("RGB")) for file in files]
    pixels = torch.stack([make_view(one, "center", net.preprocessing) for one in photographs])
    found, expected = net.activations(pixels, [layer]), net._by_torch(pixels, [layer])
    assert 0 < differences(found, expected)[layer] < 5e-6
