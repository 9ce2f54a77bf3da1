"""Scores of test rows come back from their file, and measure what the results say."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from flat import evaluate
from sklearn.metrics import f1_score, log_loss
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import ConfigError, DataError
from decaf.metrics.kept_scores import KeptScores, read_scores
from decaf.results import ResultTable

ASKED = "macro-f1,auroc,log-loss,ece"
NET = {"backbone": "decaf-mini", "weights": "random", "layers": "pool5", "pool": "avg"}


def run(folder: Path, tmp_path: Path, **options: object) -> ResultTable:
    settings = {**NET, "device": "cpu", "quiet": True, "features": tmp_path / "features"}
    return evaluate(folder, **settings | {"out": tmp_path / "r.csv", "splits": 2} | options)


def test_kept_scores_measure_what_the_results_say(image_folder: Path, tmp_path: Path) -> None:
    table = run(
        image_folder, tmp_path, heads="svm,logreg,knn", metrics=ASKED, keep_scores=True, c_grid="1"
    )
    files = sorted((tmp_path / "r-scores").iterdir())
    assert len(files) == len(table) == 6
    for result in table:
        kept = read_scores(tmp_path / "r-scores" / f"{result.key}-{result.seed}-{result.split}.npz")
        assert kept.facts["head"] == result.head
        assert len(kept.ids) == result.n_test
        folders = [name.split("/")[0] for name in kept.ids.tolist()]
        assert folders == kept.class_names[kept.labels].tolist()
        np.testing.assert_allclose(kept.probabilities.sum(1), 1, rtol=1e-5)
        for name, value in [(result.metric, result.value), *result.more]:
            np.testing.assert_allclose(kept.measure(name), value)
        said = kept.probabilities.argmax(1)
        more = dict(result.more)
        assert tuple(more) == ("macro_f1", "auroc", "log_loss", "ece")
        np.testing.assert_allclose(more["macro_f1"], f1_score(kept.labels, said, average="macro"))
        p = kept.probabilities.astype(float)
        p /= p.sum(1, keepdims=True)  # float32 sums to 1 less exactly than scikit-learn asks
        np.testing.assert_allclose(more["log_loss"], log_loss(kept.labels, p), rtol=1e-6)
    row = table.to_frame().iloc[1]
    of_logreg = [dict(r.more)["log_loss"] for r in table if r.head == "logreg"]
    np.testing.assert_allclose(row["log_loss_mean"], np.mean(of_logreg))
    assert ResultTable.from_csv(tmp_path / "r.csv").results[0].more == table.results[0].more


def test_what_an_earlier_run_did_not_measure_is_run_again(
    image_folder: Path, tmp_path: Path
) -> None:
    options = {"heads": "svm", "c_grid": "1"}
    run(image_folder, tmp_path, **options)
    first = (tmp_path / "r.journal").read_bytes()
    (result, _) = run(image_folder, tmp_path, metrics="ece", **options)
    assert [name for name, _ in result.more] == ["ece"]
    second = (tmp_path / "r.journal").read_bytes()
    assert len(second) > len(first)
    run(image_folder, tmp_path, metrics="ece", **options)
    run(image_folder, tmp_path, **options)
    assert (tmp_path / "r.journal").read_bytes() == second
    run(image_folder, tmp_path, keep_scores=True, **options)
    assert len(list((tmp_path / "r-scores").iterdir())) == 2


def test_metrics_and_reliability_are_shown(image_folder: Path, tmp_path: Path) -> None:
    run(image_folder, tmp_path, metrics=ASKED, keep_scores=True, c_grid="1", splits=1)
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "r.csv"), "--format", "markdown"])
    for word in ("macro F1", "AUROC", "log loss", "calibration error", "bootstrap interval"):
        assert word in shown.output
    for command in ("plot reliability", "report"):
        out = tmp_path / f"{command[-4:]}.{'html' if command == 'report' else 'png'}"
        done = CliRunner().invoke(app, [*command.split(), str(tmp_path / "r.csv"), "--out", out])
        assert done.exit_code == 0, done.output
        assert out.stat().st_size > 1000
    assert "Can its probabilities be believed?" in out.read_text()


def test_without_kept_scores_there_is_no_reliability(image_folder: Path, tmp_path: Path) -> None:
    run(image_folder, tmp_path, c_grid="1", splits=1)
    arguments = ["plot", "reliability", str(tmp_path / "r.csv"), "--out", str(tmp_path / "f.png")]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, DataError)
    assert "run decaf evaluate with --keep-scores" in str(done.exception)


@pytest.mark.parametrize("metrics", ["f1", "map", "top5"])
def test_a_metric_that_does_not_fit_is_refused_first(
    image_folder: Path, tmp_path: Path, metrics: str
) -> None:
    with pytest.raises(ConfigError, match="metric"):
        run(image_folder, tmp_path, metrics=metrics)
    assert not (tmp_path / "features").exists()


KEPT = KeptScores(
    ids=np.array(["a/1.png", "é.png"]),
    labels=np.array([0, 1]),
    scores=np.array([-1.0, 2.0]),
    classes=np.array([0, 1]),
    class_names=np.array(["a", "b"]),
    probabilities=np.empty((0, 0)),
    groups=np.array([], np.str_),
    facts={"head": "svm", "split": 0},
)


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    file = tmp_path / "one.npz"
    KEPT.write(file)
    back = read_scores(file)
    assert back.ids.tolist() == KEPT.ids.tolist()
    assert back.facts == KEPT.facts
    assert back.measure("accuracy") == 1.0
    with pytest.raises(ConfigError, match="scores that are no probabilities"):
        back.measure("log-loss")
    whole = file.read_bytes()
    for damaged in (whole[:-30], b"", b"PK", whole.replace(b"ids.npy", b"idz.npy")):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read"):
            read_scores(file)
    file.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(file)
    with zipfile.ZipFile(file, "w") as archive:  # a pickle is not opened
        np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
        archive.write(tmp_path / "o.npy", "ids.npy")
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(file)
