"""The images that a head gets wrong, as tables of a page: suspect labels, then all of them."""

from dataclasses import dataclass

import pandas as pd

from decaf.datasets import ImageFiles
from decaf.report.page import PageTable, image, plain_table

MOST_IMAGES = 200
"""Errors that are shown with their image; the others by name, so that a page can be sent."""


@dataclass(frozen=True)
class ErrorList:
    """What a page shows of errors.

    Attributes
    ----------
    said : str
        How many there are.
    suspects : PageTable or None
        Images whose label is suspect.
    all : PageTable
        Every error.
    """

    said: str
    suspects: PageTable | None
    all: PageTable


def list_errors(found: pd.DataFrame, of_what: str, files: ImageFiles | None) -> ErrorList | None:
    """Return errors as tables.

    Parameters
    ----------
    found : pandas.DataFrame
        As `decaf.results.predictions.errors` gives them.
    of_what : str
        The head and layer that make them.
    files : ImageFiles or None
        Where the images lie.

    Returns
    -------
    ErrorList or None
        None where no scores are kept, or nothing is wrong.
    """
    if found.empty:
        return None
    suspects = found[found["suspect"]]
    said = f"{of_what} gets {_images(len(found))} wrong at least once"
    if len(suspects):
        said += f"; the labels of {_images(len(suspects))} are suspect: look at these first"
    caption = "Suspect labels: as sure of another class as of images that bear its label"
    return ErrorList(
        f"{said}.",
        _table(caption, suspects, files) if len(suspects) else None,
        _table("Every error, the surest first", found, files, filter="Show files with"),
    )


def _images(n: int) -> str:
    return f"{n} image{'' if n == 1 else 's'}"


def _table(
    caption: str, found: pd.DataFrame, files: ImageFiles | None, **options: str
) -> PageTable:
    rows = [
        (
            one.path,
            image(files if number < MOST_IMAGES else None, str(one.path), ""),
            one.true,
            one.predicted,
            f"{one.n_wrong} of {one.n_tested}",
            f"{one.margin:.2f}",
        )
        for number, one in enumerate(found.itertuples())
    ]
    columns = ("file", "image", "label", "taken for", "wrong in splits", "margin")
    words = frozenset({"image", "label", "taken for"})
    note = "margin: by how much the score of the class taken is above that of the label, on average"
    return plain_table(caption, columns, rows, words=words, notes=(note,), **options)
