"""Passes recorded as CUDA graphs: a GPU is told of a batch once, not of each of its kernels."""

import threading
from collections.abc import Callable, Mapping

import torch

from decaf.progress import log

Outputs = Mapping[str, torch.Tensor]

_RECORDING = threading.Lock()  # torch records one graph at a time
_MAX_DIFFERENCE = 1e-2
"""In norm, of what a graph gives to what the pass gave that it was recorded from."""


class RecordedPass:
    """A pass over batches of one size, for one thread and its stream.

    The first batch of the size runs plainly, which lets libraries choose their kernels; the second
    is recorded, and the graph's outputs are compared with its own; all others are replayed. Where
    recording does not work, it says so and goes on plainly. Batches of other sizes run plainly.

    Parameters
    ----------
    run : callable
        From a batch on the GPU to outputs there, by the same kernels whenever the size is the same.
    n_views : int
        The size.
    stream : torch.cuda.Stream
        The thread's, which is current when the pass is called.

    Notes
    -----
    Outputs of a replay are overwritten by the next one: copy them in the same stream.
    """

    def __init__(
        self, run: Callable[[torch.Tensor], Outputs], n_views: int, stream: torch.cuda.Stream
    ) -> None:
        self.n_views = n_views
        self._run = run
        self._stream = stream
        self._n_seen = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given = torch.empty(0)
        self._outputs: Outputs = {}

    def __call__(self, batch: torch.Tensor) -> Outputs:
        """Return the outputs of a batch, which may still be in pinned memory."""
        if len(batch) != self.n_views:
            return self._run(batch.to(self._stream.device, non_blocking=True))
        self._n_seen += 1
        if self._graph is not None:
            return self._replay(self._graph, batch)
        on_device = batch.to(self._stream.device, non_blocking=True)
        outputs = self._run(on_device)
        if self._n_seen == 2:
            self._graph = self._recorded(on_device, outputs)
        return outputs

    def _replay(self, graph: torch.cuda.CUDAGraph, batch: torch.Tensor) -> Outputs:
        self._given.copy_(batch, non_blocking=True)
        graph.replay()
        return self._outputs

    def _recorded(self, batch: torch.Tensor, expected: Outputs) -> torch.cuda.CUDAGraph | None:
        graph = torch.cuda.CUDAGraph()
        self._given = batch.clone()
        try:
            with (
                _RECORDING,
                torch.cuda.graph(
                    graph,
                    stream=self._stream,
                    capture_error_mode="thread_local",  # other threads go on meanwhile
                ),
            ):
                self._outputs = self._run(self._given)
            _require_same(self._replay(graph, batch), expected)
        except RuntimeError as error:
            log(f"going on without a CUDA graph: {' '.join(str(error).split())}")
            self._given, self._outputs = torch.empty(0), {}
            return None
        return graph


def _require_same(found: Outputs, expected: Outputs) -> None:
    """Raise RuntimeError where outputs are not as they should be."""
    for layer, output in expected.items():
        error = ((found[layer] - output).norm() / output.norm().clamp(min=1e-12)).item()
        if not error <= _MAX_DIFFERENCE:
            raise RuntimeError(f"its {layer} differs by {error:.1e} from that of the plain pass")
