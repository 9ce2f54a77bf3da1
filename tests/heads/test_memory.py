"""Features larger than memory are read in blocks, and smaller ones are not copied often."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from decaf.heads import LinearSVM, LogisticRegression
from decaf.heads.dropout import DropoutLogisticRegression, DropoutSVM
from decaf.heads.knn import KNN


class Rows:
    """Features that can only be sliced by rows, and count how many were ever read at once."""

    def __init__(self, X):
        self._X = X
        self.shape, self.dtype = X.shape, X.dtype
        self.most = 0

    def __len__(self):
        return len(self._X)

    def __getitem__(self, rows):
        found = self._X[rows]
        self.most = max(self.most, len(found))
        return found


def problem(n, d, k=3):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return (rng.normal(size=(k, d))[y] + 1.5 * rng.normal(size=(n, d))).astype(np.float32), y


@pytest.mark.parametrize("head", [LinearSVM, LogisticRegression])
@pytest.mark.parametrize(("n", "d"), [(150, 20), (40, 90)])
def test_a_fit_on_blocks_is_the_fit_in_memory(head, n, d, monkeypatch):
    X, y = problem(n, d)
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 7 * d * 4)
    monkeypatch.setattr("decaf.heads.designs.BLOCK_ROWS", 7)
    stored = Rows(X)
    ours = head(memory_share=1e-12).fit(stored, y)
    assert 0 < stored.most <= 7
    whole = head().fit(X, y)
    assert ours.converged_
    np.testing.assert_allclose(ours.objective_, whole.objective_, rtol=1e-4)
    np.testing.assert_allclose(
        ours.decision_function(stored), whole.decision_function(X), atol=0.02
    )


@pytest.mark.parametrize("head", [DropoutSVM, DropoutLogisticRegression])
def test_other_heads_read_blocks_too(head, monkeypatch):
    X, y = problem(64, 10)
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 7 * 10 * 4)
    stored = Rows(X)
    ours = head(memory_share=1e-12).fit(stored, y)
    scores = ours.decision_function(stored)
    assert stored.most < len(X)
    np.testing.assert_allclose(scores, head().fit(X, y).decision_function(X), atol=1e-3)


def test_neighbours_are_looked_for_in_blocks(monkeypatch):
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 2**22)
    X, y = problem(40_000, 256)  # more than the search reads at once
    stored = Rows(X)
    scores = KNN(memory_share=1e-12).fit(stored, y).decision_function(X[-5:])
    assert stored.most < len(X)
    np.testing.assert_array_equal(scores, KNN().fit(X, y).decision_function(X[-5:]))


def test_rows_that_are_not_finite_are_named_in_blocks_too(monkeypatch):
    X, y = problem(40, 5)
    X[[11, 23]] = np.nan
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 7 * 5 * 4)
    for features in (X, Rows(X)):
        with pytest.raises(ValueError, match="in 2 rows"):
            LinearSVM(memory_share=1e-12).fit(features, y)


_PEAKS = """
from pathlib import Path
import numpy as np
from decaf.heads import HEADS

def resident_kb(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

rng = np.random.default_rng(0)
for n, d in ((10, 4), (4, 10), (2_500, 10_000), (4_400, 4_400), (5_300, 3_800), (40_000, 800)):
    X = rng.random((n, d), dtype=np.float32)
    X *= 2 / np.sqrt(d)
    for name in ("svm", "logreg"):
        before = resident_kb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        HEADS[name](device="cpu").fit(X, np.arange(n) % 2)
        if n > 100:  # what is loaded only once does not count
            print(1 + (resident_kb("VmHWM") - before) * 1024 / X.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc")
def test_peak_memory_of_a_fit_is_at_most_two_and_a_half_times_the_features():
    command = [sys.executable, "-c", _PEAKS]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ratios = [float(line) for line in printed.split()]
    assert len(ratios) == 8
    assert max(ratios) <= 2.5, ratios
