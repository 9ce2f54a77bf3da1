"""From a batch to features in the machine's memory: the net on its device."""

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from math import prod
from time import perf_counter

import torch
from torch.nn.functional import pad

from decaf.backbones import START, TorchBackbone, pool_features
from decaf.backbones.onnx_net import AT_ONCE
from decaf.engines.batch import Batch
from decaf.engines.plan import Plan
from decaf.engines.planning import connected_layers
from decaf.errors import ConfigError
from decaf.images.views import n_views
from decaf.progress import log
from decaf.types import FloatArray

N_IN_CACHE = 16
"""Images whose maps a core's cache holds best, by measurement; weights are read once for more."""


class Forward:
    """A net on one device, for several threads.

    On a CPU each core computes a batch of its own. On a GPU each thread has a stream of its own
    with copy, net and copy back in it, from and to pinned memory, so that the copies of one batch
    run beside the net of another. Where memory does not suffice, a batch is halved, for good. With
    the plan's `even`, a pass of fewer views than others is filled up: libraries choose kernels, and
    with them last bits, by the size.

    Parameters
    ----------
    plan : Plan
        The extraction.
    net : TorchBackbone
        The plan's net, or its replica on another device.
    halving : bool
        Whether a batch is halved where memory does not suffice; an error if not.
    """

    def __init__(self, plan: Plan, net: TorchBackbone, *, halving: bool = True) -> None:
        self._halving = halving
        self._plan = plan
        self._net = net
        self._views = n_views(plan.view)
        on_cpu = net.device.type == "cpu"
        self._limit = plan.batch_size * self._views
        if on_cpu:  # views of one image need not be in one pass
            self._limit = min(self._limit, max(plan.batch_size, N_IN_CACHE))
        self._deep = deep_layers(plan)
        self._limiting = threading.Lock()
        self._own = threading.local()
        if not on_cpu:
            torch.cuda.synchronize(net.device)  # the weights are there before any stream uses them

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return self._net.device

    def features(self, batch: Batch) -> dict[str, FloatArray]:
        """Return the features of a batch's rows, and note the seconds that it took.

        Parameters
        ----------
        batch : Batch
            Pixels, or stored maps of the plan's `start`.

        Returns
        -------
        dict of str to numpy.ndarray
            ``(n_rows, n_features)``, or ``(n_rows, n_views, n_features)``, float32.

        Raises
        ------
        ConfigError
            If the memory does not suffice for one image.
        """
        if not batch.rows:
            return {}
        with self._stream():
            start = perf_counter()
            outputs = self._whole(batch.pixels)
            if self._views > 1:
                outputs = {k: v.view(len(batch.rows), self._views, -1) for k, v in outputs.items()}
            batch.seconds.net += perf_counter() - start
        return {layer: output.numpy() for layer, output in outputs.items()}

    def _stream(self) -> AbstractContextManager[object]:
        contexts = ExitStack()
        if self._net.device.type == "cuda":
            if not hasattr(self._own, "stream"):
                self._own.stream = torch.cuda.Stream(self._net.device)  # type: ignore[no-untyped-call] # torch leaves it without types
            contexts.enter_context(torch.cuda.device(self._net.device))
            contexts.enter_context(torch.cuda.stream(self._own.stream))
        return contexts

    def _whole(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the outputs of a batch, in as many passes as the memory needs."""
        while True:
            limit = self._limit
            try:
                passes = [self._one_pass(part, limit) for part in torch.split(batch, limit)]
                if self._net.device.type == "cuda":
                    self._own.stream.synchronize()
                return passes[0] if len(passes) == 1 else _joined(passes)
            except (RuntimeError, MemoryError) as error:
                if not (self._halving and is_out_of_memory(error)):
                    raise
                reason = " ".join(str(error).split())
            self._halve(limit, reason)

    def _one_pass(self, part: torch.Tensor, limit: int) -> dict[str, torch.Tensor]:
        """Return the outputs of at most `limit` views."""
        if self._deep:
            return self._pooled(self._in_two_parts(part, limit))
        filled = self._filled(part, limit).to(self._net.device, non_blocking=True)
        outputs = {k: v[: len(part)] for k, v in self._pooled(self._pass(filled)).items()}
        if self._net.device.type == "cpu":
            return outputs
        return {layer: _to_host(output) for layer, output in outputs.items()}

    def _filled(self, part: torch.Tensor, size: int) -> torch.Tensor:
        """Return a part filled up with zeros, where the plan wants passes of one size."""
        # ONNX Runtime's passes over pixels are of one size already
        is_even = part.dtype == torch.uint8 and self._plan.backbone.runtime == "onnx"
        n_missing = size - len(part) if self._plan.even and not is_even else 0
        return pad(part, (0, 0) * (part.ndim - 1) + (0, n_missing)) if n_missing else part

    def _pass(self, given: torch.Tensor) -> Mapping[str, torch.Tensor]:
        start = self._plan.start
        if start is not None and start.layer in self._plan.layers:
            return {start.layer: given}
        if start is not None:
            return self._net.activations_after(start.layer, given, self._plan.layers)
        return self._net.activations(given, self._plan.layers)

    def _in_two_parts(self, pixels: torch.Tensor, limit: int) -> dict[str, torch.Tensor]:
        """Return layers by convolutions on few images at once and the rest on all of them."""
        shallow = [layer for layer in self._plan.layers if layer not in self._deep]
        first, size = list({START: None, **dict.fromkeys(shallow)}), min(N_IN_CACHE, limit)
        outputs = _joined(
            [
                {k: v[: len(few)] for k, v in self._net.activations(filled, first).items()}
                for few in torch.split(pixels, size)
                for filled in [self._filled(few, size)]
            ]
        )
        maps = self._filled(outputs[START], limit)
        deep = self._net.activations_after(START, maps, self._deep)
        deep = {layer: output[: len(pixels)] for layer, output in deep.items()}
        return {layer: (deep if layer in deep else outputs)[layer] for layer in self._plan.layers}

    def _pooled(self, outputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        pool, tokens = self._plan.pool, self._net.prefix_tokens
        return {layer: pool_features(output, pool, tokens) for layer, output in outputs.items()}

    def _halve(self, limit: int, reason: str) -> None:
        with self._limiting:
            if self._limit < limit:
                return  # another thread has halved it already
            if limit == 1:
                raise ConfigError(
                    f"asked to run {self._net.name} on {self._net.device}, found too little memory "
                    f"for one image ({reason}); choose another device or a smaller net"
                )
            self._limit = (limit + 1) // 2
            log(f"out of memory with {limit} views in one pass; going on with {self._limit}")
        if self._net.device.type == "cuda":
            torch.cuda.empty_cache()


def deep_layers(plan: Plan) -> tuple[str, ...]:
    """Return the fully connected layers of a plan that are worth larger batches.

    On a CPU, and where they follow from the maps of `START` alone, to the bit.
    """
    net = plan.backbone
    deep = connected_layers(net, plan.layers)
    wanted = deep and plan.start is None and net.device.type == "cpu"
    return deep if wanted and net.follows(START, deep) else ()


def n_filled(plan: Plan) -> int:
    """Return the images of a pass that is filled up, so that fewer cost as much."""
    if plan.backbone.runtime == "onnx":
        return AT_ONCE
    return min(plan.batch_size, N_IN_CACHE) if deep_layers(plan) else plan.batch_size


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device's memory does not suffice."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        word in str(error) for word in words
    )


def bytes_per_view(net: TorchBackbone) -> int:
    """Return an upper bound of what one view takes in a pass: every layer's output at once."""
    return 4 * sum(prod(net.shape(layer)) for layer in net.layers)


def _to_host(rows: torch.Tensor) -> torch.Tensor:
    pinned = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
    return pinned.copy_(rows, non_blocking=True)


def _joined(passes: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {layer: torch.cat([one[layer] for one in passes]) for layer in passes[0]}
