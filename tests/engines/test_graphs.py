"""Recorded passes: on a GPU as they are, elsewhere with a stand-in for CUDA's graphs."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from decaf.backbones import load_backbone
from decaf.engines.graphs import RecordedPass

ON_CPU: Any = SimpleNamespace(device=torch.device("cpu"))


class Graph:
    """What was recorded: from which tensor, into which tensors."""

    open: "Graph | None" = None
    fails_with = ""
    adds = 0.0

    def replay(self) -> None:
        for given, outputs in self.recorded:
            outputs["fc7"].copy_(given * 2 + self.adds)

    @classmethod
    @contextmanager
    def record(cls, graph: "Graph", **_: object) -> Iterator[None]:
        graph.recorded: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
        cls.open = graph
        try:
            yield
        finally:
            cls.open = None
        if cls.fails_with:
            raise RuntimeError(cls.fails_with)


class Net:
    """Doubles its batch; what a graph records is not computed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.sizes.append(len(batch))
        if Graph.open is None:
            return {"fc7": batch * 2}
        outputs = {"fc7": torch.full_like(batch, torch.nan)}
        Graph.open.recorded.append((batch, outputs))
        return outputs


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Graph.record)
    return Net()


def outputs_of(recorded: RecordedPass, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        batch = torch.full((size, 3), float(number + 1))
        assert torch.equal(recorded(batch)["fc7"], batch * 2)


def test_the_third_batch_of_the_size_is_replayed(net: Net) -> None:
    outputs_of(RecordedPass(net, 4, ON_CPU), [4, 3, 4, 4, 4, 2, 4])
    assert net.sizes == [4, 3, 4, 4, 2]  # the third of 4 is the recording


def test_a_batch_stays_as_it_was(net: Net) -> None:
    recorded = RecordedPass(net, 2, ON_CPU)
    batches = [torch.full((2, 3), float(number)) for number in range(5)]
    for batch in batches:
        recorded(batch)
    assert [batch[0, 0].item() for batch in batches] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"fails_with": "operation not permitted\nwhen stream is capturing"}, "is capturing"),
        ({"adds": 1.0}, "its fc7 differs by"),
        ({"adds": float("nan")}, "its fc7 differs by nan"),
    ],
)
def test_what_cannot_be_recorded_runs_plainly_and_says_so_once(
    net: Net,
    about: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in about.items():
        monkeypatch.setattr(Graph, name, value)
    outputs_of(RecordedPass(net, 4, ON_CPU), [4, 4, 4, 4])
    assert net.sizes == [4, 4, 4, 4, 4]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("going on without a CUDA graph: ")
    assert message in line


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_graph_gives_what_the_pass_gives(capsys: pytest.CaptureFixture[str]) -> None:
    backbone = load_backbone("decaf-mini", weights="random", device="cuda")
    size_px = backbone.preprocessing.input_size_px
    stream = torch.cuda.Stream()
    recorded = RecordedPass(lambda x: backbone.activations(x, ["pool5", "fc7"]), 8, stream)
    with torch.cuda.stream(stream):
        for seed in range(6):
            chance = torch.Generator().manual_seed(seed)
            pixels = torch.randint(0, 256, (8, 3, size_px, size_px), generator=chance).byte()
            found = {k: v.cpu() for k, v in recorded(pixels.pin_memory()).items()}
            expected = backbone.activations(pixels.cuda(), ["pool5", "fc7"])
            for layer, output in expected.items():
                torch.testing.assert_close(found[layer], output.cpu(), rtol=1e-3, atol=1e-4)
    assert capsys.readouterr().err == ""
