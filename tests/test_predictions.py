"""What is said of single images, against scores whose answers are plain to see."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from decaf.metrics.kept_scores import KeptScores
from decaf.results.predictions import errors, predictions
from tests.test_evaluation import run

NAMES = np.array(["cat", "dog", "owl"])


def kept(labels: object, scores: object, ids: Sequence[str], **more: object) -> KeptScores:
    fields = {
        "ids": np.array(list(ids)),
        "labels": np.array(labels),
        "scores": np.array(scores, dtype=np.float32),
        "classes": np.arange(3),
        "class_names": NAMES,
        "probabilities": np.empty(0, np.float32),
        "groups": np.empty(0),
    }
    return KeptScores(**fields | more)


def test_right_and_wrong_margins_and_suspects() -> None:
    scores = [[3, 0, 0], [0, 2, 0], [1, 3, 0], [0, 1, 0.5]]
    found = predictions(kept([0, 1, 0, 2], scores, "abcd"))
    assert found["true"].tolist() == ["cat", "dog", "cat", "owl"]
    assert found["predicted"].tolist() == ["cat", "dog", "dog", "dog"]
    assert found["right"].tolist() == [True, True, False, False]
    np.testing.assert_allclose(found["margin"], [0, 0, 2, 0.5])
    # dogs score 2 as dogs: c does more than that, d does less
    assert found["suspect"].tolist() == [False, False, True, False]


def test_two_classes_with_one_score_and_probabilities_instead_of_scores() -> None:
    two = {"classes": np.arange(2), "class_names": NAMES[:2]}
    found = predictions(kept([0, 1], [-2, -1], "ab", **two))
    assert found["predicted"].tolist() == ["cat", "cat"]
    np.testing.assert_allclose(found["margin"], [0, 2])
    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    found = predictions(kept([0, 1], [-2, -1], "ab", **two, probabilities=p))
    np.testing.assert_allclose(found["score"], [0.9, 0.6])


def test_several_labels_and_a_class_that_nothing_was_trained_on() -> None:
    several = [[1, 1, -1], [-1, 0, 1], [-1, -1, 0]]
    found = predictions(kept(several, [[1, 2, 0], [0, 3, 1], [1, 0, 0]], "abc"))
    assert found["true"].tolist() == ["cat|dog", "owl", ""]
    assert found["right"].tolist() == [True, False, True]
    found = predictions(kept([2], [[1, 3]], "a", classes=np.arange(2)))
    assert found["true"].tolist() == ["owl"]
    np.testing.assert_allclose(found["margin"], [2])


def test_numbers_are_off_by_something_and_neither_right_nor_wrong() -> None:
    one = kept([[1.5], [2.0]], [[1.0], [4.0]], "ab", classes=np.arange(1))
    found = predictions(one)
    assert found["true"].tolist() == [1.5, 2.0]
    np.testing.assert_allclose(found["margin"], [0.5, 2.0])
    assert "suspect" not in found
    assert errors([one]).empty


def test_errors_over_splits() -> None:
    first = kept([0, 1, 1], [[0, 3, 0], [0, 1, 0], [1, 0, 0]], "abc")
    second = kept([0, 1, 0], [[0, 4, 0], [2, 1, 0], [5, 0, 0]], "acd")
    found = errors([first, second]).set_index("path")
    assert found.index.tolist() == ["a", "c"]
    assert found.loc["a", ["true", "predicted", "n_wrong", "n_tested"]].tolist() == [
        "cat", "dog", 2, 2
    ]  # fmt: skip
    np.testing.assert_allclose(found["margin"], [3.5, 1])
    assert found["suspect"].tolist() == [True, False]
    assert errors([]).empty


def test_evaluate_writes_them_for_every_row_whose_scores_are_kept(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"layers": "pool5", "splits": 2, "c_grid": "1"}
    run(image_folder, tmp_path, **options, keep_scores=True)
    file = tmp_path / "r-predictions.csv"
    assert str(file) in capsys.readouterr().err
    alone = pd.read_csv(file)
    assert list(alone)[:5] == ["path", "split", "true", "predicted", "score"]
    assert (alone["path"].str.split("/").str[0] == alone["true"]).all()
    table = pd.read_csv(tmp_path / "r-splits.csv")
    shares = alone.groupby("split")["right"].mean()
    np.testing.assert_allclose(shares, table["other_value"])  # top-1
    run(image_folder, tmp_path, **options, heads="logreg", keep_scores=True)
    both = pd.read_csv(file)
    assert sorted(set(both["head"])) == ["logreg", "svm"]
    assert len(both) == 2 * len(alone)
