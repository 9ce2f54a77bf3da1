"""Layers of a net by ONNX Runtime, on a CPU in float32.

The part of the net up to the layers is exported once and kept in decaf's cache folder, under a
digest of all that it follows from. Wherever it is loaded, it must give what torch gives.
"""

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import torch
from torch import Tensor
from torch.nn.functional import pad

from decaf.backbones.code import code_sha256
from decaf.backbones.taps import TappedNet
from decaf.backbones.weights import state_sha256
from decaf.backbones.whole_pass import WholePass, to_onnx
from decaf.errors import BackboneError, DataError
from decaf.progress import log
from decaf.whole_files import whole_file

AT_ONCE = 4
"""Images in one run, by measurement. A run is always of as many, so that a row's bits depend on
nothing beside it."""
MAX_DIFFERENCE = 1e-4
"""Of a layer from torch's, in norm; nets of all families stay below 2e-6."""
_FORM = 2
"""Of the exported graphs; raised when decaf exports or keeps them in another way."""
_INPUT = "images"


class OnnxNet:
    """A net whose layers ONNX Runtime computes, for several threads at once.

    Parameters
    ----------
    tapped : TappedNet
        The net, on a CPU in float32.
    input_size_px : int
        Side of its input.
    """

    def __init__(self, tapped: TappedNet, input_size_px: int) -> None:
        self._tapped = tapped
        self._side = input_size_px
        self._sessions: dict[tuple[tuple[str, ...], int], Any] = {}
        self._making = threading.Lock()

    def prepare(self, layers: Sequence[str]) -> None:
        """Export layers, or find them exported, and load them.

        Raises
        ------
        BackboneError
            If they cannot be exported, or ONNX Runtime gives other values than torch.
        """
        self._session(tuple(layers), 1)

    def read(self, batch: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the outputs of layers; with as many threads as torch has in the calling one.

        Parameters
        ----------
        batch : torch.Tensor
            ``(n, 3, input_size_px, input_size_px)``, normalised.
        layers : sequence of str
            Canonical or dotted names.

        Returns
        -------
        dict of str to torch.Tensor
            As `TappedNet.read` does.

        Raises
        ------
        BackboneError
            As `prepare` does.
        MemoryError
            If the memory does not suffice.
        """
        session = self._session(tuple(layers), torch.get_num_threads())
        runs = [_run(session, some) for some in torch.split(batch, AT_ONCE)]
        return {layer: torch.cat(parts) for layer, *parts in zip(layers, *runs, strict=True)}

    def _session(self, layers: tuple[str, ...], n_threads: int) -> Any:
        with self._making:
            key = layers, n_threads
            if key not in self._sessions:
                self._sessions[key] = self._made(layers, n_threads)
            return self._sessions[key]

    def _made(self, layers: tuple[str, ...], n_threads: int) -> Any:
        path = onnx_folder() / f"{self._digest(layers)}.onnx"
        if path.is_file():
            with suppress(BackboneError, OSError):  # a damaged one is made anew
                return self._sound(_unsealed(path.read_bytes()), layers, n_threads)
        log(f"exporting {', '.join(layers)} of {self._tapped.name} to ONNX, once")
        graph = self._exported(layers)
        session = self._sound(graph, layers, n_threads)
        try:
            with whole_file(path) as part:
                part.write_bytes(_sealed(graph))
        except DataError as error:
            log(f"will be exported again by the next run ({error} with DECAF_CACHE)")
        return session

    def _digest(self, layers: tuple[str, ...]) -> str:
        net = self._tapped.net
        parts = (
            *(str(_FORM), torch.__version__, str(AT_ONCE), str(self._side), *layers),
            *(code_sha256(net), state_sha256(net.state_dict())),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _exported(self, layers: tuple[str, ...]) -> bytes:
        names = [f"layer{number}" for number in range(len(layers))]
        some = torch.zeros(AT_ONCE, 3, self._side, self._side)
        whole = WholePass(self._tapped, layers).eval()
        try:
            graph = to_onnx(whole, some, _INPUT, names, any_number=False)
            data: bytes = graph.SerializeToString()
        except Exception as error:  # an exporter fails in ways of its own
            reason = f"torch cannot export them ({_first_line(error)})"
            raise self._cannot(layers, reason) from error
        return data

    def _sound(self, graph: bytes, layers: tuple[str, ...], n_threads: int) -> Any:
        """Return a session that gives what torch gives, for random images."""
        chance = torch.Generator().manual_seed(0)
        some = torch.randn(AT_ONCE, 3, self._side, self._side, generator=chance)
        try:
            session = _loaded(graph, n_threads)
            found = dict(zip(layers, _run(session, some), strict=True))
        except Exception as error:
            raise self._cannot(layers, _first_line(error)) from error
        with torch.inference_mode():
            expected = self._tapped.read(some, layers)
        worst = max(differences(found, expected).values())
        if not worst <= MAX_DIFFERENCE:
            reason = f"differs from torch by {worst:.1e} in norm, allowed is {MAX_DIFFERENCE:.0e}"
            raise self._cannot(layers, reason)
        return session

    def _cannot(self, layers: Sequence[str], reason: str) -> BackboneError:
        return BackboneError(
            f"asked ONNX Runtime for {', '.join(layers)} of {self._tapped.name}, found: {reason}; "
            "choose runtime torch"
        )


def differences(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far each layer is from where it should be, in units of its norm."""
    return {
        layer: float((found[layer] - value).norm() / value.norm().clamp(min=1e-12))
        for layer, value in expected.items()
    }


def onnx_folder() -> Path:
    """Return the folder for exported nets: in ``$DECAF_CACHE``, or where systems keep caches."""
    return Path(os.environ.get("DECAF_CACHE") or pooch.os_cache("decaf")) / "onnx"


def _sealed(graph: bytes) -> bytes:
    """Return a graph after its SHA-256.

    A bit that flips later may change a layer by less than the comparison with torch sees.
    """
    return hashlib.sha256(graph).digest() + graph


def _unsealed(kept: bytes) -> bytes:
    """Return the graph that was sealed; OSError if it is another one now."""
    graph = kept[hashlib.sha256().digest_size :]
    if _sealed(graph) != kept:
        raise OSError("damaged")
    return graph


def _loaded(graph: bytes, n_threads: int) -> Any:
    import onnxruntime  # noqa: PLC0415 - only where it is used

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _run(session: Any, some: Tensor) -> list[Tensor]:
    """Return the outputs of at most `AT_ONCE` images."""
    filled = pad(some, (0, 0, 0, 0, 0, 0, 0, AT_ONCE - len(some))).contiguous()
    try:
        outputs: list[np.ndarray] = session.run(None, {_INPUT: filled.numpy()})
    except Exception as error:
        if "alloc" in str(error):  # it has no error of its own for that
            raise MemoryError(_first_line(error)) from error
        raise
    return [torch.from_numpy(output[: len(some)]) for output in outputs]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
