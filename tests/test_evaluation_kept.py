"""What an evaluation keeps, adds to and takes again, and what it refuses before the work."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from decaf.errors import ConfigError, DataError
from decaf.heads import HEADS
from decaf.results import Journal, Result, read_results
from tests.test_evaluation import NET, run


def test_results_of_other_heads_nets_and_settings_are_added(
    image_folder: Path, tmp_path: Path
) -> None:
    common = {"layers": "pool5", "splits": 2, "c_grid": "1"}
    for other in (
        {},
        {"heads": "knn", "c_grid": None},
        {"seed": 5},
        {"protocol": "kfold"},
        {"c_grid": "2"},
    ):
        run(image_folder, tmp_path, **common | other)
    frame = pd.read_csv(tmp_path / "r.csv")
    assert len(frame) == 5
    assert frame["key"].nunique() == 5
    assert (frame["n_splits"] == 2).all()
    for what in ("splits", "classes", "confusion"):
        assert pd.read_csv(tmp_path / f"r-{what}.csv")["key"].nunique() == 5


def test_two_folders_of_one_name_do_not_mix(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "second").mkdir()
    for path in sorted(image_folder.glob("*/*.png")):
        target = tmp_path / "second" / path.relative_to(image_folder.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).rotate(90).save(target)
    for folder in (image_folder, tmp_path / "second" / image_folder.name):
        run(folder, tmp_path, layers="pool5", splits=1, c_grid="1", out=None)
    frame = pd.read_csv(tmp_path / "results" / f"{image_folder.name}.csv")
    assert frame["dataset_digest"].nunique() == len(frame) == 2


def test_finished_splits_are_not_computed_again(
    image_folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"layers": "pool5", "splits": 3, "c_grid": "1,2", "heads": "svm,knn"}
    whole = run(image_folder, tmp_path, out=tmp_path / "whole.csv", **options)
    add, count = Journal.add, 0

    def stopped(self: Journal, result: Result) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt
        add(self, result)

    monkeypatch.setattr(Journal, "add", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(image_folder, tmp_path, **options)
    assert "4 finished splits of this run are in" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "r.csv")["n_splits"].tolist() == [3, 1]
    assert [a.splits for a in read_results([tmp_path / "r.csv"]).aggregates()] == [
        "3 splits",
        "1 of 3 splits",
    ]
    count = 100
    table = run(image_folder, tmp_path, **options)
    assert count == 102
    assert "4 of 6 splits were finished before" in capsys.readouterr().err
    names = ("layer", "head", "split", "value", "C", "per_class", "confusion")
    assert [[getattr(r, n) for n in names] for r in table] == [
        [getattr(r, n) for n in names] for r in whole
    ]


def test_changed_images_are_not_taken_for_finished(image_folder: Path, tmp_path: Path) -> None:
    options = {"layers": "pool5", "splits": 1, "c_grid": "1"}
    run(image_folder, tmp_path, **options)
    for path in sorted(image_folder.glob("red/*.png")):
        Image.open(path).rotate(180).save(path)
    run(image_folder, tmp_path, features=tmp_path / "new", **options)
    assert len(pd.read_csv(tmp_path / "r.csv")) == 2


def test_a_head_that_cannot_be_trained_does_not_lose_the_others(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("too few rows")

    monkeypatch.setattr(HEADS["logreg"], "fit", fail)
    monkeypatch.setattr(HEADS["logreg"], "samples", fail)
    with pytest.raises(DataError, match=r"logreg on pool5: .*too few rows.* 4 results of the oth"):
        run(image_folder, tmp_path, layers="pool5", splits=2, heads="svm,logreg,knn")
    assert pd.read_csv(tmp_path / "r.csv")["head"].tolist() == ["svm", "knn"]


@pytest.mark.parametrize(
    ("shots", "protocol", "most"), [("1,50", "holdout", 6), ("5", "kfold", 4), (7, "holdout", 6)]
)
def test_more_shots_than_there_are_images_are_refused_with_the_most(
    image_folder: Path, tmp_path: Path, shots: object, protocol: str, most: int
) -> None:
    options = {"train_per_class": shots, "protocol": protocol, "splits": 2}
    with pytest.raises(ConfigError, match=f"ask for {most} or fewer"):
        run(image_folder, tmp_path, **options)
    assert not (tmp_path / "features").exists()
    options["train_per_class"] = most
    frame = run(image_folder, tmp_path, layers="pool5", c_grid="1", **options).to_frame()
    assert frame["n_train"].tolist() == [3 * most]


def test_fewer_images_than_asked_for_are_said(image_folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        (image_folder / "red" / f"{number}.png").write_bytes(b"broken")
    options = {"layers": "pool5", "splits": 1, "train_per_class": 6, "max_failures": 0.2}
    (result,) = run(image_folder, tmp_path, **options)
    assert "4 to 6 training images a class instead of 6" in result.notes


def test_with_one_image_a_class_the_nearest_decides(image_folder: Path, tmp_path: Path) -> None:
    options = {"layers": "pool5", "splits": 5, "heads": "knn", "train_per_class": "1,6"}
    one, six = run(image_folder, tmp_path, **options).to_frame()["mean"]
    assert one > 0.6  # chance is 1 / 3
    assert six > 0.6


def test_outputs_are_checked_before_the_work(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "dir.csv").mkdir()
    for out, error in (
        ("/proc/none/r.csv", DataError),
        (tmp_path / "dir.csv", DataError),
        (tmp_path / f"{'图' * 85}.csv", DataError),
        (tmp_path / "run.a", ConfigError),
    ):
        with pytest.raises(error, match="asked to write"):
            run(image_folder, tmp_path, out=out)
        assert not (tmp_path / "features").exists()


def test_a_failed_write_keeps_what_was_computed(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"layers": "pool5", "splits": 2, "c_grid": "1"}

    def full(*_: object) -> None:
        raise DataError("asked to write r.csv, found: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("decaf.results.files.write_whole", full)
        with pytest.raises(DataError, match="No space left"):
            run(image_folder, tmp_path, **options)
    monkeypatch.setattr(Journal, "add", full)  # nothing is computed again
    assert len(run(image_folder, tmp_path, **options)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "lines"), [(signal.SIGKILL, 2), (signal.SIGINT, 3)])
def test_finished_splits_survive_signals(
    image_folder: Path, tmp_path: Path, number: signal.Signals, lines: int
) -> None:
    options = {"layers": "pool5", "heads": "svm,logreg", "splits": 4, "c_grid": "0.1,1"}
    call = {**NET, "pool": "avg", "out": "r.csv", "features": "features", **options}
    code = (
        "import time; from decaf.cli import app; from decaf.results import Journal; "
        "from flat import evaluate; add = Journal.add; "
        "Journal.add = lambda *a: (add(*a), time.sleep(0.3)); "
        f"app.app.command('go')(lambda: evaluate({str(image_folder)!r}, **{call!r}) "
        "and None); app.main()"
    )
    command = [sys.executable, "-c", code, "go"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        journal, deadline = tmp_path / "r.journal", time.monotonic() + 120
        while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert (tmp_path / "r.csv").exists() == (number == signal.SIGINT)
    if number == signal.SIGINT:
        assert "finished splits of this run are in r.csv" in said
        assert not read_results([tmp_path / "r.csv"]).aggregates()[-1].finished
    kept = journal.read_bytes()
    table = run(image_folder, tmp_path, **options)
    assert journal.read_bytes().startswith(kept)
    assert journal.read_bytes().count(b"\n") == len(table) == 8
    assert all(row.finished for row in read_results([tmp_path / "r.csv"]).aggregates())
