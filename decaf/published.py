"""Published figures, so that a reader sees them beside their own."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

VERIFIED = frozenset({"V", "D"})
"""Tags of figures that were read in, or computed from, the publication itself."""


FLAWED = "-goyal"
"""End of a protocol's name that repeats a flaw of the paper, so that its figures are the same."""


@dataclass(frozen=True)
class PublishedFigure:
    """One printed number.

    Attributes
    ----------
    dataset, protocol, metric : str
        As in a result; `protocol` is empty, or one that decaf does not have, for comparators.
    system : str
        Who printed it, or whom they compare with.
    backbone : str
        torchvision net that stands for the published one; empty where none does.
    backbone_note : str
        The net that was really used.
    layer, head : str
        decaf's names; empty for systems that are not a head on a layer.
    pool : str
        How the layer's map became a vector; empty where that makes no difference.
    shots : int or None
        Training images a class.
    category : str
        The class, where the figure is that of a single one.
    value, deviation : float or None
        Fractions; `deviation` as printed, None where none is.
    source : str
        Paper and table.
    verified : str
        ``"V"`` read in the paper, its slides or its code; ``"D"`` computed from such; ``"V2"`` read
        in a secondary text; ``"R"`` recalled.
    comparable : str
        What a comparison must know.
    """

    dataset: str
    system: str
    backbone: str
    backbone_note: str
    layer: str
    pool: str
    head: str
    protocol: str
    shots: int | None
    category: str
    metric: str
    value: float
    deviation: float | None
    source: str
    verified: str
    comparable: str

    @property
    def note(self) -> str:
        """What a comparison must know, in words: the published net and `comparable`."""
        net = f"{self.system} used {self.backbone_note}" if self.backbone_note else ""
        return ", ".join(filter(None, (net, self.comparable)))


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """Return every figure of ``published.csv``, in file order."""
    text = files("decaf").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_figure(row) for row in csv.DictReader(text.splitlines()))


def _figure(row: dict[str, str]) -> PublishedFigure:
    fields: dict[str, Any] = dict(row)
    fields["shots"] = int(row["shots"]) if row["shots"] else None
    fields["value"] = float(row["value"])
    fields["deviation"] = float(row["deviation"]) if row["deviation"] else None
    return PublishedFigure(**fields)


def lookup(
    *,
    dataset: str,
    protocol: str,
    backbone: str,
    layer: str,
    pool: str,
    head: str,
    shots: int | None,
    metric: str,
) -> PublishedFigure | None:
    """Return the published figure of a cell of a results table.

    Parameters
    ----------
    dataset, protocol, backbone, layer, pool, head : str
        As in a result.
    shots : int or None
        Training images a class, where the protocol fixes them.
    metric : str
        Name of the metric.

    Returns
    -------
    PublishedFigure or None
        The first such figure in the file: where a paper prints two, its headline. None where
        nothing is published.
    """
    figure = _cells().get(
        (dataset, protocol.removesuffix(FLAWED), backbone, layer, head, shots, metric)
    )
    return figure if figure and figure.pool in {"", pool} else None


Cell = tuple[str, str, str, str, str, int | None, str]


@cache
def _cells() -> dict[Cell, PublishedFigure]:
    cells: dict[Cell, PublishedFigure] = {}
    for f in published_figures():
        if f.backbone and not f.category:
            cell = (f.dataset, f.protocol, f.backbone, f.layer, f.head, f.shots, f.metric)
            cells.setdefault(cell, f)
    return cells
