"""Adaptation layers on frozen features."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sklearn.base import clone

from decaf import descent
from decaf.descent import mean_loss
from decaf.errors import DataError
from decaf.heads import fit_splits
from decaf.heads.adaptation import AdaptationHead, adaptation_layers
from decaf.metrics import METRICS
from decaf.types import Split

SMALL = {"hidden": 16, "n_epochs": 8, "learning_rate": 0.1, "device": "cpu"}


def problem(n=300, d=20, k=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    return (2 * rng.normal(size=(k, d))[y] + rng.normal(size=(n, d))).astype(np.float32), y


def rings(n=600, seed=0):
    """No line parts these two classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    angle = rng.uniform(0, 2 * np.pi, n)
    X = (1 + y)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return (X + 0.1 * rng.normal(size=X.shape)).astype(np.float32), y


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_gradient_is_that_of_finite_differences(kind):
    chance = torch.Generator().manual_seed(0)
    net = adaptation_layers(5, 4, 3, dropout=0.5, seed=0).double()
    features = torch.randn(7, 5, generator=chance, dtype=torch.float64)
    numbers = torch.randint(0, 3, (7,), generator=chance)
    matrix = torch.randint(-1, 2, (7, 3), generator=chance).double()
    wanted = numbers if kind == "softmax" else matrix
    names, start = zip(*net.named_parameters(), strict=True)

    def loss(*parameters):
        given = dict(zip(names, parameters, strict=True))
        torch.manual_seed(1)  # of the masks
        logits = torch.func.functional_call(net, given, features)
        return mean_loss(logits, wanted, per_row=True)

    assert torch.autograd.gradcheck(loss, tuple(p.detach().requires_grad_() for p in start))


def test_a_label_of_0_does_not_count():
    scores = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    wanted = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    by_hand = np.log1p(np.exp([-2.0, 0.5, -3.0])).sum() / 2
    assert float(mean_loss(scores, wanted, per_row=True)) == pytest.approx(by_hand, rel=1e-6)


def test_it_parts_what_no_line_parts():
    (X, y), (X_new, y_new) = rings(), rings(seed=1)
    head = AdaptationHead(32, n_epochs=20, device="cpu").fit(X, y)
    assert (head.predict(X_new) == y_new).mean() > 0.97
    assert head.learning_rate_ in {0.3, 0.1, 0.03}
    assert "epochs" in head.summary_


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_scale_of_features_does_not_matter(scale):
    X, y = problem()
    head = AdaptationHead(**SMALL).fit(X * np.float32(scale), y)
    same = AdaptationHead(**SMALL).fit(X, y)
    np.testing.assert_allclose(
        head.decision_function(X * np.float32(scale)), same.decision_function(X), atol=0.02
    )


def test_layers_are_the_head():
    X, y = problem()
    head = AdaptationHead(**SMALL).fit(X, y)
    (W, b), (V, c) = head.layers_
    by_hand = np.maximum(X @ W.T + b, 0) @ V.T + c
    np.testing.assert_allclose(head.decision_function(X), by_hand, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(head.predict_proba(X).sum(1), 1, rtol=1e-5)


def test_several_labels_a_row():
    X, y = problem()
    Y = np.where(y[:, None] == np.arange(4), 1, -1)
    Y[:, 3] = np.where(y < 2, 1, -1)
    Y[::7, 0] = 0
    head = AdaptationHead(**SMALL).fit(X, Y)
    assert head.multilabel_
    assert ((head.predict(X) == Y) | (Y == 0)).mean() > 0.95


def test_validation_rows_choose_first_and_train_then():
    X, y = problem()
    held_out = np.flatnonzero(y == 3)  # whoever never trains on these cannot know class 3
    head = AdaptationHead(**SMALL).fit(X, y, validation=held_out)
    assert head.objective_ > 1  # they did not train when they were looked at
    assert (head.predict(X[held_out]) == 3).mean() > 0.8
    with pytest.raises(ValueError, match="all rows"):
        clone(head).fit(X, y, validation=np.arange(300))


def test_in_an_evaluation_all_training_rows_train():
    X, y = problem()
    folds = tuple((np.flatnonzero(y != c), np.flatnonzero(y == c)) for c in (3, 2))
    split = Split(np.arange(300), np.arange(0), folds, 0)
    score = METRICS["top1"].score
    head = AdaptationHead(**SMALL)
    (fitted,) = fit_splits(head, X, y, [split], c_values=([1], 1), score=score)
    assert score(y, fitted.decision_function(X), fitted.head.classes_) > 0.9


def test_a_training_that_diverges_is_said():
    X, y = problem()
    with pytest.raises(ValueError, match="NaN or infinite; scale the features"):
        AdaptationHead(**SMALL | {"learning_rate": 1e12}).fit(X, y)


def test_features_read_from_a_file_train_the_same_head(tmp_path: Path):
    X, y = problem()
    in_memory = AdaptationHead(**SMALL).fit(X, y)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = X
        streamed = AdaptationHead(**SMALL, memory_share=1e-12).fit(file["x"], y)
    for one, other in zip(in_memory.layers_, streamed.layers_, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-4)


@pytest.mark.parametrize("rate", [None, 0.03])
def test_a_run_that_stopped_ends_where_it_would_have(rate, tmp_path: Path):
    X, y = problem()
    options = {**SMALL, "n_epochs": 5, "learning_rate": rate}
    whole = AdaptationHead(**options).fit(X, y)
    head = AdaptationHead(**options, checkpoint=str(tmp_path))
    for stop_after in (1, 2, whole.n_iter_ - 4):  # the last one on all rows
        interrupted(head, X, y, stop_after)
        assert len(list(tmp_path.iterdir())) == 1
    head.fit(X, y)
    assert not list(tmp_path.iterdir())
    assert head.n_iter_ == whole.n_iter_
    assert_equal(head.layers_, whole.layers_)


def assert_equal(one, other):
    for a, b in zip(sum(one, ()), sum(other, ()), strict=True):
        np.testing.assert_array_equal(a, b)


def interrupted(head, X, y, n_epochs):
    """Fit until so many more epochs are saved."""
    saved, calls = descent.write_tensors, []

    def save(*args):
        saved(*args)
        calls.append(1)
        if len(calls) == n_epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "write_tensors", save)
        with pytest.raises(KeyboardInterrupt):
            head.fit(X, y)


def test_each_training_has_a_checkpoint_of_its_own(tmp_path: Path):
    X, y = problem()
    head = AdaptationHead(**SMALL, checkpoint=str(tmp_path))
    other = X.copy()
    other[1, 1] += 1  # one value in one row tells trainings apart
    for features in (X, other):
        interrupted(head, features, y, 2)
    assert len(list(tmp_path.iterdir())) == 2
    head.fit(X, y)
    assert_equal(head.layers_, AdaptationHead(**SMALL).fit(X, y).layers_)
    (left,) = tmp_path.glob("adaptation-*/*.safetensors")
    left.write_bytes(b"rubbish")
    with pytest.raises(DataError, match="delete it"):
        head.fit(other, y)


TRAINED = """
import sys
import numpy as np
from decaf.heads import HEADS

def trained(checkpoint):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 10
    X = (rng.normal(size=(10, 30))[y] + 3 * rng.normal(size=(400, 30))).astype(np.float32)
    options = {"n_epochs": 40, "patience": 40, "learning_rate": 0.003, "device": "cpu"}
    return sum(HEADS["adaptation"](64, checkpoint=checkpoint, **options).fit(X, y).layers_, ())
"""
SAVED = TRAINED + "np.savez(sys.argv[1], *trained(sys.argv[2]))"


@pytest.mark.slow
def test_killed_or_run_twice_at_once_it_ends_with_the_same_weights(tmp_path: Path):
    folder, here = tmp_path / "c", {}
    command = [sys.executable, "-c", SAVED, str(tmp_path / "there.npz"), str(folder)]
    exec(TRAINED, here)
    job, deadline = subprocess.Popen(command), time.monotonic() + 600
    while not list(folder.glob("*/epoch.safetensors")):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.005)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert list(folder.glob("*/epoch.safetensors"))
    job = subprocess.Popen(command)
    found = [here["trained"](str(folder)) for _ in range(2)]
    assert job.wait() == 0
    assert not list(folder.iterdir())
    whole = here["trained"](None)
    with np.load(tmp_path / "there.npz") as there:
        for layers in (*found, [there[name] for name in there]):
            assert_equal([tuple(layers)], [whole])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden must be a positive"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptationHead(**options).fit(*problem())
