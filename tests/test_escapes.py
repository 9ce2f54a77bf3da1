"""No name, however nasty, acts as an instruction in what decaf prints, draws or writes."""

import csv
import io
import re
import unicodedata
import warnings

import matplotlib.pyplot as plt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from decaf import escapes

NASTY = [
    "$", "$x$", r"\$", "a$b$c", r"$\undefined$", "$^{$", "\x1b]0;owned\x07", "\x1b[2J", "a\nb",
    "a\r\nb", "\t", "\x00", "\u202egnp.exe", "\udcff.jpg", "=1+1", "+1", "-1", "@SUM(A1)",
    "\t=1", "'=1", "''=1", "'", "<script>alert(1)</script>", "a|b", "`code`", "*b*", "_i_",
    "[link](javascript:alert(1))", "![i](x)", "# head", "~~s~~", "&amp;", r"\input{x}", "%", "{",
    "[2pt]", "*", "~", "^", '"', "[red]text[/red]", "", " ", "caf\u00e9", "\u732b", "\U0001f408",
    "\u2028", "\x85",
]  # fmt: skip
NAMES = st.one_of(st.sampled_from(NASTY), st.text(max_size=12))


@given(NAMES)
def test_what_is_visible_has_nothing_that_is_not(name: str) -> None:
    shown = escapes.visible(name)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in shown)
    assert "\u202e" not in shown


def test_ordinary_names_stay_as_they_are() -> None:
    for name in (
        "caf\u00e9",
        "\u732b",
        "\U0001f408",
        "a b",
        "\u0646\u200c\u0645",
        "Ground_Beetle-2",
    ):
        assert escapes.visible(name) == name
        assert escapes.figure_text(name) == name
        assert escapes.csv_cell(name) == escapes.csv_path(name) == name
    assert escapes.visible("\x1b[2J") == r"\x1b[2J"
    assert escapes.visible("a\nb\udcff") == r"a\nb\udcff"


@given(NAMES)
@settings(deadline=None)
def test_matplotlib_draws_the_name_and_no_mathematics(name: str) -> None:
    text = Text(text=escapes.figure_text(name))
    drawn, is_math = text._preprocess_math(text.get_text())
    assert not is_math
    assert drawn == escapes.visible(name)


@pytest.mark.parametrize("name", NASTY)
def test_a_figure_with_a_nasty_name_is_drawn(name: str) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(escapes.figure_text(name))
    axes.set_yticks([0.5], [escapes.figure_text(name)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(io.BytesIO(), format="svg")
    plt.close("all")


@given(NAMES)
def test_a_spreadsheet_computes_no_cell_and_every_word_comes_back(name: str) -> None:
    for cell in (escapes.csv_cell(name), escapes.csv_path(name)):
        assert not re.match(r"[=+\-@\t\r]", cell)
    assert escapes.csv_word(escapes.csv_cell(name)) == name
    file = io.StringIO(newline="")
    csv.writer(file).writerow([escapes.csv_cell(name), "x"])
    ((read, _),) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert escapes.csv_word(read) == name


def test_a_path_in_a_csv_file_names_the_same_file(tmp_path) -> None:
    (tmp_path / "=1.jpg").write_bytes(b"x")
    assert escapes.csv_path("=1.jpg") == "./=1.jpg"
    assert (tmp_path / escapes.csv_path("=1.jpg")).is_file()


@given(NAMES)
def test_markdown_has_no_html_and_no_new_cell_or_line(name: str) -> None:
    text = escapes.markdown_text(name)
    assert "<" not in text
    assert ">" not in text
    assert len(text.splitlines()) <= 1
    plain = re.sub(r"\\[\\`*_\[\]|~$#!]", "", text)
    assert not re.search(r"[\\`*_\[\]|~$#!]", plain)


@given(NAMES)
def test_latex_has_no_command_that_is_not_ours(name: str) -> None:
    text = escapes.latex_text(name)
    assert len(text.splitlines()) <= 1
    plain = re.sub(r"\\text\w+\{\}|\\[#$%&_{}]|\$\\?[a-z^]*\\?[a-z]*\$|\{[\[\]*]\}", "", text)
    assert not re.search(r"[\\#$%&_{}~^<>|\[\]*]", plain)
