"""What is asked of a net that is looked into; options as those of `decaf.records`."""

from typing import Any

from decaf.choices import Border, Look, SquareFill, Transform
from decaf.fields import Record, option, record


def _layer() -> Any:
    return option(
        default=None,
        about="A layer, see `decaf layers`; the deepest maps up to pool5 if not given.",
    )


@record
class Projection(Record):
    """Which units are sent down to the pixels, and how."""

    layer: str | None = _layer()
    units: str = option(default="0-15", about="Units, as 0-15,40.")
    method: Look = option(
        default="deconvnet",
        about="deconvnet (Zeiler and Fergus), guided (Springenberg et al.), gradient, or grad-cam.",
    )
    maps: str | None = option(
        default=None,
        about="With grad-cam, the layer whose maps are weighed; the deepest maps before the layer "
        "if not given.",
    )


@record
class Occlusion(Record):
    """How a square is moved over an image, and what is watched meanwhile."""

    layer: str | None = _layer()
    label: str | None = option(
        default=None, about="Class that is watched; the most probable one if not given."
    )
    square: int | None = option(
        default=None,
        about="Side of the square in px of the net's input; 50 of 224 if not given.",
        low=1,
    )
    stride: int | None = option(
        default=None, about="Px from place to place; 8 of 224 if not given.", low=1
    )
    fill: SquareFill = option(
        default="mean", about="What the square shows: the net's mean colour, grey (128) or black."
    )


@record
class Moves(Record):
    """How images are moved in the net's input."""

    transform: Transform = option(
        default="translate",
        about="translate: downwards, in pixels; scale: enlarged by a factor; rotate: to the left, "
        "in degrees; all about the centre.",
    )
    amounts: str | None = option(
        default=None,
        about="Comma-separated; -60 to 60 by 10, 1 to 1.8 by 0.1, or 0 to 350 by 10 if not given.",
    )
    fill: Border = option(
        default="mean",
        about="What comes in at the border: the net's mean colour, the edge's, or a mirror image.",
    )


@record
class Preimage(Record):
    """How an image is sought that a net sees as asked."""

    starts: int = option(default=1, about="Random images that the search starts from.", low=1)
    steps: int | None = option(
        default=None, about="Steps, shared by the method's phases; its own number if not given.",
        low=2,
    )  # fmt: skip
    tv: float | None = option(
        default=None,
        about="Weight of total variation, for the methods 2015 and 2016; their own if not given.",
        low=0,
    )
    seed: int = option(default=0, about="Seed of random weights, and of all that is drawn.",
                       low=0, high=2**32 - 1)  # fmt: skip
