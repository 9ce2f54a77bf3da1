"""`decaf report`, `decaf plot` and `decaf compare --paired`, from files to files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import result_rows
from click.testing import Result as Outcome
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import ConfigError, DataError
from decaf.results import ResultTable

ONE = replace(
    result_rows.ONE,
    n_classes=2,
    n_train=60,
    n_test=20,
    per_class=(("mean_per_class", "ant", 0.9), ("mean_per_class", "bee", 0.8)),
    confusion=(("ant", "ant", 9, "ant/0.jpg"), ("ant", "bee", 1, "ant/1.jpg")),
)


@pytest.fixture
def decaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    monkeypatch.chdir(tmp_path)
    rows = [
        replace(ONE, layer=layer, head=head, shots=shots, split=split, seed=split,
                value=0.85 - 0.02 * (head == "knn") + 0.01 * split * (1 + (layer == "fc7")))
        for layer in ("fc6", "fc7")
        for head in ("svm", "knn")
        for shots in (5, 30)
        for split in range(2)
    ]  # fmt: skip
    ResultTable(tuple(rows)).to_csv(Path("results/own.csv"))

    def run(*arguments: str) -> Outcome:
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})

    return run


def results() -> list[str]:
    return [str(path) for path in sorted(Path("results").glob("*.csv"))]


def test_a_report_is_one_file(decaf: Callable[..., Outcome]) -> None:
    done = decaf("report", *results(), "--out", "out/page.html")
    assert done.exit_code == 0, done.output
    assert done.output.strip() == "out/page.html"
    assert [path.name for path in Path("out").iterdir()] == ["page.html"]


@pytest.mark.parametrize(("form", "start"), [("markdown", "**caltech101"), ("latex", r"\begin{")])
def test_tables_as_text_go_to_stdout(decaf: Callable[..., Outcome], form: str, start: str) -> None:
    done = decaf("report", *results(), "--format", form)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(start)
    for option in ("--out", "--images"):
        refused = decaf("report", *results(), "--format", form, option, "x")
        assert isinstance(refused.exception, ConfigError)


def test_results_are_not_overwritten_by_their_page(decaf: Callable[..., Outcome]) -> None:
    before = Path("results/own.csv").read_bytes()
    assert isinstance(decaf("report", *results(), "--out", results()[-1]).exception, ConfigError)
    assert Path("results/own.csv").read_bytes() == before


def test_an_unknown_format_is_refused(decaf: Callable[..., Outcome]) -> None:
    done = decaf("report", *results(), "--format", "docx")
    assert done.exit_code == 2
    said = " ".join(done.output.replace("│", " ").split())
    assert "'docx' is not one of 'html', 'markdown'" in said


@pytest.mark.parametrize("what", ["curve", "layers", "classes", "confusion"])
def test_figures_of_results(decaf: Callable[..., Outcome], what: str) -> None:
    done = decaf("plot", what, *results(), "--out", "f.svg")
    assert done.exit_code == 0, done.output
    assert Path("f.svg").read_text().startswith("<?xml")


def test_a_row_of_results_can_be_named(decaf: Callable[..., Outcome]) -> None:
    chosen = ("--head", "knn", "--layer", "fc6", "--shots", "5")
    assert decaf("plot", "classes", *results(), "--out", "f.svg", *chosen).exit_code == 0
    assert "(knn on fc6)" in Path("f.svg").read_text()
    error = decaf("plot", "classes", *results(), "--out", "f.svg", "--head", "forest").exception
    assert isinstance(error, ConfigError)
    assert "asked for head forest, found no such results" in str(error)


def test_results_without_single_classes_say_what_to_do(decaf: Callable[..., Outcome]) -> None:
    Path("results/own-confusion.csv").unlink()
    error = decaf("plot", "confusion", *results(), "--out", "f.svg").exception
    assert isinstance(error, DataError)
    assert "run decaf evaluate again" in str(error)


def test_rows_over_the_same_splits_are_compared(decaf: Callable[..., Outcome]) -> None:
    done = decaf("compare", *results(), "--paired")
    assert done.exit_code == 0, done.output
    assert "svm on fc7 − knn on fc6" in done.output
    assert "over 2 splits" in done.output
    assert "…" not in done.output
