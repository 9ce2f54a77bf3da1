"""Names of strangers' folders pass through every form of a report as text."""

import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from quick import slow_unless
from rich.console import Console

from decaf.report import latex_table, markdown_table
from decaf.report.details import ClassValue
from decaf.report.embedding import embedding_figure
from decaf.report.figures import classes_figure, layers_figure
from decaf.report.matrix import confusion_figure
from decaf.report.one_page import write_report
from decaf.report.terminal import terminal_comparison, terminal_table
from decaf.report.tiles import top_images_figure
from decaf.results import Result, ResultTable

NAMES = (
    "$x$", "$\\undefined{$", "$", "\x1b[2Jgone", "<script>alert(1)</script>", "a|b", "[red]r[/red]",
    "`c`", "=1+1", "{\\input{x}}", "a\u202eb",
)  # fmt: skip
WORST = NAMES[1:5]


def results(made: Result, name: str) -> ResultTable:
    """A table in which the data set, the net, a layer and a class have a nasty name."""
    per_class = ((made.metric, name, 0.9), (made.metric, "bee", 0.8))
    confusion = ((name, name, 9, "ant/0.jpg"), (name, "bee", 1, "ant/1.jpg"))
    one = replace(
        made, dataset=name, backbone=name, layer=name, per_class=per_class, confusion=confusion
    )
    return ResultTable((one, replace(one, layer="fc7")))


@pytest.fixture
def made() -> Result:
    return Result(
        dataset="pets", backbone="alexnet", weights="imagenet", weights_sha256="0" * 64,
        layer="fc6", head="svm", C=0.1, protocol="holdout", shots=None, split=0, seed=0,
        metric="mean_per_class", value=0.85, other_metric="top1", other_value=0.86, n_classes=2,
        n_train=60, n_test=20, seconds_fit=1.0, converged=True, c_at_edge=False, partial=False,
        normalize="none", pool="none", view="warp", digest="abc", decaf_version="0.1",
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_tables(made: Result, name: str) -> None:
    table = results(made, name)
    printed = io.StringIO()
    console = Console(file=printed, width=200, force_terminal=False)
    console.print(terminal_table(table))
    console.print(terminal_comparison(table))
    assert "\x1b" not in printed.getvalue()
    assert "\u202e" not in printed.getvalue()
    if name == "[red]r[/red]":
        assert name in printed.getvalue()
    markdown, latex = markdown_table(table), latex_table(table)
    assert "<script" not in markdown
    assert "\x1b" not in markdown + latex
    assert r"\input{" not in latex
    (head,) = {
        line.replace(r"\|", "").count("|") for line in markdown.splitlines() if line[:1] == "|"
    }
    assert head == 4


@pytest.mark.parametrize("name", slow_unless(WORST.__contains__, NAMES))
def test_figures(made: Result, name: str) -> None:
    crop = np.zeros((8, 8, 3), np.uint8)
    tile = type("Tile", (), {"crop": crop})()
    figures = [
        classes_figure([ClassValue(name, 0.9, 0.1), ClassValue("bee", 0.8, 0.1)], name),
        confusion_figure((name, "bee"), np.eye(2, dtype=np.int64)),
        layers_figure(results(made, name)),
        embedding_figure(np.random.default_rng(0).random((6, 2)), np.arange(6) % 2, (name, "bee")),
        top_images_figure({0: [tile]}, name),
    ]
    for figure in figures:
        assert b"\x1b" not in svg(figure)


@pytest.mark.parametrize("name", slow_unless(WORST.__contains__, NAMES))
def test_the_page(made: Result, name: str, tmp_path: Path) -> None:
    results(made, name).to_csv(tmp_path / "own.csv")
    page = write_report([tmp_path / "own.csv"], out=tmp_path / "page.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(file, format="svg")
    return file.getvalue()
