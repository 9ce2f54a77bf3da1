"""A net and its head as one module to train."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from decaf.backbones.trainable import TrainableNet
from decaf.rowwise import normalized
from decaf.types import FloatArray

Layer = tuple[FloatArray, FloatArray]
RowNorm = Literal["none", "l2", "signed-square"]


class TrainableHead(nn.Module):
    """A linear layer on features that are normalised row by row.

    Parameters
    ----------
    weight, bias : numpy.ndarray
        ``(n_classes, n_features)`` and ``(n_classes,)``: where training starts.
    normalize : str
        ``none``, ``l2`` or ``signed-square``; see `decaf.rowwise`.
    scale : float
        Features are multiplied by it, and the weights divided, so that one learning rate suits
        all layers.
    dropout : float
        Share of the features that are dropped in training.
    """

    def __init__(
        self,
        weight: FloatArray,
        bias: FloatArray,
        *,
        normalize: RowNorm,
        scale: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.asarray(weight / scale, np.float32)))
        self.bias = nn.Parameter(torch.from_numpy(np.array(bias, np.float32)))
        self.normalize, self.scale = normalize, scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, X: Tensor) -> Tensor:
        """Return ``(n, n_classes)`` logits of ``(n, n_features)`` features."""
        X = normalized(X, self.normalize)
        return functional.linear(self.dropout(X * self.scale), self.weight, self.bias)

    def layer(self) -> Layer:
        """Return weight and bias for features that are not scaled."""
        weight = self.weight.detach().cpu().numpy() * np.float32(self.scale)
        return weight, self.bias.detach().cpu().numpy().copy()


class Model(nn.Module):
    """A net with a head.

    Parameters
    ----------
    net : TrainableNet
        From pixels to features.
    head : TrainableHead
        From features to logits.
    dtype : torch.dtype
        What the net computes in, by autocast; its parameters stay in float32, and so does the
        head.
    """

    def __init__(self, net: TrainableNet, head: TrainableHead, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.head, self.dtype = net, head, dtype

    def forward(self, x: Tensor, pixels: bool) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : torch.Tensor
            ``(n, 3, S, S)`` uint8 pixels, or what the frozen part gave of them.
        pixels : bool
            Which of the two.

        Returns
        -------
        torch.Tensor
            ``(n, n_classes)`` float32.
        """
        with torch.autocast(x.device.type, self.dtype, self.dtype != torch.float32):
            features = self.net(x) if pixels else self.net.after(x)
        logits: Tensor = self.head(features.float())
        return logits

    def learned(self) -> dict[str, Tensor]:
        """Return all that training changes, by name; the tensors themselves."""
        parts = {f"net.{key}": value for key, value in self.net.trained_state().items()}
        return parts | {f"head.{key}": value for key, value in self.head.state_dict().items()}

    def weights(self) -> dict[str, Tensor]:
        """Return the net's state dict, without what the weights it started from lack."""
        state = self.net.net.state_dict()
        return {key: value for key, value in state.items() if not value.isnan().any()}

    def parameter_groups(
        self, rate: float, lr_decay: float, head_lr: float, weight_decay: float
    ) -> list[dict[str, object]]:
        """Return the optimizer's groups: each block's and the head's rate, matrices apart."""
        blocks = [list(block.values()) for block in self.net.trained_parameters()]
        rates = [rate * lr_decay**depth for depth in range(len(blocks))][::-1]
        layers: Sequence[tuple[list[nn.Parameter], float]] = [
            *zip(blocks, rates, strict=True),
            ([self.head.weight, self.head.bias], head_lr),
        ]
        groups: list[dict[str, object]] = []
        for parameters, peak in layers:
            matrices = [p for p in parameters if p.ndim > 1]
            vectors = [p for p in parameters if p.ndim <= 1]
            for some, decay in ((matrices, weight_decay), (vectors, 0.0)):
                if some:
                    groups.append({"params": some, "peak": peak, "weight_decay": decay})
        return groups
