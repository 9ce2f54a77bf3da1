"""Every protocol of every data set, on the data sets in small, through every check."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from flat import get_protocol

from decaf.choices import Normalize, ViewName
from decaf.datasets import load_dataset
from decaf.metrics import METRICS
from decaf.protocols import (
    PROTOCOLS,
    DomainProtocol,
    PublishedProtocol,
    kept_splits,
    protocol_names,
    training_rows,
)
from decaf.types import ImageDataset, Split

STAND_INS = {"*": ("caltech256", "own"), "birds-parts": ("birds", "birds-parts")}
"""Data sets, and names that they bear here, for images of one's own and for stores of parts."""
CASES = [
    (dataset, name)
    for dataset, named in PROTOCOLS.items()
    for name in (named if dataset == "*" else protocol_names(dataset))
]
SHOTS = {"shots": 3, "domains": 3, "lowshot": 1}  # the small data sets have no more
FOLDS = {"kfold": 3}


@cache
def table(dataset: str, data_root: Path) -> ImageDataset:
    if dataset in STAND_INS:
        real, name = STAND_INS[dataset]
        return replace(table(real, data_root), name=name)
    return load_dataset(dataset, data_root, allow_partial=True)


def rule(dataset: str, name: str, data_root: Path, **more: object) -> PublishedProtocol:
    images = table(dataset, data_root)
    draw = get_protocol(name, images).draw
    found = get_protocol(
        name, images, train_per_class=SHOTS.get(draw), splits=FOLDS.get(draw), **more
    )
    pair = {"domains": ("amazon", "webcam")} if isinstance(found, DomainProtocol) else {}
    return replace(found, **pair)


def drawn(dataset: str, name: str, data_root: Path, **more: object) -> tuple[Split, ...]:
    images = table(dataset, data_root)
    return tuple(rule(dataset, name, data_root, **more).splits(images))


def check_it_names_a_metric_and_a_view(dataset: str, name: str, data_root: Path) -> None:
    protocol = rule(dataset, name, data_root)
    assert protocol.metric in METRICS
    assert protocol.view in get_args(ViewName)
    assert protocol.normalize in get_args(Normalize)
    if name not in PROTOCOLS["*"]:
        assert protocol.source


def check_splits_are_disjoint_and_stratified(dataset: str, name: str, data_root: Path) -> None:
    images, protocol = table(dataset, data_root), rule(dataset, name, data_root)
    splits = drawn(dataset, name, data_root)
    assert len(splits) == protocol.n_splits
    for split in splits:
        assert split.test.size
        for rows in (split.train, split.test):
            assert np.all(np.diff(rows) > 0)
            assert set(rows) <= set(range(len(images.image_ids)))
        assert not np.intersect1d(split.train, split.test).size
        if images.labels.ndim == 1:
            counts = np.bincount(images.labels[split.train], minlength=len(images.class_names))
            used = [c not in protocol.drop_classes for c in images.class_names]
            assert (counts[used] > 0).all()
            assert not counts[~np.array(used)].any()
            if protocol.draw == "shots":
                assert set(counts[used]) == {3}


def check_c_is_chosen_on_training_rows(dataset: str, name: str, data_root: Path) -> None:
    for split in drawn(dataset, name, data_root):
        for fit, validation in split.inner:
            assert validation.size
            assert not np.intersect1d(fit, validation).size
            picked = "-goyal" in name  # the published flaw, which says so
            allowed = np.concatenate([split.train, split.test]) if picked else split.train
            assert np.isin(np.concatenate([fit, validation]), allowed).all()


def check_what_tests_never_trains_a_model(dataset: str, name: str, data_root: Path) -> None:
    images, protocol = table(dataset, data_root), rule(dataset, name, data_root)
    if protocol.draw not in ("official", "lowshot") or images.official.shape[1] > 1:
        return
    kept = training_rows(images, np.ones(len(images.image_ids), bool))
    for split in drawn(dataset, name, data_root):
        assert not np.intersect1d(kept, split.test).size


def check_a_seed_decides_the_draw(dataset: str, name: str, data_root: Path) -> None:
    one, again = (drawn(dataset, name, data_root, seed=3) for _ in range(2))
    for left, right in zip(one, again, strict=True):
        np.testing.assert_array_equal(left.train, right.train)
        np.testing.assert_array_equal(left.test, right.test)
    if rule(dataset, name, data_root).draw in ("shots", "holdout"):
        other = drawn(dataset, name, data_root, seed=4)
        assert any(
            not np.array_equal(left.test, right.test)
            for left, right in zip(one, other, strict=True)
        )


def check_unusable_rows_are_left_out(dataset: str, name: str, data_root: Path) -> None:
    images = table(dataset, data_root)
    usable = np.ones(len(images.image_ids), bool)
    usable[drawn(dataset, name, data_root)[0].test[0]] = False
    for split in rule(dataset, name, data_root).splits(images, usable):
        assert usable[split.train].all()
        assert usable[split.test].all()


def check_splits_are_written_and_read(dataset: str, name: str, data_root: Path) -> None:
    images, splits = table(dataset, data_root), drawn(dataset, name, data_root)
    path = data_root / f"{dataset.replace('*', 'own')}-{name}.json"
    for _ in ("written", "read"):
        (again,) = kept_splits([rule(dataset, name, data_root)], images, file=path)
    for found, split in zip(again, splits, strict=True):
        np.testing.assert_array_equal(found.train, split.train)
        np.testing.assert_array_equal(found.test, split.test)
        assert found.seed == split.seed
        assert len(found.inner) == len(split.inner)


CHECKS = (
    check_it_names_a_metric_and_a_view,
    check_splits_are_disjoint_and_stratified,
    check_c_is_chosen_on_training_rows,
    check_what_tests_never_trains_a_model,
    check_a_seed_decides_the_draw,
    check_unusable_rows_are_left_out,
    check_splits_are_written_and_read,
)


@pytest.mark.parametrize(("dataset", "name"), CASES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_protocol_passes(
    check: Callable[[str, str, Path], None], dataset: str, name: str, data_root: Path
) -> None:
    check(dataset, name, data_root)
