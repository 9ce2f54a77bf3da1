"""From a table of images to an extraction of their patches."""

from collections.abc import Sequence
from typing import Any

from decaf.backbones import TorchBackbone, dense_pass
from decaf.datasets.objects import Objects
from decaf.datasets.patch_tables import patch_table
from decaf.engines.planning import layers_of
from decaf.records import Net, View
from decaf.types import ImageDataset, PatchRule


def as_patches(
    table: ImageDataset,
    net: TorchBackbone,
    asked: Net,
    *,
    view: str,
    rule: PatchRule,
    objects: Sequence[Objects] | None,
) -> tuple[ImageDataset, dict[str, Any]]:
    """Return a table of patches, and the options by which `make_plan` makes their views.

    Parameters
    ----------
    table : ImageDataset
        Images.
    net : TorchBackbone
        The net.
    asked : Net
        What is taken of it.
    view : str
        ``patches``: each is cut out; ``dense``: one pass for each scale of an image.
    rule : PatchRule
        Which patches.
    objects : sequence of Objects or None
        What patches are labelled by.

    Raises
    ------
    BackboneError
        If the net cannot make dense passes.
    """
    how: dict[str, Any] = {"view": View("squash", box="crop", box_scale=1.0), "patches": rule}
    if view == "patches":
        return patch_table(table, rule, objects), how
    dense = dense_pass(net, layers_of(asked, net))
    return patch_table(table, rule, objects, dense.grid), how | {"dense": dense}
