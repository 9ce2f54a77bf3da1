"""Passes that do not fit the memory are halved; several devices share the work."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flat import extract, make_plan

from decaf.backbones import TorchBackbone, load_backbone
from decaf.datasets import load_dataset
from decaf.engines import forward
from decaf.engines.batch import load_batch
from decaf.engines.forward import Forward
from decaf.engines.plan import Plan
from decaf.errors import ConfigError
from decaf.store import FeatureStore


class Tight:
    """A net whose device has memory for so many views in one pass."""

    def __init__(self, net: TorchBackbone, n_views: int, error: Exception) -> None:
        self.net, self.n_views, self.error = net, n_views, error
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.net, name)

    def for_layers(self, _: Sequence[str]) -> "Tight":
        return self

    def activations(self, batch: torch.Tensor, layers: Sequence[str]) -> Mapping[str, torch.Tensor]:
        self.asked.append(len(batch))
        if len(batch) > self.n_views:
            raise self.error
        return self.net.activations(batch, layers)


@pytest.fixture(scope="module")
def net() -> TorchBackbone:
    return load_backbone("decaf-mini", weights="random", device="cpu")


@pytest.fixture
def plan(many: Path, net: TorchBackbone) -> Plan:
    table = load_dataset(many, limit=16)
    return make_plan(table, net, layers="pool5,fc7", batch_size=16, workers=1)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_a_pass_is_halved_until_it_fits_and_stays_so(
    plan: Plan, net: TorchBackbone, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    batch = load_batch(plan, range(16))
    expected = Forward(plan, net).features(batch)
    tight = Tight(net, 6, error)
    found = Forward(plan, tight)
    for _ in range(2):
        features = found.features(batch)
        for layer in plan.layers:
            np.testing.assert_allclose(features[layer], expected[layer], rtol=1e-4, atol=1e-6)
    assert tight.asked == [16, 8, 4, 4, 4, 4, 4, 4, 4, 4]
    assert capsys.readouterr().err.splitlines() == [
        "out of memory with 16 views in one pass; going on with 8",
        "out of memory with 8 views in one pass; going on with 4",
    ]


def test_too_little_memory_for_one_image_is_an_error(plan: Plan, net: TorchBackbone) -> None:
    tight = Tight(net, 0, torch.OutOfMemoryError("no memory"))
    with pytest.raises(ConfigError, match="too little memory for one image"):
        Forward(plan, tight).features(load_batch(plan, [0, 1, 2]))
    assert tight.asked == [3, 3, 3, 2, 1]


def test_another_error_is_not_taken_for_a_lack_of_memory(plan: Plan, net: TorchBackbone) -> None:
    tight = Tight(net, 0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Forward(plan, tight).features(load_batch(plan, [0]))


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
@pytest.mark.parametrize("layers", ["pool5", "pool5,fc7"])
def test_a_row_has_the_same_bits_among_few_and_many(many: Path, runtime: str, layers: str) -> None:
    net = load_backbone("decaf-mini", weights="random", device="cpu", runtime=runtime)  # type: ignore[arg-type]
    plan = make_plan(load_dataset(many, limit=40), net, layers=layers, workers=1)
    forward, some = Forward(replace(plan, even=True), plan.backbone), [3, 4, 39]
    whole, few = (forward.features(load_batch(plan, rows)) for rows in (range(40), some))
    for layer in plan.layers:
        np.testing.assert_array_equal(few[layer], whole[layer][some])


def test_replicas_share_the_batches_and_give_the_same_rows(
    many: Path, net: TorchBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Tight] = []

    def everywhere(*_: object, **__: object) -> list[Tight]:
        made.extend(Tight(net, 99, RuntimeError()) for _ in range(3))
        return made

    expected = extract(many, backbone=net, out=tmp_path / "one.h5", quiet=True)
    monkeypatch.setattr("decaf.extraction.load_everywhere", everywhere)
    options = {"device": "cuda:all", "batch_size": 8, "workers": 3, "quiet": True}
    found = extract(many, out=tmp_path / "three.h5", **options)
    assert all(replica.asked for replica in made)
    assert sum(sum(replica.asked) for replica in made) == 96
    with FeatureStore(found) as three, FeatureStore(expected) as one:
        assert three.digest == one.digest
        np.testing.assert_allclose(three["fc7"][:], one["fc7"][:], rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:all"])
def test_a_gpu_gives_the_features_of_the_cpu(many: Path, tmp_path: Path, device: str) -> None:
    options = {"backbone": "decaf-mini", "weights": "random", "quiet": True, "batch_size": 8}
    paths = [
        extract(many, **options, device=one, out=tmp_path / f"{number}.h5")
        for number, one in enumerate(("cpu", device))
    ]
    with FeatureStore(paths[0]) as cpu, FeatureStore(paths[1]) as gpu:
        for layer in cpu.layers:
            np.testing.assert_allclose(gpu[layer][:], cpu[layer][:], rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_pixels_and_features_travel_through_pinned_memory(plan: Plan) -> None:
    gpu = load_backbone("decaf-mini", weights="random", device="cuda")
    on_gpu = replace(plan, backbone=gpu)
    batch = load_batch(on_gpu, range(4))
    assert batch.pixels.is_pinned()
    assert forward._to_host(batch.pixels.to("cuda")).is_pinned()
    assert Forward(on_gpu, gpu).features(batch)["fc7"].shape == (4, 1024)
