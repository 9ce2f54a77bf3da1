"""What a family of nets says of one of its nets."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from decaf.backbones.taps import NetLayout
from decaf.backbones.weights import Weights
from decaf.types import Preprocessing


@dataclass(frozen=True)
class Definition:
    """A net before it is built.

    Attributes
    ----------
    name : str
        Name of the net.
    layout : NetLayout
        Its canonical layers.
    preprocessing : Preprocessing
        How pixels become its input, as its weights expect.
    build : callable
        Takes a device, ``cpu`` or ``meta``, and returns the net in evaluation mode, with random
        weights.
    published : callable
        Returns the published weights, from this machine or the network.
    """

    name: str
    layout: NetLayout
    preprocessing: Preprocessing
    build: Callable[[str], nn.Module]
    published: Callable[[], Weights]
