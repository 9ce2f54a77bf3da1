"""The text lists that come with published data sets."""

from pathlib import Path

from decaf.errors import DataError


def read_lines(file: Path) -> list[str]:
    """Return the lines of a list without the blank ones.

    Parameters
    ----------
    file : pathlib.Path
        A text file; line ends of any system, with or without one at its end.

    Raises
    ------
    DataError
        The list is missing or no text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the list {file} cannot be read ({error.strerror}); it comes with the images: "
            "unpack the archive anew"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the list {file} is no text; unpack the archive anew") from error
    if "\0" in text:
        raise DataError(f"the list {file} is no text; unpack the archive anew")
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_columns(file: Path, n_columns: int) -> list[list[str]]:
    """Return the values of each line of a list, which one or more spaces separate.

    Parameters
    ----------
    file : pathlib.Path
        A text file.
    n_columns : int
        Number of values a line; the last one may hold spaces.

    Raises
    ------
    DataError
        The list is missing, or a line has fewer values.
    """
    rows = [line.split(maxsplit=n_columns - 1) for line in read_lines(file)]
    for number, row in enumerate(rows, start=1):
        if len(row) < n_columns:
            raise DataError(
                f"{file}, entry {number}: found {' '.join(row)[:80]!r}, expected {n_columns} "
                "values; unpack the archive anew"
            )
    return rows
