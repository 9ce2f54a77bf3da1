"""A small net of plain modules, as captum can read it too."""

import torch
from torch import nn


def small_net(*, inplace: bool = False, lrn: bool = False) -> nn.Sequential:
    """Two convolutions, a pooling whose windows overlap, and scores of 5 classes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=1),
        nn.ReLU(inplace=inplace),
        nn.LocalResponseNorm(3, alpha=0.5) if lrn else nn.Identity(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(6 * 3 * 3, 5),
    ).eval()
