"""Images moved about the centre of a net's input."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from decaf.choices import Border, Transform, checked
from decaf.errors import ConfigError
from decaf.insight.asked import Moves
from decaf.records import numbers
from decaf.types import Preprocessing

IDENTITY: Mapping[Transform, float] = {"translate": 0.0, "scale": 1.0, "rotate": 0.0}
AMOUNTS: Mapping[Transform, tuple[float, ...]] = {
    "translate": tuple(map(float, range(-60, 61, 10))),
    "scale": tuple(1 + number / 10 for number in range(9)),
    "rotate": tuple(map(float, range(0, 360, 10))),
}
"""The ranges of Zeiler and Fergus's figure 5; they do not state the steps."""

_PADDING = {"mean": "zeros", "edge": "border", "reflect": "reflection"}


def amounts_of(moves: Moves) -> tuple[float, ...]:
    """Return by how much images are moved.

    Raises
    ------
    ConfigError
        If an amount is no finite number, or a scale is not above 0.
    """
    if moves.amounts is None:
        return AMOUNTS[moves.transform]
    found = numbers("amounts", moves.amounts)
    low = 0 if moves.transform == "scale" else -math.inf
    if not all(low < amount < math.inf for amount in found):
        raise ConfigError(
            f"asked to {moves.transform} by {moves.amounts}; give finite numbers"
            + ", above 0 for scale" * (low == 0)
        )
    return found


@checked
def moved(
    pixels: Tensor, transform: Transform, amount: float, fill: Border, preprocessing: Preprocessing
) -> Tensor:
    """Return images that are moved, interpolated linearly and rounded to whole grey levels.

    Parameters
    ----------
    pixels : torch.Tensor
        ``(n, 3, S, S)`` uint8, on any device.
    transform : {"translate", "scale", "rotate"}
        What is done, about the centre.
    amount : float
        Pixels downwards, a factor above 0, or degrees to the left.
    fill : {"mean", "edge", "reflect"}
        What comes in at the border.
    preprocessing : Preprocessing
        Holds the mean colour.

    Returns
    -------
    torch.Tensor
        The same shape and type.
    """
    # an output's place, from -1 to 1 with y downwards, to the place in the image that it shows
    angle = math.radians(amount) if transform == "rotate" else 0.0
    zoom = 1 / amount if transform == "scale" else 1.0
    shift = -2 * amount / pixels.shape[-1] if transform == "translate" else 0.0
    sine, cosine = zoom * math.sin(angle), zoom * math.cos(angle)
    places = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, shift]], device=pixels.device)
    grid = functional.affine_grid(
        places.expand(len(pixels), 2, 3), list(pixels.shape), align_corners=False
    )
    mean = 255 * torch.tensor(preprocessing.mean, device=pixels.device)[:, None, None]
    sampled = functional.grid_sample(
        pixels.float() - mean, grid, "bilinear", _PADDING[fill], align_corners=False
    )
    return (sampled + mean).round().clamp(0, 255).to(torch.uint8)
