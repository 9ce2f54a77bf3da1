from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from result_rows import ONE

from decaf.errors import ConfigError, DataError
from decaf.report.details import ClassValue
from decaf.report.drawing import inline_svg, save
from decaf.report.embedding import apart, embed, embedding_figure
from decaf.report.figures import classes_figure, curve_figure, domains_figure, layers_figure
from decaf.report.matrix import confusion_figure, similar_order
from decaf.results import ResultTable

CURVE = {"heads": ("svm-dropout",), "shots": (1, 5, 30)}


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].get_lines()}


def test_the_curve_stands_with_the_published_one(make_table):
    found = lines(curve_figure(make_table(**CURVE)))
    ours = found["alexnet fc6 svm-dropout"]
    assert ours.get_xdata().tolist() == [1, 5, 30]
    np.testing.assert_allclose(ours.get_ydata(), [85, 85, 85])
    printed = found["DeCAF fc6 svm-dropout (published)"]
    assert list(printed.get_xdata()) == [1, 3, 5, 10, 15, 20, 25, 30]
    assert printed.get_ydata()[-1] == pytest.approx(86.91)


def test_bands_are_one_deviation_wide(make_table):
    (band,) = curve_figure(make_table(**CURVE, values=(0.8, 0.9))).axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    deviation = 100 * np.std([0.8, 0.9], ddof=1)
    np.testing.assert_allclose([heights.min(), heights.max()], [85 - deviation, 85 + deviation])


@pytest.mark.parametrize("draw", [curve_figure, layers_figure])
def test_nothing_to_compare_is_said(make_table, draw):
    with pytest.raises(DataError, match="found no data set with several"):
        draw(make_table())


def test_layers_stand_in_order_with_the_published_figures(make_table):
    figure = layers_figure(make_table(layers=("pool5", "fc6", "fc7")))
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["pool5", "fc6", "fc7"]
    printed = lines(figure)["DeCAF svm (published)"]
    np.testing.assert_allclose(printed.get_ydata(), [77.12, 84.77, 83.24])


@pytest.mark.parametrize(("n", "n_bars"), [(5, 5), (30, 30), (31, 30), (397, 30)])
def test_the_ends_of_the_classes_are_drawn(n, n_bars):
    values = [ClassValue(f"c{i}", 1 - i / n, float("nan")) for i in range(n)]
    axes = classes_figure(values, "accuracy, %").axes[0]
    assert len(axes.patches) == n_bars
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert (names[0], names[-1]) == ("c0", f"c{n - 1}")


def test_classes_taken_for_each_other_stand_together():
    counts = 10 * np.eye(6, dtype=np.int64)
    for a, b in ((0, 3), (1, 4), (2, 5)):
        counts[a, b] = counts[b, a] = 6
    order = similar_order(counts).tolist()
    assert sorted(order) == list(range(6))
    assert all(abs(order.index(a) - order.index(b)) == 1 for a, b in ((0, 3), (1, 4), (2, 5)))


@pytest.mark.parametrize("n", [2, 3, 15, 60, 397])
def test_every_class_keeps_a_readable_name(n):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 2, (n, n)) + 10 * np.eye(n, dtype=np.int64)
    figure = confusion_figure([f"class {i}" for i in range(n)], counts)
    labels = figure.axes[0].get_yticklabels()
    assert len(labels) == n
    assert min(label.get_fontsize() for label in labels) >= 4.5
    height_pt = 72 * figure.get_figheight() * 0.7 / n
    assert max(label.get_fontsize() for label in labels) <= height_pt * 1.3


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_files_are_the_same_every_time(make_table, tmp_path, ending):
    table = make_table(**CURVE)
    first, second = (save(curve_figure(table), tmp_path / f"{n}.{ending}") for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 1000


def test_other_endings_are_refused(make_table, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.png or \.svg or \.pdf"):
        save(curve_figure(make_table(**CURVE)), tmp_path / "a.gif")


def test_ids_of_two_figures_in_a_page_differ(make_table):
    figure = curve_figure(make_table(**CURVE))
    import re

    first, second = (
        set(re.findall(r'id="([^"]+)"', inline_svg(figure, name, "A <title> & more")))
        for name in ("a", "b")
    )
    assert first
    assert not first & second


@pytest.mark.parametrize(
    "method", ["tsne", pytest.param("umap", marks=[pytest.mark.slow, pytest.mark.umap])]
)
def test_classes_that_lie_apart_stay_apart_on_the_plane(method):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    X = (rng.normal(size=(40, 8)) + 12 * np.eye(8)[labels]).astype(np.float32)
    places = embed(X, method)
    assert places.shape == (40, 2)
    middles = np.array([places[labels == c].mean(axis=0) for c in (0, 1)])
    nearest = np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1)
    assert np.mean(nearest == labels) > 0.95


def test_few_classes_are_named_where_they_lie():
    places = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8]])
    figure = embedding_figure(places, np.array([0, 0, 2, 2]), ("ant", "bee", "cat"))
    assert [text.get_text() for text in figure.axes[0].texts] == ["ant", "cat"]


def test_names_that_would_overlap_are_moved_apart_and_others_stay():
    places = np.array([[0.0, 0], [3, 1], [2, 0], [100, 100]])
    sizes = np.full((4, 2), (10.0, 4))
    moved = apart(places, sizes)
    for i, j in combinations(range(4), 2):
        assert (np.abs(moved[i] - moved[j]) >= (sizes[i] + sizes[j]) / 2 - 1e-6).any()
    np.testing.assert_array_equal(moved[3], places[3])
    assert np.abs(moved - places).max() < 12


def test_domains_are_drawn_way_by_way_with_their_controls():
    ways = [("S", "none"), ("S", "coral"), ("T", "none"), ("ST", "daume")]
    results = tuple(
        replace(ONE, domains=pair, train_on=one, adapt=adapt, split=split, weights=weights,
                value=0.3 + 0.1 * split + 0.2 * (weights == "imagenet"))
        for pair in ("a:b", "b:a")
        for one, adapt in ways
        for weights in ("imagenet", "random")
        for split in (0, 1)
    )  # fmt: skip
    drawn = domains_figure(ResultTable(results))
    assert len(drawn.axes) == 2
    labels = [text.get_text() for text in drawn.axes[0].get_xticklabels()]
    assert labels == ["S", "S\ncoral", "T", "ST\ndaume"]
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["alexnet fc6", "alexnet fc6, random weights"]
    assert "a → b" in drawn.axes[0].get_title("left")
    with pytest.raises(DataError, match="use --domains"):
        domains_figure(ResultTable((ONE,)))


def test_settings_that_differ_are_lines_of_their_own(make_table):
    rows = [
        result
        for normalize in ("none", "l2")
        for result in make_table(layers=("fc6", "fc7"), shots=(1, 5), normalize=normalize)
    ]
    for draw, expected in (
        (layers_figure, ["none svm", "l2 svm"]),
        (
            curve_figure,
            [f"alexnet {layer} {n} svm" for layer in ("fc6", "fc7") for n in ("l2", "none")],
        ),
    ):
        (axes,) = draw(ResultTable(tuple(rows))).axes
        _, labels = axes.get_legend_handles_labels()
        assert [label for label in labels if "published" not in label] == expected
