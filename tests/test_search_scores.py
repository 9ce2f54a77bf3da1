"""Official queries of the data sets of image search, each by its own measure."""

import numpy as np
import pytest

from decaf.datasets import load_dataset
from decaf.records import SearchTest
from decaf.search_scores import evaluate_search
from decaf.store import import_features

OFFICIAL = SearchTest(queries="official")


@pytest.fixture
def score(data_root, tmp_path):
    """Measure features of a named data set's small layout, given row by row on a line."""

    def measured(name, places):
        table = load_dataset(name, data_root, allow_partial=True)
        X = np.stack([np.cos(places), np.sin(places)], axis=1).astype(np.float32)
        np.save(tmp_path / "x.npy", X)
        store = import_features(tmp_path / "x.npy", table, tmp_path / "x.h5")
        ((found,), floors) = evaluate_search(store, OFFICIAL)
        assert floors == {}
        return found.values

    return measured


def test_ukbench_counts_four_with_the_query(score):
    # 0 to 3 together, 4 among them, 5 to 7 together, and of the third object two images
    assert score("ukbench", [0, 0.01, 0.02, 0.03, 0.015, 1, 1.01, 1.02, 2, 2.01]) == {
        "UKBench": pytest.approx((3 + 3 + 3 + 3 + 1 + 3 + 3 + 3 + 2 + 2) / 10)
    }


def test_holidays_leaves_the_query_out_and_goes_by_trapezoids(score):
    found = score("holidays", [0, 0.01, 0.02, 0.5, 0.62, 0.63, 0.55, 1.5, 1.6])
    # the others of a row's group are nearest; are second and third; and are last of all
    first, second = 1.0, ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    ranks = np.argsort(np.abs(np.array([0, 0.01, 0.02, 0.5, 0.62, 0.63, 1.5, 1.6]) - 0.55))
    places = np.flatnonzero(np.isin(ranks, [6, 7])) + 1
    third = np.mean([((n / p) + (n - 1) / (p - 1)) / 2 for n, p in enumerate(places, 1)])
    assert found["mAP"] == pytest.approx(np.mean([first, second, third]), abs=1e-6)


@pytest.mark.parametrize("name", ["oxford5k", "paris6k"])
def test_landmarks_skip_junk_and_count_the_query_image(name, score, data_root):
    table = load_dataset(name, data_root, allow_partial=True)
    assert table.official[:, 0].tolist() == [1] * 8 + [3] * 3
    assert table.labels[:, 0].tolist() == [-1, 1, 1, 0, -1, -1, -1, -1, 1, 1, -1]
    np.testing.assert_allclose(table.boxes[[0, 8]], [[0, 0, 40, 48], [4.5, 5, 30, 40]])
    # rows 0 to 7, then three queries: junk 3 is nearest, then 1 (right), 4 (wrong), 2 (right);
    # the third finds 5 (right), 6 (junk), 7 (wrong), 0 (wrong), and 4 (right) in the end
    found = score(name, [2.4, 0.02, 0.04, 0.01, 0.03, 2, 2.1, 2.2, 0, 0, 2.01])
    first = (1 + (1 / 2 + 2 / 3) / 2) / 2
    ranked = np.argsort(np.abs(np.array([2.4, 0.02, 0.04, 0.01, 0.03, 2, 2.2]) - 2.01))
    assert ranked.tolist()[:3] == [5, 6, 0]
    place = ranked.tolist().index(4) + 1
    third = (1 + (1 / (place - 1) + 2 / place) / 2) / 2
    assert found["mAP"] == pytest.approx((2 * first + third) / 3)
