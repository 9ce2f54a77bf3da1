"""The demo's table and its verdict, on curves whose answer is known."""

from dataclasses import replace

import pytest

from decaf.report.demo_summary import closing_lines, demo_grid, verdict
from decaf.results import ResultTable

KINDS = (("decaf-mini", "imagenet"), ("decaf-mini", "random"), ("pixels", "none"))


@pytest.fixture
def make_curves(make_table):
    def made(*means):
        rows = []
        for (backbone, weights), by_shots in zip(KINDS, means, strict=True):
            for shots, mean in zip((1, 5), by_shots, strict=True):
                rows += make_table(
                    layers=("pool5",), heads=("logreg",), shots=(shots,), backbone=backbone,
                    weights=weights, weights_sha256=backbone + weights, n_test=359, n_classes=10,
                    values=(mean - 0.01, mean, mean + 0.01), of_splits=3,
                ).results  # fmt: skip
        return ResultTable((*rows, replace(rows[-1], head="chance", value=0.1)))

    return made


def test_the_three_stand_beside_each_other_with_intervals(make_curves):
    grid = demo_grid(make_curves((0.7, 0.9), (0.6, 0.8), (0.5, 0.85)))
    assert grid.columns == ("pretrained", "random weights", "pixels")
    assert [row.label for row in grid.rows] == ["1", "5"]
    # Student's t of 3 values: 4.303 * 0.01 / sqrt(3)
    assert grid.rows[0].cells[0] == "70.0 [67.5, 72.5]"
    assert "guessing gives 10.0 %" in grid.notes[0]
    assert "3 random draws" in grid.notes[0]


def test_it_claims_no_more_than_the_intervals_do(make_curves):
    won = make_curves((0.7, 0.9), (0.6, 0.8), (0.5, 0.82))
    assert "from 1 to 5 images of each digit: by 8.0 to 10.0 points, outside" in verdict(won)
    half = make_curves((0.7, 0.9), (0.6, 0.88), (0.5, 0.8))
    assert "outside the intervals at 1 of 1, 5 images" in verdict(half)
    lost = make_curves((0.5, 0.8), (0.6, 0.88), (0.5, 0.8))
    assert "at none of 1, 5" in verdict(lost)
    lines = closing_lines(won, ("report.html to look at",))
    assert [line.split()[0] for line in lines] == ["You", "Files:", "Next,"]
