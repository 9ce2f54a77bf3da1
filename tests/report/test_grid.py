import pytest

from decaf.report.grid import Row, grids, per_cent
from decaf.results import ResultTable


@pytest.mark.parametrize(
    ("value", "deviation", "text"),
    [
        (0.8691, 0.007, "86.9 ± 0.7"),
        (0.8691, None, "86.9"),
        (0.8691, float("nan"), "86.9"),
        (1.0, 0.0, "100.0 ± 0.0"),
        (float("nan"), 0.1, "–"),
    ],
)
def test_fractions_become_per_cent(value, deviation, text):
    assert per_cent(value, deviation) == text


def test_heads_go_down_and_layers_across_with_the_published_beneath(make_table):
    (grid,) = grids(make_table(layers=("fc6", "fc7"), heads=("svm", "knn")))
    assert (grid.corner, grid.columns) == ("head", ("fc6", "fc7"))
    assert grid.rows == (
        Row("svm", ("85.0 ± 1.4", "85.0 ± 1.4")),
        Row("DeCAF", ("84.8 ± 1.2", "83.2 ± 1.2"), published=True),
        Row("knn", ("85.0 ± 1.4", "85.0 ± 1.4")),
    )
    assert (
        grid.title
        == "caltech101 · alexnet · protocol decaf · 30 a class · mean per-class accuracy, %"
    )


def test_several_shots_make_a_curve_a_layer(make_table):
    first, second = grids(
        make_table(layers=("pool5", "fc6"), heads=("svm-dropout",), shots=(1, 30))
    )
    assert "pool5" in first.title
    assert (second.corner, second.columns) == ("shots", ("svm-dropout",))
    assert [row.label for row in second.rows] == ["1", "DeCAF", "30", "DeCAF"]
    assert second.rows[1].cells == ("≈ 33.0",)
    assert any(note.startswith("≈ not read in the publication") for note in second.notes)


def test_many_layers_go_down(make_table):
    (grid,) = grids(make_table(layers=tuple(f"features.{i}" for i in range(5)), backbone="vgg16"))
    assert (grid.corner, grid.columns, len(grid.rows)) == ("layer", ("svm",), 5)


@pytest.mark.parametrize(
    "other",
    [{"backbone": "vgg16"}, {"normalize": "l2"}, {"pool": "avg"}, {"digest": "def"}],
)
def test_settings_do_not_share_a_grid(make_table, other):
    results = make_table().results + make_table(**other).results
    assert len(grids(ResultTable(results))) == 2


def test_doubtful_fits_are_marked_and_explained(make_table):
    (grid,) = grids(make_table(converged=False, c_at_edge=True, backbone="vgg16"))
    assert grid.rows[0].cells == ("85.0 ± 1.4†‡",)
    assert [note[0] for note in grid.notes if note[0] in "†‡"] == ["†", "‡"]


def test_sound_fits_have_no_marks(make_table):
    (grid,) = grids(make_table())
    assert not any(mark in note for note in grid.notes for mark in "†‡≈")


def test_footnotes_say_what_the_reader_must_know(make_table):
    notes = grids(make_table(notes=("3 splits instead of 5", "view center instead of warp")))[
        0
    ].notes
    source = "DeCAF, arXiv 1310.1531, Caltech-101 table"
    assert notes == (
        "weights: imagenet (sha256 7be5be79); view warp, normalised none",
        "mean ± standard deviation over 2 splits",
        "chance: 1.0 %",
        "differs from protocol decaf: 3 splits instead of 5; view center instead of warp",
        f"published: {source}; DeCAF used AlexNet of Krizhevsky et al., own training",
    )


def test_random_weights_are_said_plainly(make_table):
    (grid,) = grids(make_table(weights="random", values=(0.2,)))
    assert grid.notes[0].startswith("weights: RANDOM, an untrained net")
    assert grid.notes[1] == "one split, so no deviation"


def test_average_precision_has_no_single_chance_level(make_table):
    (grid,) = grids(make_table(metric="map_11pt"))
    assert not any("chance" in note for note in grid.notes)
