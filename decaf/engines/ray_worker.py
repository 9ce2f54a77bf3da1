"""What an actor of a Ray cluster does: hold the net, and fill one shard after the other."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from decaf import process
from decaf.backbones import load_backbone
from decaf.datasets import slice_rows
from decaf.engines.fill import fill
from decaf.engines.plan import Plan
from decaf.errors import BackboneError, DecafError
from decaf.store import Provenance, failed_images


class Worker:
    """An actor: the net, loaded once, and the plan of the whole.

    An error of decaf's is not raised but returned, for Ray would wrap it, or start the actor again.

    Parameters
    ----------
    recipe : mapping of str to Any
        The plan's fields but for the net.
    asked : Provenance
        What decides the features' values.
    net : mapping of str to Any
        Arguments of `load_backbone`.
    """

    def __init__(
        self, recipe: Mapping[str, Any], asked: Provenance, net: Mapping[str, Any]
    ) -> None:
        process.own()  # it is this actor's alone
        torch.set_num_threads(recipe["workers"])
        self._asked = asked
        self._error: DecafError | None = None
        try:
            self._plan = Plan(backbone=_same_net(asked, net), **recipe)
        except DecafError as error:
            self._error = error

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, Any]:
        """Fill a shard.

        Parameters
        ----------
        shard : mapping of str to Any
            Its path, first row and end.

        Returns
        -------
        dict of str to Any
            Its number of rows and the ids of images that failed, with the kind and the message of
            an error.
        """
        try:
            failed = self._fill(Path(shard["path"]), (int(shard["first"]), int(shard["end"])))
        except DecafError as error:
            return {"n_rows": 0, "failed": [], "kind": type(error).__name__, "error": str(error)}
        n_rows = int(shard["end"]) - int(shard["first"])
        return {"n_rows": n_rows, "failed": failed, "kind": "", "error": ""}

    def _fill(self, path: Path, rows: tuple[int, int]) -> list[str]:
        if self._error is not None:
            raise self._error
        part = replace(self._plan, dataset=slice_rows(self._plan.dataset, slice(*rows)))
        return sorted(failed_images(fill(path, part, replace(self._asked, rows=rows), quiet=True)))


def _same_net(asked: Provenance, net: Mapping[str, Any]) -> Any:
    backbone = load_backbone(**net)
    if backbone.weights_sha256 != asked.weights_sha256:
        raise BackboneError(
            f"asked for {asked.backbone} with weights {asked.weights_sha256[:8]}, found "
            f"{backbone.weights_sha256[:8]} on this machine; put the same file on all machines"
        )
    return backbone
