"""The nested search: planted settings are found, luck is not counted, a kill changes nothing."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from flat import tune

from decaf import setting_space, settings_search
from decaf.errors import ConfigError
from decaf.heads import HEADS
from decaf.report.settings_grid import settings_grid
from decaf.setting_space import EXHAUSTIVE, Setting, fewer_rows, halved, read_space, tried
from decaf.store import FeatureStore, FeatureWriter, import_features
from decaf.types import ImageDataset, Split

SPACE = "layer=a,b,c; normalize=none,l2,standard; head=svm,knn"
CLASSES = ("x", "y", "z")
N = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Make stores whose layer b tells the class in small numbers beside large noise."""
    root = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 3
    layers = {name: rng.normal(size=(N, 40)).astype(np.float32) for name in "abc"}
    layers["b"][:, :12] = 1e-5 * (rng.normal(size=(N, 12)) + 4 * np.eye(3)[labels].repeat(4, 1))

    def make(name, labels=labels):
        if (root / f"{name}.h5").exists():
            return root / f"{name}.h5"
        ids = tuple(f"{i}.jpg" for i in range(N))
        table = ImageDataset(name, root, ids, labels, CLASSES, np.full(N, 9))
        np.save(root / "one.npy", layers["a"])
        with FeatureStore(import_features(root / "one.npy", table, root / f"{name}1.h5")) as one:
            made = replace(one.provenance, layers=tuple(layers))
        sha = [bytes([i]) * 32 for i in range(N)]
        with FeatureWriter(root / f"{name}.h5", made, table, dict.fromkeys(layers, 40)) as writer:
            writer.write(np.arange(N), layers, sha)
            return writer.finish()

    return make, labels


def search(path, out, **more):
    options = {
        "space": SPACE,
        "device": "cpu",
        "quiet": True,
        "protocol": "holdout",
        "c_grid": "0.1,10",
    } | more
    return tune(path, **options, out=out)


def test_the_planted_setting_is_found_and_its_worth_is_told(store, tmp_path):
    make, _ = store
    table = search(make("planted"), tmp_path / "t.csv", splits=3)
    assert len(table.inner) == table.n_space == 18
    assert [one.setting for one in table.chosen] == ["b, standard, svm"] * 3
    assert table.outer.mean > 0.9
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame.loc[0, ["setting", "won", "n_splits"]].tolist() == ["b, standard, svm", 3, 3]
    assert frame["inner_mean"][1:].max() <= frame["inner_mean"][0]
    assert frame["outer_mean"].notna().sum() == 1
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert sum("inner" in line for line in lines) == 18 * 3
    assert sum("outer" in line for line in lines) == 3  # test rows are scored once a split
    grid = settings_grid(table)
    assert grid.rows[0].label == "b, standard, svm"
    assert grid.rows[0].cells[1] == "3 of 3"


@pytest.mark.slow
def test_of_mixed_labels_the_outer_score_is_chance_whatever_the_inner_says(store, tmp_path):
    make, labels = store
    mixed = np.random.default_rng(5).permutation(labels)
    table = search(make("mixed", mixed), tmp_path / "t.csv")
    assert table.inner_of_chosen.mean > 0.45  # the best of 18, by luck
    assert abs(table.outer.mean - 1 / 3) < 3.5 * (2 / 9 / 120) ** 0.5


@pytest.mark.slow
def test_what_is_killed_and_run_again_gives_the_same_table(store, tmp_path, monkeypatch):
    make, _ = store
    path, n_fits = make("killed"), 0
    search(path, tmp_path / "whole.csv", splits=2)
    fit = settings_search.fit_splits

    def counted(*args, **kwargs):
        nonlocal n_fits
        n_fits += 1
        if n_fits == 20:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    monkeypatch.setattr(settings_search, "fit_splits", counted)
    with pytest.raises(KeyboardInterrupt):
        search(path, tmp_path / "t.csv", splits=2)
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write('{"key": "cut sho')
    before = n_fits
    search(path, tmp_path / "t.csv", splits=2)
    assert n_fits - before == 18 * 2 + 2 - 19
    for name in ("", "-splits"):
        whole, again = (tmp_path / f"{one}{name}.csv" for one in ("whole", "t"))
        assert whole.read_bytes() == again.read_bytes()
    search(path, tmp_path / "t.csv", splits=2)
    assert n_fits - before == 18 * 2 + 2 - 19  # all is known


def test_of_many_settings_those_that_are_drawn_are_tried_on_few_rows_first(
    store, tmp_path, monkeypatch
):
    make, _ = store
    monkeypatch.setattr(setting_space, "EXHAUSTIVE", 10)
    monkeypatch.setattr(settings_search, "EXHAUSTIVE", 10)
    table = search(make("drawn"), tmp_path / "t.csv", trials=12, splits=2, seed=1, c_grid="1")
    assert (table.n_space, len(table.inner)) == (18, 12)
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert sum("inner" in line for line in lines) == 2 * (12 + 6 + 3)
    assert sum(len(values) for values in table.inner.values()) == 2 * 3
    assert all(one.C in {1.0, None} for one in table.chosen)
    assert all(one.setting in table.inner for one in table.chosen)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("layers=a", "unknown part of a space 'layers'; did you mean 'layer'"),
        ("layer", "found no value; give NAME=A,B"),
        ("layer=a,,b", "found no value; give NAME=A,B"),
        ("pool=middle", "unknown pooling 'middle'"),
        ("normalize=l3", "unknown normalize 'l3'"),
        ("head=finetune", "unknown head 'finetune'"),
        ("layer=d", "asked for d, none, svm of the store .*, which holds the layers a, b, c"),
        ("pool=avg", "asked for a avg, none, svm of the store"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(store, tmp_path, space, message):
    make, _ = store
    with pytest.raises(ConfigError, match=message):
        search(make("refused"), tmp_path / "t.csv", space=space)


def test_several_poolings_of_images_are_searched(image_folder, tmp_path):
    table = tune(
        image_folder, backbone="decaf-mini", device="cpu", features=tmp_path, quiet=True, splits=2,
        space="layer=pool5,features.conv5; pool=avg,grid:2; head=svm,logreg", batch_size=4,
        out=tmp_path / "t.csv",
    )  # fmt: skip
    assert len(table.inner) == 8
    assert "features.conv5 grid:2, none, logreg" in table.inner
    assert len(list(tmp_path.glob("*.h5"))) == 2
    for unused in ({"controls": True}, {"keep_scores": True}, {"metrics": "top5"}):
        with pytest.raises(ConfigError, match=f"a search does not use {next(iter(unused))}"):
            tune(image_folder, **unused, out=tmp_path / "t.csv")


def settings(n):
    return [Setting(f"layer{i}", "none", "none", "svm") for i in range(n)]


def test_of_many_settings_some_are_drawn_and_halved():
    many = settings(EXHAUSTIVE + 1)
    assert tried(many[:-1], 60, 0) == many[:-1]
    drawn = tried(many, 60, 0)
    assert len(set(drawn)) == 60
    assert drawn == tried(many, 60, 0) != tried(many, 60, 1)
    asked = []

    def score(setting, split, share):
        asked.append((split, share))
        return -abs(int(setting.layer[5:]) - (100, 20)[split]) if setting != many[0] else np.nan

    ranked = halved(drawn, 2, score, shares=(0.25, 0.5, 1.0))
    assert [sum(one == (0, share) for one in asked) for share in (0.25, 0.5, 1)] == [60, 30, 15]
    for split, place in enumerate((100, 20)):
        best = min(drawn, key=lambda one: abs(int(one.layer[5:]) - place))
        assert ranked[split][0][0] == best
        assert len(ranked[split]) == 15


def test_a_share_of_the_rows_keeps_classes_and_folds():
    labels = np.repeat([0, 1, 2], [40, 8, 3])
    train, held = np.arange(51), np.array([0, 1, 2, 3, 4, 5, 6, 7, 40, 41, 50])
    split = Split(train, np.array([51]), ((np.setdiff1d(train, held), held),), 0)
    part = fewer_rows(split, labels, 0.25)
    ((fit, validation),) = part.inner
    assert np.bincount(labels[fit]).tolist() == [8, 2, 1]
    assert np.bincount(labels[validation]).tolist() == [2, 1, 1]
    np.testing.assert_array_equal(np.union1d(fit, validation), part.train)
    assert fewer_rows(split, labels, 1.0) is split


def test_a_space_is_every_combination():
    defaults = {"layer": ("fc6",), "pool": ("none",), "normalize": ("none",), "head": ("svm",)}
    space = "layer=pool5,fc6,fc7; pool=avg,grid:2; normalize=none,l2,standard"
    found = read_space(space, defaults, list(HEADS))
    assert len(set(found)) == len(found) == 18
    assert read_space("", defaults, list(HEADS)) == [Setting("fc6", "none", "none", "svm")]
