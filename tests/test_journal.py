"""Results that are added to, survive a kill, and are refused where they are not whole."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from decaf.errors import ConfigError, DataError
from decaf.results import Journal, ResultTable, read_results
from decaf.results.rows import IDENTITY
from tests.test_results import ONE, TWO

CONFUSED = replace(
    ONE,
    of_splits=2,
    split_digest="a",
    per_class=(("mean_per_class", "cat", 0.5),),
    confusion=(("cat", "dog", 2, "b"),),
)


def facts(result):
    return vars(result)


def kept(path, *results):
    journal = Journal.open(path)
    for result in results:
        journal.add(result)
    journal.write()


def test_another_row_is_added_and_the_same_takes_its_place(tmp_path):
    path = tmp_path / "own.csv"
    kept(path, ONE, TWO)
    kept(path, replace(ONE, head="knn"), replace(ONE, value=0.1))
    found = [(r.head, r.split, r.value) for r in ResultTable.from_csv(path)]
    assert found == [("svm", 0, 0.1), ("svm", 1, 0.9), ("knn", 0, 0.8)]
    assert len(pd.read_csv(path)) == 2


@pytest.mark.parametrize("name", IDENTITY)
def test_whatever_identifies_a_row_makes_another(tmp_path, name):
    changed = {"shots": 5, "train_share": 0.5}.get(name, "other")
    other = replace(CONFUSED, **{name: changed}, value=0.3)
    if name == "metric":
        other = replace(other, metric="top1")
    if name == "partial":
        other = replace(other, partial=True)
    path = tmp_path / "own.csv"
    kept(path, CONFUSED, other)
    assert [a.mean for a in read_results([path]).aggregates()] == [0.8, 0.3]
    for what in ("classes", "confusion"):
        assert pd.read_csv(tmp_path / f"own-{what}.csv")["key"].nunique() == 2


def test_single_classes_are_those_of_their_own_row(tmp_path):
    from decaf.report.details import Details

    random = replace(
        CONFUSED,
        weights="random",
        weights_sha256="1" * 64,
        per_class=(("mean_per_class", "cat", 0.1),),
        confusion=(("cat", "dog", 7, "b"),),
    )
    kept(tmp_path / "own.csv", CONFUSED, random)
    details = Details.read([tmp_path / "own.csv"])
    first, second = details.table.aggregates()
    assert [v.mean for v in details.class_values(first)] == [0.5]
    assert [v.mean for v in details.class_values(second)] == [0.1]
    assert details.confusion_matrix(first)[1].sum() == 2
    assert details.confusion_matrix(second)[1].sum() == 7


def test_what_is_finished_is_found_by_its_key_and_rows_alone(tmp_path):
    path = tmp_path / "own.csv"
    now = replace(CONFUSED, decaf_version=__import__("decaf").__version__)
    kept(path, now)
    journal = Journal.open(path)
    assert journal.find(facts(now)) == now
    for other in ({"split_digest": "b"}, {"head": "knn"}, {"digest": "new"}, {"split": 1}):
        assert journal.find(facts(replace(now, **other))) is None
    kept(path, replace(now, decaf_version="0.0"))
    assert Journal.open(path).find(facts(now)) is None


@pytest.mark.parametrize("cut", [1, 8, 30, 400])
def test_a_line_that_was_cut_is_passed_over_with_a_word(tmp_path, cut, capsys):
    path = tmp_path / "own.csv"
    kept(path, CONFUSED, TWO)
    file = tmp_path / "own.journal"
    file.write_bytes(file.read_bytes()[:-cut])
    kept(path, replace(ONE, head="knn"))
    assert [r.head for r in ResultTable.from_csv(path)] == ["svm", *["svm"] * (cut == 1), "knn"]
    assert ("1 of 3 lines are cut short" in capsys.readouterr().err) == (cut != 1)


def test_a_flipped_bit_of_the_journal_is_not_a_result(tmp_path, capsys):
    path = tmp_path / "own.csv"
    kept(path, CONFUSED, TWO)
    file = tmp_path / "own.journal"
    file.write_bytes(file.read_bytes().replace(b'"value": 0.8', b'"value": 0.9', 1))
    assert len(Journal.open(path).finished) == 1
    assert "damaged" in capsys.readouterr().err


def _add(path, first):
    for number in range(20):
        kept(path, replace(ONE, split=first + number, seed=first + number))


@pytest.mark.slow
def test_two_processes_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "own.csv"
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_add, args=(path, first)) for first in (0, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(ResultTable.from_csv(path)) == 40


@pytest.mark.parametrize("stop", range(1, 5))
def test_a_kill_between_files_is_refused_and_then_mended(tmp_path, stop):
    path = tmp_path / "own.csv"
    kept(path, CONFUSED)

    def killed():
        replaced, count = Path.replace, 0

        def counting(self, target):
            nonlocal count
            count += 1
            if count == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            return replaced(self, target)

        Path.replace = counting
        kept(path, replace(CONFUSED, head="knn"))

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    if stop == 1:  # nothing was replaced yet
        assert len(read_results([path])) == 1
    else:
        with pytest.raises(DataError, match="of two runs"):
            read_results([path])
    Journal.open(path).write()
    assert len(read_results([path])) == 2
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["own.csv", "own-splits.csv", "own-classes.csv"])
def test_a_file_that_was_cut_is_refused_wherever_it_was(tmp_path, name):
    from decaf.report.details import Details

    several = [replace(CONFUSED, split=number, seed=number) for number in range(3)]
    kept(tmp_path / "own.csv", *several, replace(CONFUSED, head="knn"))
    whole = (tmp_path / name).read_bytes()
    header = whole.index(b"\n") + 1
    for end in (0, header // 2, header, header + 5, len(whole) // 2, len(whole) - 2):
        (tmp_path / name).write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"cut short|cannot be read"):
            Details.read([tmp_path / "own.csv"])
    lines = whole.splitlines(keepends=True)
    (tmp_path / name).write_bytes(b"".join(lines[:-1]))  # at the end of a line
    with pytest.raises(DataError, match="cut short"):
        Details.read([tmp_path / "own.csv"])


def test_what_is_not_in_the_journal_is_not_overwritten(tmp_path):
    (tmp_path / "own.csv").write_text("mine\n")
    with pytest.raises(DataError, match=r"found .*own\.csv, which own\.journal does not hold"):
        Journal.open(tmp_path / "own.csv")
    kept(tmp_path / "run-splits.csv", ONE)
    with pytest.raises(DataError, match=r"found .*run-splits\.csv"):
        Journal.open(tmp_path / "run.csv")


@pytest.mark.parametrize("name", ["run.a", "run", ".csv", "run.csv.gz"])
def test_names_of_results_end_in_csv(tmp_path, name):
    with pytest.raises(ConfigError, match=r"ends in \.csv"):
        Journal.open(tmp_path / name)
    with pytest.raises(ConfigError, match=r"ends in \.csv"):
        ResultTable((ONE,)).to_csv(tmp_path / name)


def test_names_too_long_for_a_file_beside_are_refused(tmp_path):
    with pytest.raises(DataError, match="shorter name"):
        Journal.open(tmp_path / f"{'图' * 82}.csv")
    kept(tmp_path / f"{'图' * 80}.csv", CONFUSED)


def test_files_of_an_earlier_table_do_not_stay_beside(tmp_path):
    ResultTable((CONFUSED,)).to_csv(tmp_path / "own.csv")
    ResultTable((ONE,)).to_csv(tmp_path / "own.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own-splits.csv", "own.csv"]


def test_a_row_of_fewer_splits_than_asked_for_says_so(tmp_path):
    (row,) = ResultTable((CONFUSED,)).aggregates()
    assert (row.finished, row.splits) == (False, "1 of 2 splits")
    (row,) = ResultTable((CONFUSED, replace(CONFUSED, split=1, seed=1))).aggregates()
    assert (row.finished, row.splits) == (True, "2 splits")
