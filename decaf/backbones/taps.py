"""Named outputs of a net, read in one forward pass that stops after the deepest of them."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from decaf.choices import did_you_mean
from decaf.errors import BackboneError, ConfigError

_N_IMAGES = 3  # of a dry run; odd, so that windows folded into the batch axis do not look like it


@dataclass(frozen=True)
class Tap:
    """A place in a net: what enters or what leaves one module.

    Attributes
    ----------
    module : str
        Dotted name of the module, as in ``named_modules``.
    enters : bool
        Read the module's input instead of its output.
    """

    module: str
    enters: bool = False


@dataclass(frozen=True)
class NetLayout:
    """How a family of nets names and lays out its outputs.

    Attributes
    ----------
    aliases : mapping of str to Tap
        Canonical layer names.
    channels_last : str
        Regular expression for modules whose maps are ``(height, width, channels)``; they are
        handed out as ``(channels, height, width)`` like all others.
    windows : str
        Regular expression for modules that work on windows of a map; these are not offered,
        because their axes are neither those of a map nor those of tokens.
    square : bool
        Tell the axes of maps by their shape: the one that differs from two equal ones holds the
        channels. For families whose nets differ in their layout; inputs are square, so maps are.
    prefix_tokens : int
        Number of tokens before those of the patches: class token, registers.
    """

    aliases: Mapping[str, Tap]
    channels_last: str = ""
    windows: str = ""
    square: bool = False
    prefix_tokens: int = 0


@dataclass(frozen=True)
class LayerShape:
    """One row of ``decaf layers``: a layer's name, where it is read, and what it gives.

    Attributes
    ----------
    name : str
        Canonical or dotted name.
    tap : Tap
        Where it is read.
    shape : tuple of int
        Shape of one image's output.
    """

    name: str
    tap: Tap
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Lack:
    """What of a net its weights do not determine.

    Attributes
    ----------
    taps : frozenset of Tap
        Outputs that depend on what is missing.
    said : str
        What is missing.
    """

    taps: frozenset[Tap] = frozenset()
    said: str = ""


@dataclass(frozen=True)
class Trace:
    """What one dry run saw of every tap.

    Attributes
    ----------
    shapes : mapping of Tap to tuple of int
        Shape of one image's output, in the order of the taps' last calls.
    counts : mapping of Tap to int
        How often the tap is passed in one forward pass.
    lack : Lack
        What cannot be read for want of weights.
    """

    shapes: Mapping[Tap, tuple[int, ...]]
    counts: Mapping[Tap, int]
    lack: Lack = Lack()


def _is_map(value: torch.Tensor) -> bool:
    _, first, second, third = value.shape
    return second in (first, third)


def as_maps(value: torch.Tensor, tap: Tap, layout: NetLayout) -> torch.Tensor:
    """Return maps as ``(n, channels, height, width)``, and anything else as it is."""
    if value.ndim != 4:
        return value
    _, first, second, third = value.shape
    if layout.square:
        swap = first == second != third
    else:
        swap = not tap.enters and bool(re.fullmatch(layout.channels_last, tap.module))
    return value.permute(0, 3, 1, 2) if swap else value


def hook(
    net: nn.Module, tap: Tap, read: Callable[[Tap, Any], torch.Tensor | None]
) -> RemovableHandle:
    """Call `read` with a tap's value in each pass; what it returns takes the value's place."""
    module = net.get_submodule(tap.module)
    if tap.enters:
        return module.register_forward_pre_hook(lambda _, args: read(tap, args[0]))
    return module.register_forward_hook(lambda _, __, output: read(tap, output))


def trace(net: nn.Module, input_size_px: int, layout: NetLayout) -> Trace:
    """Run a net once and note every tap's order, number of calls and output shape.

    Parameters
    ----------
    net : torch.nn.Module
        A net in evaluation mode; on the meta device this costs no arithmetic.
    input_size_px : int
        Side of the square input.
    layout : NetLayout
        The family's names and layouts.

    Returns
    -------
    Trace
        Of the outputs of every module that gives one tensor per image, and of the aliases.
    """
    shapes: dict[Tap, tuple[int, ...]] = {}
    counts: Counter[Tap] = Counter()

    def read(tap: Tap, value: Any) -> None:
        if not isinstance(value, torch.Tensor) or value.shape[:1] != (_N_IMAGES,):
            return
        if layout.square and value.ndim == 4 and not _is_map(value):
            return  # heads of an attention, by tokens, by channels
        counts[tap] += 1
        shapes.pop(tap, None)  # keep the order of the last calls
        shapes[tap] = tuple(as_maps(value, tap, layout).shape[1:])

    modules = [Tap(name) for name, _ in net.named_modules() if name]
    offered = [tap for tap in modules if not re.fullmatch(layout.windows, tap.module)]
    taps = dict.fromkeys([*offered, *layout.aliases.values()])
    handles = [hook(net, tap, read) for tap in taps]
    device = next(net.parameters(), torch.empty(0)).device  # pixels have no parameters
    try:
        with torch.inference_mode():
            net(torch.empty(_N_IMAGES, 3, input_size_px, input_size_px, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return Trace(shapes, counts)


def layer_shapes(traced: Trace, layout: NetLayout) -> list[LayerShape]:
    """Return the canonical layers, then every other module, each in order of depth."""
    order = {tap: depth for depth, tap in enumerate(traced.shapes)}
    named = sorted(layout.aliases.items(), key=lambda item: order[item[1]])
    canonical = [LayerShape(name, tap, traced.shapes[tap]) for name, tap in named]
    dotted = [
        LayerShape(tap.module, tap, shape)
        for tap, shape in traced.shapes.items()
        if not tap.enters and tap.module not in layout.aliases
    ]
    return [row for row in canonical + dotted if row.tap not in traced.lack.taps]


def find_tap(name: str, layer: str, traced: Trace, layout: NetLayout) -> Tap:
    """Return where `layer` of the net called `name` is read.

    Raises
    ------
    ConfigError
        If there is no such layer; the message names the canonical ones.
    BackboneError
        If the net's weights do not determine it; the message names those that can be had.
    """
    tap = layout.aliases.get(layer, Tap(layer))
    if tap in traced.lack.taps:
        had = [row.name for row in layer_shapes(traced, layout)]
        msg = (
            f"asked for {layer} of {name}, found weights that it cannot be computed from: "
            f"{traced.lack.said}; choose one of: {', '.join(had)}; or give other weights"
        )
        raise BackboneError(msg)
    if tap not in traced.shapes:
        msg = (
            f"unknown layer {layer!r} for {name}; {did_you_mean(layer, layout.aliases)}"
            "choose one of: "
            + "".join(f"{alias}, " for alias in layout.aliases)
            + f"or a module's name from `decaf layers {name}`"
        )
        raise ConfigError(msg)
    return tap


class _EnoughError(Exception):
    """Ends a forward pass once every layer asked for has been read."""


class TappedNet:
    """A net whose named layers can be read together, from several threads at once.

    Parameters
    ----------
    net : torch.nn.Module
        A net in evaluation mode.
    name : str
        What messages call it.
    traced : Trace
        Result of `trace` for the same architecture.
    layout : NetLayout
        The family's names and layouts.
    """

    def __init__(self, net: nn.Module, name: str, traced: Trace, layout: NetLayout) -> None:
        self.net = net
        self.name = name
        self._trace = traced
        self.layout = layout
        self._hooked: set[Tap] = set()
        self._hooking = threading.Lock()
        self._pass = threading.local()  # what this thread's pass still misses, and has read

    def tap(self, layer: str) -> Tap:
        """Return where `layer` is read; see `find_tap`."""
        return find_tap(self.name, layer, self._trace, self.layout)

    def shape(self, layer: str) -> tuple[int, ...]:
        """Return the shape of one image's output at `layer`."""
        return self._trace.shapes[self.tap(layer)]

    def depth(self, layer: str) -> int:
        """Return the place of `layer` in the order of the pass."""
        return list(self._trace.shapes).index(self.tap(layer))

    def read(self, batch: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return the outputs of `layers` from one pass that stops after the deepest of them.

        Parameters
        ----------
        batch : torch.Tensor
            ``(n, 3, input_size_px, input_size_px)``, normalised, on the net's device.
        layers : sequence of str
            Canonical or dotted names. A module that is called several times in a pass gives
            its last output.

        Returns
        -------
        dict of str to torch.Tensor
            Copies, so that a later in-place module (AlexNet's ReLUs) does not change them.

        Raises
        ------
        BackboneError
            If a layer is unknown.
        """
        return self._read(batch, layers, {})

    def read_after(
        self, none: torch.Tensor, given: torch.Tensor, layer: str, layers: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """Return the outputs of `layers` from a pass that takes the output of `layer` as given.

        Parameters
        ----------
        none : torch.Tensor
            ``(0, 3, input_size_px, input_size_px)``: what comes before `layer` runs on it.
        given : torch.Tensor
            ``(n, ...)`` outputs of `layer`, in the net's precision and on its device.
        layer : str
            Canonical or dotted name.
        layers : sequence of str
            Deeper ones, as in `read`.

        Returns
        -------
        dict of str to torch.Tensor
            As `read` does.

        Raises
        ------
        BackboneError
            If a layer is unknown, or the net passes `layer` more than once.
        RuntimeError
            If the net cannot run from there, because deeper modules read shallower ones too.
        """
        tap = self.tap(layer)
        if self._trace.counts[tap] != 1:
            msg = f"{self.name} passes {layer} {self._trace.counts[tap]} times; start elsewhere"
            raise BackboneError(msg)
        return self._read(none, layers, {tap: given})

    def _read(
        self, batch: torch.Tensor, layers: Sequence[str], given: Mapping[Tap, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        taps = {layer: self.tap(layer) for layer in layers}
        with self._hooking:
            for tap in {*taps.values(), *given} - self._hooked:
                hook(self.net, tap, self._record)
                self._hooked.add(tap)
        self._pass.missing = {tap: self._trace.counts[tap] for tap in taps.values()}
        self._pass.outputs = {}
        self._pass.given = given
        try:
            self.net(batch)
        except _EnoughError:
            return {layer: self._pass.outputs[tap] for layer, tap in taps.items()}
        finally:
            self._pass.missing, self._pass.outputs, self._pass.given = {}, {}, {}
        msg = f"{self.name} did not pass {', '.join(layers)} as often as in its dry run"
        raise BackboneError(msg)

    def _record(self, tap: Tap, value: Any) -> torch.Tensor | None:
        """Keep a value that is asked for; return one that is given in its place."""
        missing = getattr(self._pass, "missing", {})
        if tap not in missing:
            given: Mapping[Tap, torch.Tensor] = getattr(self._pass, "given", {})
            return given.get(tap)
        missing[tap] -= 1
        if missing[tap] == 0:
            self._pass.outputs[tap] = as_maps(value, tap, self.layout).clone()
            del missing[tap]
        if not missing:
            raise _EnoughError
        return None
