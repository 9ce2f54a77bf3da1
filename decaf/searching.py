"""A store and queries to the images most like them: `search`."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from decaf.device import find_device
from decaf.errors import BackboneError, ConfigError
from decaf.extraction import extract_table, load_nets
from decaf.prediction import find_images
from decaf.records import Compute, Net, Search, Source, View, takes_records
from decaf.retrieval.exact import rows_of
from decaf.store import FeatureStore
from decaf.store.searched import (
    Answer,
    Queries,
    layer_of,
    queries_of,
    read_queries,
    search_store,
)
from decaf.stored_images import stored_view
from decaf.types import ImageDataset


@takes_records
def search(
    store: str | Path,
    queries: Sequence[str | Path],
    how: Search = Search(),
    *,
    weights: str | None = None,
    allow_code: bool = False,
    compute: Compute = Compute(),
) -> tuple[Answer, ...]:
    """Find the images of a store that are most like others.

    Parameters
    ----------
    store : str or pathlib.Path
        The store.
    queries : sequence of str or pathlib.Path
        Each an id of the store; another store (``.h5``) of the same net, all of whose rows ask;
        or an image, a folder or list of images, which the store's own net and view read.
    how : Search
        Layer, metric and number of answers, and the index that is asked.
    weights : str, optional
        Where the net's weights are now; where they were in extraction if not given.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    compute : Compute
        Where and how net and search run.

    Returns
    -------
    tuple of decaf.store.Answer
        One for each query: images first, then ids, then stores. An image of the store is no
        answer to itself.

    Raises
    ------
    ConfigError
        If a query is nothing of these, or an option is wrong.
    BackboneError
        If the net cannot be had, or its weights are not those of the store.
    StoreMismatchError
        If another store is of another net, or the index of another store.
    DataError
        If an image cannot be read.
    """
    if not queries:
        raise ConfigError("asked to search without queries; give images, ids or a store")
    with ExitStack() as stack:
        opened = stack.enter_context(FeatureStore(store))
        device = str(find_device(compute.device))
        known = set(opened.image_ids)
        kinds = [_kind(opened, query, known) for query in queries]
        made = None
        if "images" in kinds:
            paths = list(find_images([q for q, kind in zip(queries, kinds, strict=True)
                                      if kind == "images"]))  # fmt: skip
            made = _of_images(
                opened, paths, how, weights=weights, allow_code=allow_code, compute=compute
            )
        parts = [made] if made is not None else []
        ids = [str(q) for q, kind in zip(queries, kinds, strict=True) if kind == "id"]
        if ids:
            parts.append(read_queries(opened, ids, how))
        for query, kind in zip(queries, kinds, strict=True):
            if kind == "store":
                other = stack.enter_context(FeatureStore(query))
                parts.append(read_queries(opened, other, how))
        return tuple(
            answer for part in parts for answer in search_store(opened, part, how, device=device)
        )


def _kind(store: FeatureStore, query: str | Path, known: set[str]) -> str:
    if str(query) in known:
        _refuse_other_file(store, str(query))
        return "id"
    if not os.path.lexists(query):
        raise ConfigError(
            f"asked for what is like {query}, found no image of that id in {store.path}, and no "
            "file or folder; give an id, an image or a store"
        )
    return "store" if str(query).endswith(".h5") else "images"


def _refuse_other_file(store: FeatureStore, query: str) -> None:
    """Refuse an id that is the path of another image too, for both may be meant."""
    if store.provenance.backbone == "imported" or not Path(query).is_file():
        return
    (row,) = rows_of(store.image_ids, [query])
    with Path(query).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    if digest != store.image_sha256[row].tobytes():
        raise ConfigError(
            f"asked for what is like {query}, found an image of that id in {store.path}, and "
            f"another one in the file here; give the file as {Path(query).resolve()}, or the id "
            "where no such file is"
        )


def _of_images(
    store: FeatureStore,
    paths: Sequence[str],
    how: Search,
    *,
    weights: str | None,
    allow_code: bool,
    compute: Compute,
) -> Queries:
    """Return images as queries, read by the store's own net and view."""
    made, layer = store.provenance, layer_of(store, how)
    if made.patches is not None or made.backbone == "imported":
        what = "patches" if made.patches is not None else "imported"
        raise ConfigError(
            f"asked to search {store.path} by images, found that its rows are {what}, of which "
            "an image gives none; give ids, or a store of rows of the same kind"
        )
    net = Net(
        made.backbone, weights or made.weights, (layer,), made.pooling,
        precision=made.precision, allow_code=allow_code,  # type: ignore[arg-type] # a store's own word
    )  # fmt: skip
    nets = load_nets(net, compute.device)
    if nets[0].weights_sha256 != made.weights_sha256:
        raise BackboneError(
            f"asked to search features of {made.backbone} with weights {made.weights} (sha256 "
            f"{made.weights_sha256[:12]}...), found {nets[0].weights} (sha256 "
            f"{nets[0].weights_sha256[:12]}...); give those with --weights, or extract the queries "
            "into a store with them"
        )
    view = replace(stored_view(store, View()), box=None, box_scale=None)
    once = tuple(dict.fromkeys(paths))
    nothing = np.zeros(len(once), np.int64)
    table = ImageDataset("queries", Path(), once, nothing, ("query",), nothing)
    with TemporaryDirectory() as folder:
        source = Source(decoder=made.decoder, features=folder)
        with FeatureStore(
            extract_table(table, nets, net, view, source=source, compute=compute)
        ) as own:
            found = queries_of(own, layer, paths)
    return replace(found, labels=("",) * len(paths), own=np.full(len(paths), -1))
