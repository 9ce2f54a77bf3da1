"""A store's rows as queries and as answers: what `search` and an index have in common."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from decaf.errors import ConfigError, StoreMismatchError
from decaf.escapes import csv_cell, csv_path
from decaf.records import Search
from decaf.retrieval.exact import Neighbours, RowBlocks, nearest, rows_of
from decaf.retrieval.expansion import augmented, expanded
from decaf.retrieval.index import Index
from decaf.retrieval.index_files import index_of
from decaf.store.reader import FeatureStore, label_texts
from decaf.types import FloatArray, IntArray, LabelKind, label_kind
from decaf.whole_files import write_whole

COLUMNS = ("query", "query_label", "rank", "id", "label", "distance")


@dataclass(frozen=True, eq=False)
class Queries:
    """What is looked for.

    Attributes
    ----------
    names : tuple of str
        Ids, or paths of images.
    labels : tuple of str
        Class or classes, joined by ``|``; empty where it is not known.
    X : numpy.ndarray
        ``(n_queries, n_features)`` features.
    own : numpy.ndarray
        ``(n_queries,)`` the row of the searched store that each is itself; -1 where it is none.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    X: FloatArray
    own: IntArray


@dataclass(frozen=True)
class Hit:
    """One answer.

    Attributes
    ----------
    rank : int
        1 for the nearest.
    image_id, label : str
        The image, and its class or classes, joined by ``|``.
    distance : float
        From the query.
    right : bool or None
        Whether it shares a class with the query; None where the query's is not known.
    """

    rank: int
    image_id: str
    label: str
    distance: float
    right: bool | None


@dataclass(frozen=True)
class Answer:
    """A query and its answers, the nearest first.

    Attributes
    ----------
    query, label : str
        Its id or path, and its class or classes; empty where they are not known.
    hits : tuple of Hit
        The answers.
    """

    query: str
    label: str
    hits: tuple[Hit, ...]


def queries_of(store: FeatureStore, layer: str, ids: Sequence[str] | None = None) -> Queries:
    """Return rows of a store as queries.

    Parameters
    ----------
    store : FeatureStore
        An open store.
    layer : str
        One of its layers.
    ids : sequence of str, optional
        Which images; all that have features if not given.

    Raises
    ------
    ConfigError
        If an id or the layer is not there, or the image has no features.
    """
    done = np.flatnonzero(store.done)
    rows = done if ids is None else rows_of(store.image_ids, ids)
    for row in rows[~store.done[rows]][:1].tolist():
        raise ConfigError(
            f"asked for the image {store.image_ids[row]!r}, which failed in extraction and has no "
            "features; leave it out"
        )
    labels = label_texts(store.table())
    return Queries(
        tuple(store.image_ids[row] for row in rows.tolist()),
        tuple(labels[row] for row in rows.tolist()),
        mean_of_views(store[layer][rows]),
        rows,
    )


def read_queries(
    store: FeatureStore, given: FeatureStore | Sequence[str] | FloatArray, how: Search
) -> Queries:
    """Return another store's rows, rows of this one by their ids, or bare features as queries."""
    layer = layer_of(store, how)
    if isinstance(given, FeatureStore):
        require_one_net(store, given, layer)
        found = queries_of(given, layer)
        alike = given.digest == store.digest
        return found if alike else replace(found, own=np.full(len(found.X), -1))
    if isinstance(given, np.ndarray):
        names = tuple(f"query {number}" for number in range(1, len(given) + 1))
        return Queries(names, ("",) * len(given), given, np.full(len(given), -1))
    return queries_of(store, layer, [given] if isinstance(given, str) else given)


def mean_of_views(X: FloatArray) -> FloatArray:
    """Return one vector a row, in float32."""
    X = X.astype(np.float32, copy=False)
    return X if X.ndim == 2 else X.mean(axis=1)


def require_one_net(store: FeatureStore, other: FeatureStore, layer: str) -> None:
    """Refuse queries from a store whose features are not comparable.

    Raises
    ------
    StoreMismatchError
        If nets, weights, pooling or the layer differ.
    """
    mine, theirs = store.provenance, other.provenance
    names = ["backbone", "pooling", "weights_sha256"]
    if mine.backbone == theirs.backbone == "imported":  # their file stands for the weights
        names = ["backbone"]
    for name in names:
        if getattr(mine, name) != getattr(theirs, name):
            raise StoreMismatchError(
                f"asked to search {store.path} by {other.path}, found {name} "
                f"{getattr(mine, name)} there and {getattr(theirs, name)} here; extract both with "
                "one net"
            )
    if layer not in other.layers or other[layer].shape[-1] != store[layer].shape[-1]:
        raise StoreMismatchError(
            f"asked to search {layer} of {store.path} by {other.path}, which has no such layer of "
            f"as many features; extract it, found: {', '.join(other.layers)}"
        )


def search_store(
    store: FeatureStore,
    queries: Queries,
    how: Search = Search(),
    *,
    device: str = "cpu",
) -> tuple[Answer, ...]:
    """Return the images of a store that are most like others.

    Parameters
    ----------
    store : FeatureStore
        An open store.
    queries : Queries
        What is looked for.
    how : Search
        Layer, metric and number of answers.
    device : str
        Where the products of the exact search are computed.

    Returns
    -------
    tuple of Answer
        One for each query. A row of the store is no answer to itself.
    """
    near = neighbours(store, queries, how, device=device)
    labels = label_texts(store.table())
    kind = label_kind(store.labels)
    return tuple(
        Answer(
            name,
            label,
            tuple(
                Hit(rank, store.image_ids[row], labels[row], distance,
                    _shares(label, labels[row], kind))
                for rank, (row, distance) in enumerate(zip(rows, distances, strict=True), 1)
                if row >= 0  # an index may find fewer
            ),
        )
        for name, label, rows, distances in zip(
            queries.names, queries.labels, near.rows.tolist(), near.distances.tolist(), strict=True
        )
    )  # fmt: skip


def neighbours(
    store: FeatureStore,
    queries: Queries,
    how: Search,
    *,
    device: str = "cpu",
) -> Neighbours:
    """Return the rows of a store that are nearest to queries; see `search_store`."""
    if how.metric == "l2" and (how.expand or how.augment):
        raise ConfigError(
            "asked for l2 with expand or augment, which average rows of length 1; use cosine"
        )
    index = None if how.index is None else Index.open(how.index, store)
    how = how if index is None else index.checked(how)
    base: RowBlocks = store[layer_of(store, how)]
    rows = np.flatnonzero(store.done)
    if how.augment:
        if index is not None:
            raise ConfigError("an index holds rows as they are; leave augment out")
        whole = np.zeros((store.n_images, base.shape[-1]), np.float32)
        whole[rows] = augmented(base, rows, how.augment, device)
        base = whole
    itself = bool((queries.own >= 0).any())

    def find(X: FloatArray, k: int) -> Neighbours:
        near = (
            nearest(X, base, k + itself, how.metric, rows=rows, device=device)
            if index is None
            else index.search(X, k + itself)
        )
        return near.without(queries.own) if itself else near

    if how.expand:
        found = find(queries.X, how.expand).rows
        return find(expanded(queries.X, base, found), how.k)
    return find(queries.X, how.k)


def layer_of(store: FeatureStore, how: Search) -> str:
    """Return the layer that is searched: the one asked for, or the index's, or the store's last."""
    if how.index is not None and how.layer is None:
        return str(index_of(how.index, store)["layer"])
    return how.layer or store.layers[-1]


def write_answers(answers: Sequence[Answer], out: Path) -> Path:
    """Write answers as CSV with the columns `COLUMNS`.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    write_whole(out, "".join(f"{line}\n" for line in answer_lines(answers)))
    return out


def answer_lines(answers: Sequence[Answer]) -> list[str]:
    """Return answers as lines of CSV, a header first and then one for each hit."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(
        (csv_path(answer.query), csv_cell(answer.label), hit.rank, csv_path(hit.image_id),
         csv_cell(hit.label), f"{hit.distance:.6g}")
        for answer in answers
        for hit in answer.hits
    )  # fmt: skip
    return text.getvalue().removesuffix("\n").split("\n")


def _shares(asked: str, found: str, kind: LabelKind) -> bool | None:
    if not asked or kind == "number":
        return None
    if kind == "one":
        return asked == found
    return bool({*asked.split("|")} & {*found.split("|")})
