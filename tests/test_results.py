from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import result_rows

from decaf.errors import DataError
from decaf.report.details import Details
from decaf.results import ResultTable, read_beside, read_results
from decaf.results.chosen_settings import ChosenSetting, SearchTable
from decaf.results.files import write_frames
from decaf.results.predictions import predictions_path

ONE = replace(
    result_rows.ONE,
    value=0.8,
    other_value=0.85,
    seconds_fit=1.5,
    objective=3.25,
    gradient_norm=1e-6,
    notes=("view squash instead of warp", "3 splits instead of 5"),
)
TWO = replace(ONE, split=1, seed=1, value=0.9, C=1.0, converged=False, c_at_edge=True)
KNN = replace(ONE, head="knn", C=None, shots=None, objective=None, gradient_norm=None, notes=())

ISSUED = [
    "dataset",
    "backbone",
    "weights",
    "weights_sha256",
    "layer",
    "head",
    "C",
    "protocol",
    "shots",
    "n_splits",
    "metric",
    "mean",
    "std",
    "ci95_low",
    "ci95_high",
    "n_train",
    "n_test",
    "seconds_fit",
    "converged",
    "published",
    "published_source",
    "digest",
    "decaf_version",
]


def test_splits_are_aggregated():
    (row,) = ResultTable((ONE, TWO)).aggregates()
    np.testing.assert_allclose([row.mean, row.std], [0.85, np.std([0.8, 0.9], ddof=1)])
    assert (row.n_splits, row.C, row.seconds_fit) == (2, 0.1, 3.0)
    assert (row.converged, row.c_at_edge) == (False, True)


def test_what_is_not_a_split_of_another_is_a_row_of_its_own():
    others = [
        replace(ONE, **{name: value})
        for name, value in [("layer", "fc7"), ("head", "logreg"), ("shots", 5), ("digest", "def")]
    ]
    assert len(ResultTable((ONE, *others)).aggregates()) == 5


def test_the_published_figure_stands_beside():
    (row,) = ResultTable((ONE,)).aggregates()
    assert (row.published, row.published_deviation, row.published_system) == (
        0.8477,
        0.012,
        "DeCAF",
    )
    (none,) = ResultTable((replace(ONE, backbone="squeezenet1_0"),)).aggregates()
    assert none.published is None


def test_frame_has_the_promised_columns_first():
    frame = ResultTable((ONE, TWO, KNN)).to_frame()
    assert list(frame.columns[: len(ISSUED)]) == ISSUED
    assert frame["mean"].tolist() == [pytest.approx(0.85), 0.8]
    assert frame["C"].isna().tolist() == [False, True]


def test_results_come_back_from_their_files(tmp_path):
    table = ResultTable((ONE, TWO, KNN))
    written = table.to_csv(tmp_path / "results" / "own.csv")
    assert [path.name for path in written] == ["own.csv", "own-splits.csv"]
    assert ResultTable.from_csv(tmp_path / "results" / "own.csv") == table
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["own-splits.csv", "own.csv"]


def test_files_hold_fractions_and_one_row_a_split(tmp_path):
    ResultTable((ONE, TWO)).to_csv(tmp_path / "own.csv")
    assert len(pd.read_csv(tmp_path / "own.csv")) == 1
    assert pd.read_csv(tmp_path / "own-splits.csv")["value"].tolist() == [0.8, 0.9]


def test_values_of_single_classes_have_a_file(tmp_path):
    result = replace(ONE, per_class=(("map_11pt", "cat", 0.5), ("map_area", "cat", 0.25)))
    *_, path = ResultTable((result,)).to_csv(tmp_path / "own.csv")
    frame = pd.read_csv(path)
    assert path.name == "own-classes.csv"
    assert frame[["metric", "class", "value"]].values.tolist() == [
        ["map_11pt", "cat", 0.5],
        ["map_area", "cat", 0.25],
    ]


def test_confusions_are_summed_over_splits_and_come_back(tmp_path):
    first = replace(ONE, confusion=(("1", "1", 4, "1/a.jpg"), ("1", "nan", 2, "1/b.jpg")))
    second = replace(TWO, confusion=(("1", "nan", 3, "1/c.jpg"),))
    written = ResultTable((first, second)).to_csv(tmp_path / "own.csv")
    assert [path.name for path in written][-1] == "own-confusion.csv"
    frame = read_beside([tmp_path / "own.csv"], "confusion")
    assert frame[["shots", "class", "predicted", "n", "example"]].values.tolist() == [
        ["30", "1", "1", 4, "1/a.jpg"],
        ["30", "1", "nan", 5, "1/b.jpg"],
    ]
    assert len(read_results(sorted(tmp_path.glob("*.csv")))) == 2


def test_a_split_in_two_files_counts_once_as_the_last_says(tmp_path):
    said = (("cat", "dog", 2, "b"),)
    ResultTable((replace(ONE, value=0.1, confusion=(("cat", "dog", 1, "a"),)), TWO)).to_csv(
        tmp_path / "a.csv"
    )
    ResultTable((replace(ONE, confusion=said), KNN)).to_csv(tmp_path / "b.csv")
    paths = sorted(tmp_path.glob("*.csv"))
    assert [r.value for r in read_results(paths)] == [ONE.value, TWO.value, KNN.value]
    assert read_beside(paths, "confusion")[["n", "example"]].values.tolist() == [[2, "b"]]


def test_results_without_single_classes_have_none_beside(tmp_path):
    ResultTable((ONE,)).to_csv(tmp_path / "own.csv")
    assert read_beside([tmp_path / "own.csv"], "classes").empty


def test_a_table_without_results_has_the_columns():
    assert list(ResultTable(()).to_frame().columns[: len(ISSUED)]) == ISSUED


@pytest.mark.parametrize("text", [None, "a,b\n1,2\n"])
def test_what_is_not_decafs_is_refused(tmp_path, text):
    if text:
        (tmp_path / "own-splits.csv").write_text(text)
    with pytest.raises(DataError, match=r"own-splits\.csv cannot be read"):
        ResultTable.from_csv(tmp_path / "own.csv")


def test_names_that_a_spreadsheet_would_compute_are_quoted_and_come_back(tmp_path):
    result = replace(ONE, per_class=(("mean_per_class", "=1+1", 0.5), ("mean_per_class", "'@x", 1)))
    table = ResultTable((result,))
    table.to_csv(tmp_path / "r.csv")
    text = (tmp_path / "r-classes.csv").read_text()
    assert ",'=1+1," in text
    assert set(read_beside([tmp_path / "r.csv"], "classes")["class"]) == {"=1+1", "'@x"}


def test_a_table_shows_itself():
    lines = repr(ResultTable((ONE, TWO, KNN))).splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:4] == ["dataset", "backbone", "layer", "head"]
    assert lines[1].split()[:7] == ["caltech101", "alexnet", "fc6", "svm", "decaf", "30",
                                    "mean_per_class"]  # fmt: skip
    assert "0.85" in lines[1]
    assert repr(ResultTable(())).startswith("Empty DataFrame")


@pytest.mark.parametrize("what", ["", "-splits", "-classes", "-confusion"])
def test_a_changed_cell_in_any_file_is_refused(tmp_path, what):
    odd = ("mean_per_class", 'a "b",\r\n=c', 0.8)
    result = replace(ONE, per_class=(odd,), confusion=(("cat", "dog", 8, "8.jpg"),))
    path = tmp_path / "r.csv"
    ResultTable((result, TWO)).to_csv(path)
    assert len(read_results([path])) == 2
    assert read_beside([path], "classes")["class"].tolist() == [odd[1]]
    file = tmp_path / f"r{what}.csv"
    whole = file.read_bytes()
    for changed in (whole.replace(b"8", b"9", 1), whole.replace(b"class", b"clazz"), whole[:-40]):
        file.write_bytes(changed)
        with pytest.raises(DataError, match=r"run (it|the same decaf evaluate) again"):
            Details.read([path])


def test_results_from_before_there_were_domains_are_read(tmp_path):
    table, path = ResultTable((ONE,)), tmp_path / "r.csv"
    older = table.splits_frame().drop(columns=["domains", "train_on", "adapt"])
    write_frames(path, {"": table.to_frame(), "splits": older})
    (found,) = ResultTable.from_csv(path)
    assert (found.value, found.key) == (ONE.value, ONE.key)
    assert replace(ONE, adapt="sa").key == ONE.key  # nothing adapts where there are no domains
    ways = [replace(ONE, domains=d, train_on=t, adapt=a) for d in ("a:b", "b:a")
            for t in ("S", "ST") for a in ("none", "sa")]  # fmt: skip
    assert len({one.key for one in ways}) == 8


def test_all_files_of_a_folder_of_results_are_read_as_its_results(tmp_path):
    ResultTable((ONE, TWO)).to_csv(tmp_path / "own.csv")
    predictions_path(tmp_path / "own.csv").write_text("path,split,true\n")
    chosen = ChosenSetting(0, "layer=fc7", 1.0, 0.9, 0.8, 10, 5)
    tuned = SearchTable(
        "own", "alexnet", "holdout", "top1", 0, 1, {"layer=fc7": (0.9,)}, (chosen,), 2
    )
    tuned.to_csv(tmp_path / "own-tune.csv")
    found = read_results(sorted(tmp_path.glob("*.csv")))
    assert [r.value for r in found] == [ONE.value, TWO.value]
