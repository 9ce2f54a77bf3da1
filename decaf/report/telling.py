"""Short names that tell rows of results apart: by what varies among them, and by no more."""

from collections import Counter
from collections.abc import Callable, Sequence

from decaf.results import Aggregate, Result

_TOLD = (
    *("dataset", "domains", "backbone", "weights", "pool", "view", "normalize", "protocol"),
    "settings",
)


def telling(
    rows: Sequence[Result] | Sequence[Aggregate],
    name: Callable[[Result | Aggregate], str],
    besides: Sequence[str] = (),
) -> dict[str, str]:
    """Return a name for each row, no two of which are equal.

    Parameters
    ----------
    rows : sequence of Result or Aggregate
        The rows; several may have one key.
    name : callable
        Returns the part of a row's name that is always said, last.
    besides : sequence of str
        Fields that are said elsewhere.

    Returns
    -------
    dict of str to str
        Names by key; where nothing else tells two rows apart, their keys do.
    """
    by_key = {row.key: row for row in rows}
    told = [f for f in _TOLD if f not in besides]
    varying = [f for f in told if len({getattr(row, f) for row in by_key.values()}) > 1]
    names = {
        key: ", ".join(filter(None, [*(_said(row, f) for f in varying), name(row)]))
        for key, row in by_key.items()
    }
    # numbers of shots and metrics are never compared, and stand in columns of their own
    said = Counter((by_key[key].drawn, by_key[key].metric, n) for key, n in names.items())
    return {
        key: f"{n} [{key}]" if said[by_key[key].drawn, by_key[key].metric, n] > 1 else n
        for key, n in names.items()
    }


def _said(row: Result | Aggregate, field: str) -> str:
    value = str(getattr(row, field) or "standard")
    if field != "weights":
        return value
    return {"random": "random weights", "none": ""}.get(value, value)


def head(row: Result | Aggregate) -> str:
    """Return a head's name, with its settings, what it trains on and how features are adapted."""
    settings = f" ({row.head_settings})" if row.head_settings else ""
    adapt = "" if row.adapt == "none" else row.adapt
    return ", ".join(filter(None, [f"{row.head}{settings}", row.train_on, adapt]))
