"""`decaf compare`: one table over the results of several data sets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import DataError
from decaf.results import Result, ResultTable

ONE = Result(
    dataset="caltech101",
    backbone="alexnet",
    weights="imagenet",
    weights_sha256="0" * 64,
    layer="fc6",
    head="svm",
    C=0.1,
    protocol="decaf",
    shots=30,
    split=0,
    seed=0,
    metric="mean_per_class",
    value=0.85,
    other_metric="top1",
    other_value=0.86,
    n_classes=102,
    n_train=3060,
    n_test=6084,
    seconds_fit=1.0,
    converged=True,
    c_at_edge=False,
    partial=False,
    normalize="none",
    pool="none",
    view="warp",
    digest="abc",
    decaf_version="0.1",
    per_class=(("mean_per_class", "ant", 0.5),),
)
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
