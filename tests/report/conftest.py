"""A made-up evaluation in the form of DeCAF's Caltech-101 table."""

from collections.abc import Callable

import pytest

from decaf.results import Result, ResultTable

MakeTable = Callable[..., ResultTable]


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """Make a table of one row per (layer, head, shots, split), every other field being given."""

    def make(layers=("fc6",), heads=("svm",), shots=(30,), values=(0.84, 0.86), **fields):
        return ResultTable(
            tuple(
                Result(
                    layer=layer,
                    head=head,
                    shots=number,
                    split=split,
                    seed=split,
                    value=value,
                    **{**COMMON, **fields},
                )
                for layer in layers
                for head in heads
                for number in shots
                for split, value in enumerate(values)
            )
        )

    return make


COMMON = {
    "dataset": "caltech101",
    "backbone": "alexnet",
    "weights": "imagenet",
    "weights_sha256": "7be5be79" * 8,
    "C": 0.1,
    "protocol": "decaf",
    "metric": "mean_per_class",
    "other_metric": "top1",
    "other_value": 0.9,
    "n_classes": 102,
    "n_train": 3060,
    "n_test": 6084,
    "seconds_fit": 1.0,
    "converged": True,
    "c_at_edge": False,
    "partial": False,
    "normalize": "none",
    "pool": "none",
    "view": "warp",
    "digest": "abc",
    "decaf_version": "0.1",
}
