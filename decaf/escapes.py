"""Names as each form of output shows them: one function a form, and nothing else escapes.

Class names, paths and layers come from folders and files that strangers made. What is drawn or
printed must not be read as an instruction: of a terminal, of Markdown, LaTeX or matplotlib, or of
a spreadsheet. HTML is escaped by Jinja.
"""

import re
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format, half of a pair, line, paragraph
_JOINERS = "\u200c\u200d"  # they spell Persian words and emoji

_MARKDOWN = re.compile(r"[\\`*_\[\]|~$#!]")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LATEX = {
    **{character: f"\\{character}" for character in "#$%&_{}"},
    **{character: f"{{{character}}}" for character in "[]*"},  # after \\ they are its arguments
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "·": r"$\cdot$",
    "–": "--",
}

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def visible(text: str) -> str:
    r"""Return text for a terminal or a log: what does not show becomes an escape, ``\x1b``.

    A line stays one line. Letters of every script, spaces and emoji stay as they are.
    """
    return "".join(map(_shown, text))


def figure_text(text: str) -> str:
    """Return text for matplotlib, to which ``$`` would begin mathematics."""
    return visible(text).replace("$", r"\$")


def markdown_text(text: str) -> str:
    """Return text for a cell, a heading or a list of Markdown."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", visible(text))
    return "".join(_HTML.get(character, character) for character in escaped)


def latex_text(text: str) -> str:
    """Return text for LaTeX outside of mathematics."""
    return "".join(_LATEX.get(character, character) for character in visible(text))


def csv_cell(text: str) -> str:
    """Return a word for a CSV file, with an apostrophe before what a spreadsheet would compute.

    Words that begin with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, after any number
    of apostrophes, get one apostrophe more; `csv_word` takes it away, so nothing is lost.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def csv_word(cell: str) -> str:
    """Return the word that `csv_cell` wrote."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def csv_path(path: str) -> str:
    """Return a path for a CSV file; ``./`` before what a spreadsheet would compute names it too."""
    return f"./{path}" if _FORMULA.match(path) else path


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN and character not in _JOINERS:
        return character.encode("unicode_escape").decode("ascii")
    return character
