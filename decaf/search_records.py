"""The options of search: records as those of `decaf.records`."""

from collections.abc import Sequence
from pathlib import Path

from decaf.choices import Distance, SearchQueries
from decaf.records import Record, option, record


@record
class Search(Record):
    """What is looked for, and how near is measured."""

    k: int = option(default=10, about="Answers for each query.", low=1)
    layer: str | None = option(default=None, about="Layer of the store; its last one if not given.")
    metric: Distance = option(
        default="cosine", about="One minus the cosine, or the Euclidean distance (l2)."
    )
    index: str | Path | None = option(
        default=None, about="An index of the store, asked instead of every row."
    )
    expand: int = option(
        default=0,
        about="Average query expansion: search again by the mean of the query and so many answers.",
        low=0,
    )
    augment: int = option(
        default=0,
        about="Each row that is searched becomes the mean of itself and so many of its nearest.",
        low=0,
    )


@record
class SearchTest(Record):
    """By what a store's rows are ranked, and for which queries."""

    layers: str | Sequence[str] | None = option(
        default=None, about="Comma-separated; all of the store's if not given."
    )
    dims: str | float | Sequence[float] = option(
        default="0", about="Comma-separated numbers of dimensions after PCA; 0: all, without PCA."
    )
    codes: str | Sequence[str] = option(
        default="float32",
        about="Separated by commas or, where a code has some itself, by blanks: float32, "
        "spherical:BITS, hamming:BITS, or a factory string of faiss.",
    )
    queries: SearchQueries = option(
        default="leave-one-out",
        about="Every row asks for its label; or the data set's own queries and measure.",
    )
    whiten: bool = option(default=False, about="Divide by the standard deviations after PCA.")
    seed: int = option(
        default=0, about="Seed of random weights, and of all that is drawn.", low=0, high=2**32 - 1
    )
