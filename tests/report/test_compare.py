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
