from decaf.report.compare import comparison
from decaf.results import ResultTable


def test_ours_published_and_difference_stand_in_one_line(make_table):
    (row,) = comparison(make_table(values=(0.84, 0.86))).rows
    assert row.label == "caltech101"
    assert row.cells == ("decaf 30", "fc6 svm", "85.0 ± 1.4", "84.8 ± 1.2", "+0.2", "yes")


def test_a_difference_outside_the_intervals_is_marked(make_table):
    (row,) = comparison(make_table(values=(0.80, 0.801, 0.799))).rows
    assert row.cells[-2:] == ("−4.8", "no")


def test_one_split_has_the_printed_deviation_alone(make_table):
    near, far = (comparison(make_table(values=(v,))).rows[0].cells for v in (0.84, 0.83))
    assert near[-2:] == ("−0.8", "yes")
    assert far[-2:] == ("−1.8", "no")


def test_without_any_interval_nothing_is_inside_or_outside(make_table):
    fields = {"dataset": "birds", "metric": "mean_per_class"}
    (row,) = comparison(make_table(heads=("logreg",), shots=(None,), values=(0.58,), **fields)).rows
    assert row.cells[2:] == ("58.0", "58.8", "−0.8", "–")


def test_random_weights_are_said(make_table):
    (row,) = comparison(make_table(weights="random")).rows
    assert row.label == "caltech101 (random)"


def test_results_without_a_published_figure_are_counted(make_table):
    table = ResultTable(make_table().results + make_table(backbone="vgg16").results)
    grid = comparison(table)
    assert len(grid.rows) == 1
    assert grid.notes[-1] == "without a published figure: 1"


def test_deviations_are_compared_with_deviations(make_table):
    """84.8 ± 1.2 printed; the interval of two splits, 9 times their deviation, allows all."""
    inside = {v: comparison(make_table(values=(v - 0.005, v + 0.005))).rows[0].cells[-1]
              for v in (0.83, 0.82)}  # fmt: skip
    assert inside == {0.83: "yes", 0.82: "no"}  # our deviation is 0.7 points


def test_an_unfinished_row_is_marked(make_table):
    from decaf.report.grid import grids

    (grid,) = grids(make_table(of_splits=5))
    assert grid.rows[0].cells == ("85.0 ± 1.4§",)
    assert "§ unfinished: 2 of 5 splits so far" in grid.notes
    assert comparison(make_table(of_splits=5)).rows[0].cells[2] == "85.0 ± 1.4§"


def test_rows_of_other_settings_do_not_share_a_cell(make_table):
    from decaf.report.grid import grids

    for name in ("settings", "head_settings", "dataset_digest"):
        rows = (
            *make_table(**{name: "a"}, values=(0.1,)),
            *make_table(**{name: "b"}, values=(0.9,)),
        )
        cells = [c for grid in grids(ResultTable(rows)) for row in grid.rows for c in row.cells]
        assert {"10.0", "90.0"} <= set(cells)
