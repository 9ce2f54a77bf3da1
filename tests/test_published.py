"""The figures of published.csv and how they are found."""

import pytest

from decaf.metrics import METRICS
from decaf.published import VERIFIED, lookup, published_figures

CELL = {
    "dataset": "caltech101",
    "protocol": "decaf",
    "backbone": "alexnet",
    "layer": "fc6",
    "pool": "none",
    "head": "svm-dropout",
    "shots": 30,
    "metric": "mean_per_class",
}


def test_decafs_best_figure_is_found():
    figure = lookup(**CELL)
    assert (figure.value, figure.deviation, figure.verified) == (0.8691, 0.007, "V")


@pytest.mark.parametrize(
    "other",
    [
        {"backbone": "resnet50"},
        {"layer": "fc8"},
        {"protocol": "chatfield"},
        {"shots": 29},
        {"metric": "top1"},
        {"layer": "pool5", "head": "svm", "pool": "avg"},
    ],
)
def test_what_is_not_the_same_has_no_published_figure(other):
    assert lookup(**{**CELL, **other}) is None


def test_where_a_paper_prints_two_figures_its_headline_is_found():
    cell = {**CELL, "protocol": "zf", "layer": "fc7", "head": "logreg"}
    assert lookup(**cell).value == 0.865


@pytest.mark.parametrize("figure", published_figures(), ids=lambda f: f"{f.dataset}-{f.system}")
def test_figures_are_well_formed(figure):
    assert 0 < figure.value < 1
    assert figure.deviation is None or 0 < figure.deviation < 0.1
    assert figure.verified in VERIFIED | {"V2", "R"}
    assert figure.metric in METRICS
    assert figure.dataset
    assert figure.system
    assert figure.source
    assert figure.head in {"", "svm", "logreg", "svm-dropout", "logreg-dropout", "adaptation"}
    if figure.backbone:
        assert figure.backbone_note
        assert figure.layer
        assert figure.head
