from dataclasses import replace

import numpy as np
import pytest

from decaf.analysis.paired import (
    compare_rows,
    compare_scores,
    corrected_t_test,
    holm,
    pairs_with_best,
)
from decaf.errors import DataError
from decaf.metrics import METRICS
from decaf.metrics.bootstrap import ScoredRows
from decaf.metrics.kept_scores import KeptScores
from decaf.results import ResultTable
from decaf.results.files import scores_file
from tests.test_results import ONE


def row(head, values, **fields):
    return [
        replace(ONE, head=head, value=v, split=i, seed=i, **fields) for i, v in enumerate(values)
    ]


def test_by_hand():
    # mean 0.02, variance 0.0001, error^2 = (1/3 + 1/2) * 0.0001
    found = corrected_t_test([0.01, 0.02, 0.03], n_train=200, n_test=100)
    np.testing.assert_allclose(found.t, 0.02 / np.sqrt(5 / 6 * 1e-4))
    # Student's distribution with 2 degrees of freedom has a closed form
    np.testing.assert_allclose(found.p, 1 - found.t / np.sqrt(2 + found.t**2))
    half = 4.302652730 * np.sqrt(5 / 6 * 1e-4)  # the printed 97.5 % point for 2 degrees
    np.testing.assert_allclose([found.ci95_low, found.ci95_high], [0.02 - half, 0.02 + half])


def test_without_a_test_side_it_would_be_the_plain_paired_t_test():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=8), rng.normal(size=8)
    found = corrected_t_test(list(a - b), n_train=1e12, n_test=1)
    np.testing.assert_allclose([found.t, found.p], ttest_rel(a, b)[:2], rtol=1e-9)


def test_one_split_gives_no_interval():
    found = corrected_t_test([0.02], 20, 10)
    assert found.difference == 0.02
    assert np.isnan([found.ci95_low, found.t, found.p]).all()


@pytest.mark.parametrize(("difference", "p"), [(0.0, np.nan), (0.5, 0.0)])
def test_equal_differences(difference, p):
    np.testing.assert_equal(corrected_t_test([difference] * 3, 20, 10).p, p)


def test_rows_are_paired_by_split_not_by_order():
    first, second = row("svm", [0.8, 0.9, 0.7]), row("knn", [0.7, 0.7, 0.7])
    found = compare_rows(first, second[::-1])
    assert found == compare_rows(first, second)
    np.testing.assert_allclose(found.difference, 0.1)


@pytest.mark.parametrize("other", [{"seed": 7}, {"dataset": "birds"}, {"n_test": 5}])
def test_other_splits_are_refused(other):
    first = row("svm", [0.8, 0.9])
    with pytest.raises(DataError, match="found other splits"):
        compare_rows(first, [replace(r, **other) for r in first])


def test_every_row_is_compared_with_the_best_of_its_splits():
    rows = row("knn", [0.7, 0.7]) + row("svm", [0.8, 0.9]) + row("logreg", [0.6, 0.6])
    alone = row("svm", [0.5, 0.5], shots=5)
    pairs = pairs_with_best(ResultTable((*rows, *alone)))
    assert [(p.first.head, p.second.head) for p in pairs] == [("svm", "knn"), ("svm", "logreg")]
    with pytest.raises(DataError, match="without two"):
        pairs_with_best(ResultTable(tuple(alone)))


def test_holm_by_hand():
    # sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (not below the one before), 0.8
    np.testing.assert_allclose(holm([0.03, 0.01, 0.8, 0.02]), [0.06, 0.04, 0.8, 0.06])
    np.testing.assert_equal(holm([0.4, np.nan, 0.9]), [1.0, np.nan, 1.0])


def test_p_counts_all_pairs_as_the_best_is_known_afterwards():
    values = {"svm": [0.8, 0.9, 0.88], "knn": [0.7, 0.71, 0.72], "logreg": [0.6, 0.62, 0.6]}
    rows = [r for head, v in values.items() for r in row(head, v, n_train=900, n_test=100)]
    pairs = pairs_with_best(ResultTable(tuple(rows)))
    assert [pair.n_pairs for pair in pairs] == [3, 3]
    assert all(pair.untested == "" for pair in pairs)
    by_hand = ([0.1, 0.19, 0.16], [0.2, 0.28, 0.28], [0.1, 0.09, 0.12])
    every = holm([corrected_t_test(differences, 900, 100).p for differences in by_hand])
    np.testing.assert_allclose([pair.p_holm for pair in pairs], every[:2])


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"n_train": 10, "n_test": 120}, "12 times as many images to test"),
        ({"n_train": 1, "n_test": 88}, "88 times as many images to test"),
        ({"n_train": 900, "n_test": 100, "test_digest": "same"}, "share their test images"),
    ],
)
def test_where_the_test_does_not_hold_nothing_is_claimed(fields, why):
    from decaf.report.significance import differences

    table = ResultTable((*row("svm", [0.8, 0.9], **fields), *row("knn", [0.7, 0.7], **fields)))
    (pair,) = pairs_with_best(table)
    assert why in pair.untested
    assert np.isnan([pair.test.p, pair.test.ci95_low, pair.p_holm]).all()
    np.testing.assert_allclose(pair.test.difference, 0.15)
    grid = differences(table)
    assert grid.rows[0].cells[-2:] == ("–", "–")
    assert any(why in note for note in grid.notes)
    assert not any("Nadeau" in note for note in grid.notes)


def test_the_test_is_made_up_to_as_many_rows_to_test_as_to_train():
    rows = [
        r
        for h, v in (("svm", 0.8), ("knn", 0.7))
        for r in row(h, [v, v + 0.1], n_train=50, n_test=50)
    ]
    (pair,) = pairs_with_best(ResultTable(tuple(rows)))
    assert not pair.untested


def test_other_rows_to_train_are_other_splits():
    first, second = row("svm", [0.8, 0.9]), row("knn", [0.7, 0.7], split_digest="other")
    with pytest.raises(DataError, match="without two"):
        pairs_with_best(ResultTable((*first, *second)))


def heads(rng, n, shares, groups=None):
    """Return heads that are right as often as `shares` say, each row by itself or by its group."""
    labels, classes = rng.integers(0, 4, n), np.arange(4)
    size = n if groups is None else groups.max() + 1
    unit = np.arange(n) if groups is None else groups
    right = [(rng.random(size) < share)[unit] for share in shares]
    scores = [np.eye(4)[np.where(one, labels, (labels + 1) % 4)] for one in right]
    return ScoredRows(labels, scores, [classes] * len(shares), groups)


def rejected(sets, metric):
    """Return the share of sets of equally good heads that a test at 5 % takes for different."""
    found = []
    for rows in sets:
        values = [
            METRICS[metric].score(rows.labels, s, c)
            for s, c in zip(rows.scores, rows.classes, strict=True)
        ]
        (test,) = compare_scores(rows, values, metric)
        found.append(test.p < 0.05)
    return np.mean(found)


def test_equal_heads_are_seldom_told_apart_on_one_split():
    rng = np.random.default_rng(0)
    sets = [heads(rng, 200, (0.7, 0.7)) for _ in range(200)]
    assert rejected(sets, "top1") <= 0.07  # exact, so at most 5 % in the long run
    assert 0.01 <= rejected(sets, "mean_per_class") <= 0.1


def test_groups_are_compared_as_groups():
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(40), 10)
    sets = [heads(rng, 400, (0.7, 0.7), groups) for _ in range(150)]
    assert rejected(sets, "top1") <= 0.12
    alone = [replace(rows, groups=None) for rows in sets]
    assert rejected(alone, "top1") > 0.3


def test_mcnemar_by_hand():
    # 8 rows that only the first has right, 1 that only the second has: 2 * (1 + 9) / 2**9
    first, second = np.array([1] * 10 + [1] * 8 + [0]), np.array([1] * 10 + [0] * 8 + [1])
    rows = ScoredRows(np.ones(19, int), [np.eye(2)[first], np.eye(2)[second]], [np.arange(2)] * 2)
    (test,) = compare_scores(rows, [18 / 19, 11 / 19], "top1")
    np.testing.assert_allclose([test.p, test.difference], [20 / 512, 7 / 19])
    assert 0 < test.ci95_low < 7 / 19 < test.ci95_high
    assert test.method == "McNemar"


def test_kept_scores_let_one_split_be_tested(tmp_path):
    rows = heads(np.random.default_rng(1), 300, (0.9, 0.6, 0.89))
    results = []
    for name, scores in zip(("svm", "knn", "logreg"), rows.scores, strict=True):
        value = METRICS["mean_per_class"].score(rows.labels, scores, np.arange(4))
        result = replace(ONE, head=name, value=value, n_test=300, test_digest="t")
        results.append(result)
        facts = {**vars(result), "key": result.key}
        no_names = np.array([], np.str_)
        KeptScores(np.array(list(map(str, range(300)))), rows.labels, scores, np.arange(4),
                   np.array(list("abcd")), np.empty((0, 0)), no_names,
                   {k: facts[k] for k in ("key", "test_digest")},
                   ).write(scores_file(tmp_path / "r.csv", facts))  # fmt: skip
    table = ResultTable(tuple(results))
    pairs = pairs_with_best(table, [tmp_path / "r.csv"])
    assert [pair.second.head for pair in pairs] == ["logreg", "knn"]
    assert [pair.test.method for pair in pairs] == ["bootstrap"] * 2
    assert pairs[0].p_holm > 0.05 > pairs[1].p_holm
    every = compare_scores(
        replace(rows, scores=[rows.scores[i] for i in (0, 2, 1)]),
        [results[i].value for i in (0, 2, 1)],
        "mean_per_class",
    )
    assert [pair.p_holm for pair in pairs] == holm([test.p for test in every])[:2]
    scores_file(tmp_path / "r.csv", vars(results[0])).unlink()
    (pair, _) = pairs_with_best(table, [tmp_path / "r.csv"])
    assert "--keep-scores" in pair.untested
    assert np.isnan(pair.test.p)
