"""The frozen net of the pipeline: pixels in, named activations out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import nn

from decaf.backbones.code import code_sha256
from decaf.backbones.families import define
from decaf.backbones.normalize import normalize
from decaf.backbones.onnx_net import OnnxNet
from decaf.backbones.taps import LayerShape, NetLayout, TappedNet, layer_shapes, trace
from decaf.choices import Precision, Runtime
from decaf.errors import BackboneError
from decaf.progress import log
from decaf.types import Preprocessing

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_UNDRAWN = (nn.Dropout, nn.Identity, nn.Flatten, nn.AdaptiveAvgPool2d)
START = "pool5"
"""The maps that fully connected layers start at."""
CANONICAL = (START, "fc6", "fc7", "pixels")
"""The layers that are extracted when none are named, where the net has them."""


@dataclass(frozen=True, eq=False)
class TorchBackbone:
    """A torch net with its weights and its preprocessing.

    Attributes
    ----------
    name : str
        Name of the net.
    weights, weights_sha256 : str
        What the weights are and their SHA-256.
    preprocessing : Preprocessing
        How pixels become the net's input.
    device : torch.device
        Where the net is.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    runtime : str
        What runs it: ``torch``; ``onnx``, ONNX Runtime up to `START` and torch from there, where
        layers follow from that; or ``auto``: torch, until `for_layers` decides.
    weights_fit : str
        What of the weights was renamed, is missing or was left out; empty where all fitted.
    default_layers : tuple of str
        What is extracted when no layers are named.
    prefix_tokens : int
        Number of a transformer's tokens before those of the patches.
    """

    name: str
    weights: str
    weights_sha256: str
    preprocessing: Preprocessing
    device: torch.device
    precision: Precision
    runtime: Runtime
    weights_fit: str
    default_layers: tuple[str, ...]
    prefix_tokens: int
    _net: TappedNet = field(repr=False)
    _reader: TappedNet = field(repr=False)  # the same, or one with faster convolutions
    _shapes: tuple[LayerShape, ...] = field(repr=False)
    _onnx: OnnxNet = field(repr=False)
    _followed: dict[tuple[str, ...], bool] = field(default_factory=dict, repr=False)

    @property
    def layers(self) -> Sequence[str]:
        """Names of the canonical layers and of every module, each in order of depth."""
        return tuple(row.name for row in self._shapes)

    @cached_property
    def code_sha256(self) -> str:
        """SHA-256 of what the net computes with but its weights."""
        return code_sha256(self._net.net)

    @property
    def convolutions(self) -> str:
        """How torch computes convolutions: ``direct``, or ``winograd`` where some gain by that."""
        return "direct" if self._reader is self._net else "winograd"

    @property
    def scores(self) -> str | None:
        """Name of the layer of class scores, which a pass ends in; None where there is none."""
        tap = list(self._net._trace.shapes)[-1]
        row = next((row for row in self._shapes if row.tap == tap), None)
        return row.name if row and all(side == 1 for side in row.shape[1:]) else None

    def shape(self, layer: str) -> tuple[int, ...]:
        """Return the shape of one image's output at `layer`.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        return self._net.shape(layer)

    def depth(self, layer: str) -> int:
        """Return the place of `layer` in the order of the pass.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        return self._net.depth(layer)

    def progress(self, layer: str) -> float:
        """Return the share of the net's modules that a pass has gone through at `layer`.

        Containers do not count, nor does what AlexNet's paper does not draw as a layer: dropout
        and adaptive pooling.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        counted = {
            name
            for name, module in self._net.net.named_modules()
            if not next(module.children(), None) and not isinstance(module, _UNDRAWN)
        }
        places = [
            place
            for place, tap in enumerate(self._net._trace.shapes)
            if tap.module in counted and not tap.enters
        ]
        passed = sum(place <= self.depth(layer) for place in places)
        return passed / max(len(places), 1)

    def activations(self, batch: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return layers of a batch from one forward pass that stops after the deepest.

        Parameters
        ----------
        batch : torch.Tensor
            ``(n, 3, input_size_px, input_size_px)`` uint8 RGB on the backbone's device.
        layers : sequence of str
            Canonical or dotted names.

        Returns
        -------
        dict of str to torch.Tensor
            Float32 maps ``(n, channels, height, width)``, tokens or vectors, not flattened.

        Raises
        ------
        BackboneError
            If a layer is unknown.
        """
        if self.runtime != "onnx":
            return self._by_torch(batch, layers)
        with torch.inference_mode():
            x = normalize(batch, self.preprocessing, torch.float32)
            outputs = self._onnx.read(x, self._on_onnx(layers))
        after = [layer for layer in layers if layer not in outputs]
        if after:  # a copy, as modules that work in place may change what they are given
            outputs |= self.activations_after(START, outputs[START].clone(), after)
        return {layer: outputs[layer] for layer in layers}

    def _by_torch(self, batch: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        with torch.inference_mode():
            x = normalize(batch, self.preprocessing, PRECISIONS[self.precision])
            outputs = self._reader.read(x, layers)
            return {layer: output.float() for layer, output in outputs.items()}

    def _on_onnx(self, layers: Sequence[str]) -> tuple[str, ...]:
        """Return what ONNX Runtime gives where `layers` are asked; torch goes on from `START`."""
        deep = [x for x in layers if START in self.layers and self.depth(x) > self.depth(START)]
        after = {layer for layer in deep if self.follows(START, [layer])}
        return tuple(sorted({*layers} - after | ({START} if after else set())))

    def state_for(self, layer: str) -> dict[str, torch.Tensor]:
        """Return the net's weights, as far as a layer is computed from them.

        Parameters
        ----------
        layer : str
            A canonical or dotted name.

        Returns
        -------
        dict of str to torch.Tensor
            Parameters and buffers of the modules that a pass to the layer enters.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        net, entered = self._net.net, set[nn.Module]()
        handles = [
            module.register_forward_pre_hook(lambda module, _: entered.add(module))
            for module in net.modules()
        ]
        side_px = self.preprocessing.input_size_px
        dtype = PRECISIONS[self.precision]
        try:
            with torch.inference_mode():
                blank = torch.zeros((1, 3, side_px, side_px), dtype=dtype, device=self.device)
                self._net.read(blank, [layer])
        finally:
            for handle in handles:
                handle.remove()
        state = net.state_dict()
        of = {name: module for name, module in net.named_modules() if module in entered}
        return {key: value for key, value in state.items() if key.rpartition(".")[0] in of}

    def for_layers(self, layers: Sequence[str]) -> "TorchBackbone":
        """Return the net with a runtime that runs `layers`: ``torch`` or ``onnx``.

        Raises
        ------
        BackboneError
            If ONNX Runtime was asked for and cannot run them; where the choice was decaf's, the
            net that is returned runs by torch, which is said.
        """
        if self.runtime == "torch":
            return self
        try:
            self._onnx.prepare(self._on_onnx(layers))
        except BackboneError as error:
            if self.runtime == "onnx":
                raise
            log(f"going on with runtime torch: {error}")
            return replace(self, runtime="torch")
        return replace(self, runtime="onnx")

    def activations_after(
        self, layer: str, given: torch.Tensor, layers: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """Return layers of images whose outputs at a shallower layer are at hand.

        Parameters
        ----------
        layer : str
            The shallower layer; `follows` says whether it will do.
        given : torch.Tensor
            ``(n, ...)`` float32 outputs of it, on the backbone's device.
        layers : sequence of str
            Canonical or dotted names of deeper ones.

        Returns
        -------
        dict of str to torch.Tensor
            As `activations` does.

        Raises
        ------
        BackboneError
            If a layer is unknown, or `layer` is passed more than once.
        RuntimeError
            If the net cannot run from there.
        """
        size_px = self.preprocessing.input_size_px
        with torch.inference_mode():
            given = given.to(PRECISIONS[self.precision])
            none = given.new_empty((0, 3, size_px, size_px))
            outputs = self._reader.read_after(none, given, layer, layers)
            return {name: output.float() for name, output in outputs.items()}

    def with_gradients(
        self, given: torch.Tensor, layers: Sequence[str], after: str | None = None
    ) -> dict[str, torch.Tensor]:
        """Return layers as `activations` does, through which gradients flow; always by torch.

        Parameters
        ----------
        given : torch.Tensor
            ``(n, 3, input_size_px, input_size_px)`` normalised images, or outputs of `after`.
        layers : sequence of str
            Canonical or dotted names.
        after : str, optional
            A shallower layer that is given; see `activations_after`.

        Returns
        -------
        dict of str to torch.Tensor
            Float32 outputs.

        Raises
        ------
        BackboneError
            If a layer is unknown, or `after` is passed more than once.
        RuntimeError
            If the net cannot run from `after`.
        """
        size_px = self.preprocessing.input_size_px
        with torch.enable_grad():
            x = given.to(PRECISIONS[self.precision])
            if after is None:
                outputs = self._net.read(x, layers)
            else:
                none = x.new_empty((0, 3, size_px, size_px))
                outputs = self._net.read_after(none, x.clone(), after, layers)
        return {name: output.float() for name, output in outputs.items()}

    def follows(self, layer: str, layers: Sequence[str]) -> bool:
        """Return whether `layers` can be computed from `layer` alone, to the bit.

        It is tried on two random images, in torch, which computes what comes after with every
        runtime.
        """
        key = (layer, *layers)
        if key not in self._followed:
            self._followed[key] = layer not in layers and self._is_followed(layer, layers)
        return self._followed[key]

    def _is_followed(self, layer: str, layers: Sequence[str]) -> bool:
        size_px = self.preprocessing.input_size_px
        chance = torch.Generator().manual_seed(0)
        shape = (2, 3, size_px, size_px)
        pixels = torch.randint(0, 256, shape, generator=chance, dtype=torch.uint8)
        whole = self._by_torch(pixels.to(self.device), (layer, *layers))
        try:
            found = self.activations_after(layer, whole[layer].contiguous(), layers)
        except (AssertionError, BackboneError, RuntimeError, ValueError):  # as nets raise them
            return False
        return all(torch.equal(found[name], whole[name]) for name in layers)


def default_layers(name: str) -> tuple[str, ...]:
    """Return the layers that are extracted when none are named."""
    return canonical_layers(define(name).layout)


def canonical_layers(layout: NetLayout) -> tuple[str, ...]:
    """Return those of `CANONICAL` that a layout has."""
    return tuple(layer for layer in CANONICAL if layer in layout.aliases)


def layer_table(name: str, *, allow_code: bool = False) -> list[LayerShape]:
    """Return every layer of a net with its shape, from a dry run without weights."""
    net = define(name, allow_code=allow_code)
    traced = trace(net.build("meta"), net.preprocessing.input_size_px, net.layout)
    return layer_shapes(traced, net.layout)
