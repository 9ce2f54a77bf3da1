"""Options of looking into nets, each declared once."""

from typing import TYPE_CHECKING, Literal

from decaf.fields import Record, option, record

if TYPE_CHECKING:  # torch takes seconds to import; the command line's help must not pay for it
    from decaf.backbones import TorchBackbone

Transform = Literal["translate", "scale", "rotate"]
Fill = Literal["mean", "edge", "reflect"]


@record
class OpenNet(Record):
    """How a net that is looked into is loaded."""

    weights: str = option(
        default="imagenet",
        about="imagenet, random, one of torchvision's entries, or a file of weights.",
    )
    device: str = option(default="auto", about="auto, cpu, cuda or cuda:N.")
    seed: int = option(
        default=0, about="Seed of random weights, and of all that is drawn.", low=0, high=2**32 - 1
    )
    allow_code: bool = option(default=False, about="Import and call a net package.module:function.")

    def load(self, name: "str | TorchBackbone") -> "TorchBackbone":
        """Return the net.

        Raises
        ------
        BackboneError
            If the net is unknown, or weights are missing or do not fit.
        ConfigError
            If the device is not to be had, or code is not allowed.
        """
        from decaf.backbones import load_backbone  # noqa: PLC0415 - loads torch

        return load_backbone(
            name,
            weights=self.weights,
            device=self.device,
            seed=self.seed,
            allow_code=self.allow_code,
        )


@record
class Moves(Record):
    """How images are moved in the net's input, and which."""

    transform: Transform = option(
        default="translate",
        about="translate: downwards, in pixels; scale: enlarged by a factor; rotate: to the left, "
        "in degrees; all about the centre.",
    )
    amounts: str | None = option(
        default=None,
        about="Comma-separated; -60 to 60 by 10, 1 to 1.8 by 0.1, or 0 to 350 by 10 if not given.",
    )
    fill: Fill = option(
        default="mean",
        about="What comes in at the border: the net's mean colour, the edge's, or a mirror image.",
    )
    limit: int = option(default=50, about="Images, evenly spaced.", low=2)
