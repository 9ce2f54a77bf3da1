"""What decides the values of stored features, and the digest that names them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from decaf.choices import Decoder
from decaf.errors import StoreError
from decaf.types import PatchRule, Preprocessing

FEATURES_VERSION = 3
"""Of decaf's own arithmetic, from an image's bytes to its features; raised whenever a change of
code changes a value."""


@dataclass(frozen=True)
class Provenance:
    """Everything that decides the values of stored features.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    dataset_digest : str
        Digest of its table: ids, labels and order; what the images show is compared row by row.
    n_images : int
        Number of rows.
    backbone, weights, weights_sha256 : str
        The net, what its weights are, and their SHA-256 in hexadecimal. Weights are identified by
        their SHA-256; how they are called is kept, and makes no difference.
    preprocessing : decaf.types.Preprocessing
        How pixels become the net's input.
    views : tuple of str
        Names of the views, and the box that they are of if they are not of the whole image.
    layers : tuple of str
        Names of the layers.
    pooling : str
        How maps become vectors: ``"none"``, ``"avg"``, ``"max"`` or ``"grid:N"``.
    dtype : str
        What is stored: ``"float32"`` or ``"float16"``.
    precision : str
        What the net computed in: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    pixels : str
        The pixel policy.
    versions : mapping of str to str
        Versions of the libraries that had a hand in the values.
    arithmetic : mapping of str to str
        What is computed how: ``features``, decaf's `FEATURES_VERSION`; ``convolutions``; ``net``,
        SHA-256 of the net's structure, and of its code where that is the user's own.
    rows : tuple of (int, int) or None
        First row and end of those that a shard holds; None for the whole data set.
    patches : decaf.types.PatchRule or None
        Where rows are patches, which ones.
    """

    dataset: str
    dataset_digest: str
    n_images: int
    backbone: str
    weights: str
    weights_sha256: str
    preprocessing: Preprocessing
    views: tuple[str, ...]
    layers: tuple[str, ...]
    pooling: str
    dtype: str
    precision: str
    pixels: str
    versions: Mapping[str, str]
    arithmetic: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[int, int] | None = None
    patches: PatchRule | None = None

    @property
    def decoder(self) -> Decoder:
        """Who decoded."""
        return cast("Decoder", self.pixels.partition(";")[0])

    @property
    def n_rows(self) -> int:
        """Number of rows in the file: the shard's, or all."""
        start, stop = self.rows or (0, self.n_images)
        return stop - start

    def whole(self) -> "Provenance":
        """Return the provenance of the store that a shard is a part of."""
        return replace(self, rows=None)

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, equal for equal provenances."""
        fields = asdict(self)
        for name in ("rows", "patches"):  # what a store does not have leaves no trace
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """Return the provenance that `to_json` wrote.

        Raises
        ------
        StoreError
            If the text is not a provenance.
        """
        try:
            fields = json.loads(text)
            fields["preprocessing"] = Preprocessing(**_with_tuples(fields["preprocessing"]))
            if fields.get("patches") is not None:
                fields["patches"] = PatchRule(**_with_tuples(fields["patches"]))
            return cls(**_with_tuples(fields))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"asked to read a provenance, found text that is not one ({error}); "
                "extract the features again"
            ) from error

    def digest(self) -> str:
        """Return the SHA-256 of all that decides values, as canonical JSON, in hexadecimal."""
        return hashlib.sha256(self._nameless().to_json().encode()).hexdigest()

    def _nameless(self) -> "Provenance":
        """Return it without how weights are called, which decides no value."""
        return replace(self, weights="")

    def differences(self, other: "Provenance") -> list[str]:
        """Return one line for each field of `other`, the one found, that is not as asked here.

        Returns
        -------
        list of str
            Lines ``"field: asked X, found Y"``, empty where both are equal.
        """
        asked, found = (_flat(asdict(one._nameless())) for one in (self, other))
        return [
            f"{name}: asked {asked.get(name)}, found {found.get(name)}"
            for name in dict.fromkeys([*asked, *found])
            if asked.get(name) != found.get(name)
        ]

    def computes(self, other: "Provenance") -> bool:
        """Return whether a store with this provenance has the rows that `other` asks for.

        True if both are equal but for the table of images, and layers that only this one has:
        images of the same content have the same features in both.
        """
        table = {"dataset": "", "dataset_digest": "", "n_images": 0, "rows": None}
        mine, theirs = (replace(one._nameless(), **table) for one in (self, other))  # type: ignore[arg-type] # each of its own
        return mine.covers(theirs)

    def covers(self, other: "Provenance") -> bool:
        """Return whether a store with this provenance holds all that `other` asks for.

        True if both are equal but for layers that only this one has.
        """
        mine = replace(self._nameless(), layers=other.layers)
        return set(other.layers) <= set(self.layers) and mine == other._nameless()


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        nested = value if isinstance(value, dict) else {}
        flat |= {f"{name}.{key}": v for key, v in nested.items()} or {name: value}
    return flat
