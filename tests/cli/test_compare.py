"""`decaf compare`: one table over the results of several data sets."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import result_rows
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import ConfigError, DataError
from decaf.results import ResultTable

ONE = replace(result_rows.ONE, per_class=(("mean_per_class", "ant", 0.5),))
SUN = replace(ONE, dataset="sun397", shots=None, value=0.5)


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., object]:
    (tmp_path / "results").mkdir()
    for table in (ResultTable((ONE,)), ResultTable((SUN, replace(SUN, head="knn")))):
        table.to_csv(tmp_path / "results" / f"{table.results[0].dataset}.csv")

    def run(*names: str) -> object:
        paths = [str(path) for name in names for path in sorted(tmp_path.glob(name))]
        return CliRunner().invoke(app, ["compare", *paths], env={"COLUMNS": "120"})

    return run


def test_all_files_of_a_folder_make_one_table(compare: Callable[..., object]) -> None:
    result = compare("results/*.csv")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    (caltech,) = (line for line in lines if line and line[0] == "caltech101")
    assert caltech[-6:] == ["85.0", "84.8", "±", "1.2", "+0.2", "yes"]
    (sun,) = (line for line in lines if line and line[0] == "sun397")
    assert sun[-2:] == ["+10.6", "no"]
    assert "without a published figure: 1" in result.output


def test_what_is_no_table_of_results_is_an_error(
    compare: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    result = compare("other.csv")
    assert isinstance(result.exception, DataError)
    assert "give the NAME.csv that decaf evaluate wrote" in str(result.exception)


LONG = "vit_base_patch14_reg4_dinov2.lvd142m"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Nets and heads on own data, for which nothing is published."""
    rows = [
        replace(ONE, dataset="pets", backbone=net, weights=weights,
                weights_sha256=sha * 64, head=head, split=split, seed=split, n_test=1000,
                value=0.8 + 0.01 * split * (head == "svm"), digest=net + sha)
        for net, weights, sha in (
            ("alexnet", "imagenet", "a"), ("alexnet", "random", "b"), (LONG, "imagenet", "c"))
        for head in ("svm", "logreg")
        for split in range(3)
    ]  # fmt: skip
    ResultTable(tuple(rows)).to_csv(tmp_path / "own.csv")
    return tmp_path / "own.csv"


def printed(columns: int, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["compare", *arguments], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return str(done.output)


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("paired", [(), ("--paired",)])
def test_figures_are_whole_in_any_width(own: Path, columns: int, paired: tuple[str, ...]) -> None:
    text = printed(columns, str(own), *paired)
    assert "…" not in text
    whole = ("+1.0", "−2.5 to +4.5", "1.000") if paired else ("81.0 ± 1.0", "80.0 ± 0.0")
    for figure in whole:
        assert figure in text


def test_without_published_figures_nets_and_heads_stand_side_by_side(own: Path) -> None:
    lines = [line.split() for line in printed(200, str(own)).splitlines()]
    assert ["net", "and", "layer", "svm", "logreg"] in lines
    figures = ["81.0", "±", "1.0", "80.0", "±", "0.0"]
    for net in ("alexnet, imagenet, fc6", "alexnet, random weights, fc6", f"{LONG}, imagenet, fc6"):
        assert [*net.split(), *figures] in lines


def test_paired_names_tell_nets_apart(own: Path) -> None:
    names = {line.split("  ")[1] for line in printed(300, str(own), "--paired").splitlines()
             if "−" in line}  # fmt: skip
    assert len(names) == 5
    assert all(name.count("svm") + name.count("logreg") == 2 for name in names)


def test_weights_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rows = [replace(ONE, weights="w.pth", weights_sha256=sha * 64, split=split, seed=split)
            for sha in "ab" for split in range(2)]  # fmt: skip
    ResultTable(tuple(rows)).to_csv(tmp_path / "own.csv")
    text = " ".join(printed(300, str(tmp_path / "own.csv"), "--paired").split())
    assert f"[{rows[0].key}]" in text
    assert f"[{rows[2].key}]" in text


@pytest.mark.parametrize("paired", [(), ("--paired",)])
def test_other_forms_hold_the_same(own: Path, paired: tuple[str, ...]) -> None:
    frame = pd.read_csv(io.StringIO(printed(80, str(own), "--format", "csv", *paired)))
    if paired:
        np.testing.assert_allclose(frame["difference"].max(), 0.01)
    else:
        np.testing.assert_allclose(sorted(set(frame["mean"].round(9))), [0.8, 0.81])
    assert "| ---" in printed(80, str(own), "--format", "markdown", *paired).replace("|-", "| -")
    assert printed(80, str(own), "--format", "latex", *paired).startswith(r"\begin{table}")


def test_an_unknown_format_is_refused(own: Path) -> None:
    done = CliRunner().invoke(app, ["compare", str(own), "--format", "excel"])
    assert isinstance(done.exception, ConfigError)
