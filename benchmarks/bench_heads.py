"""Linear heads against scikit-learn: whole protocols, single fits, objectives and how cost grows.

Both see the same float32 features of unit norm, the same rows, the same values of C and the same
choice among them, in one run on one machine, and both have all cores: scikit-learn's classes, folds
and values of C run side by side, a process each, with scikit-learn-intelex where that is installed.
While C is chosen both stop at the same relative distance from the optimum. Objectives are computed
in float64 from each one's own coefficients. Where scikit-learn would take hours it is timed on a
part (some of the splits, classes or folds) and scaled by the number of fits; the table says so.
"""

import argparse
import importlib.util
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from heads_data import Task, caltech101, generated, multilabel
from joblib import Parallel, delayed
from parts import add_skip, run_parts
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from decaf.heads import HEADS, fit_splits
from decaf.heads.select import best
from decaf.metrics import METRICS
from decaf.types import FloatArray, IntArray

C_CALTECH = tuple(10.0 ** (k / 3 * 2 - 2) for k in range(7))
C_SUN397 = tuple(10.0**k for k in range(-3, 5))
C_VOC = tuple(2.0**k for k in range(-7, 8))
PARTS = ("caltech101", "sun397", "voc", "few_rows", "growth")
LIMIT_S = 120
ROUGH = {"svm": 1e-2, "logreg": 1e-4}
"""Tolerance of the peers while C is chosen. Ours ends within a hundredth of the minimum there;
logistic regression of scikit-learn at 1e-2 ends up to 17 times as high, at 1e-4 within 0.004."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, help="folder with the images of part 1")
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--svm-splits", type=int, default=5, help="of them for LinearSVC")
    parser.add_argument("--logreg-splits", type=int, default=5, help="of them for scikit-learn's")
    parser.add_argument("--sun397-classes", type=int, default=12, help="for LinearSVC")
    parser.add_argument("--few-rows-classes", type=int, default=1_000, help="of three rows each")
    parser.add_argument("--voc-classes", type=int, default=20, help="for LinearSVC")
    add_skip(parser, PARTS)
    parser.add_argument("--figure", type=Path, default=Path("heads_cost.svg"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    bench = (bench_caltech101, bench_sun397, bench_voc, bench_few_rows, bench_growth)
    lacking = dict.fromkeys(options.skip, "as asked")
    if options.assets is None:
        lacking.setdefault("caltech101", "it needs real images; give --assets DIR")
    if importlib.util.find_spec("sklearnex") is None:
        print("scikit-learn-intelex is not installed; scikit-learn's own logistic regression runs")
    print(f"{'what':<44} {'decaf s':>9} {'sklearn s':>10} {'speedup':>8}")
    run_parts(
        {name: partial(part, options) for name, part in zip(PARTS, bench, strict=True)}, lacking
    )


def bench_caltech101(options: argparse.Namespace) -> dict[str, float]:
    """Time DeCAF's protocol, whole, and compare accuracies and objectives."""
    task = caltech101(options.assets, options.features, options.splits)
    figures: dict[str, float] = {}
    gaps, ratios = [], []
    for head, n_splits in (("svm", options.svm_splits), ("logreg", options.logreg_splits)):
        part = replace(task, splits=task.splits[:n_splits])
        ours_s, ours = timed(lambda h=head: protocol(h, task, C_CALTECH, "cpu"))
        theirs_s, theirs = timed(lambda h=head, p=part: peer_protocol(h, p, C_CALTECH))
        scale = len(task.splits) / len(part.splits)
        figures[f"caltech101_{head}_speedup"] = row(
            f"Caltech-101 {head}, {len(task.splits)} splits x {len(C_CALTECH)} C",
            ours_s,
            theirs_s * scale,
            f"scikit-learn timed on {n_splits} splits" if scale > 1 else "",
        )
        figures[f"caltech101_{head}_seconds"] = ours_s
        shown = [f"{np.mean(values):.4f}" for values in (ours[:n_splits], theirs)]
        print(f"  mean per-class accuracy {shown[0]}, scikit-learn {shown[1]}")
        gaps.append(abs(np.mean(ours[:n_splits]) - np.mean(theirs)))
        ratios.append(compare_objectives(head, task))
        if torch.cuda.is_available():
            figures |= on_gpu(head, task, ours_s)
    return figures | {
        "max_accuracy_gap": float(max(gaps)),
        "max_objective_ratio": float(max(ratios)),
    }


def compare_objectives(head: str, task: Task) -> float:
    """Return the largest ratio of our objective to the lower one, over C, on the first split."""
    rows = task.splits[0].train
    X, y = task.X[rows], task.y[rows]
    ours = HEADS[head](device="cpu").fit_path(X, y, C_CALTECH)
    worst = 1.0
    for C, fitted in zip(C_CALTECH, ours, strict=True):
        theirs = peer(head, C=C, tol=1e-6, max_iter=100_000).fit(X, y)
        mine, other = (objective(head, one, X, y) for one in (fitted, theirs))
        ratio = mine / min(mine, other)
        mark = "" if fitted.converged_ else "  (not converged, and marked so)"
        print(
            f"  {head} C = {C:<8.3g} objective {mine:.8g}, scikit-learn {other:.8g}, "
            f"ratio {ratio:.6f}{mark}"
        )
        worst = max(worst, ratio)
    return worst


def on_gpu(head: str, task: Task, cpu_s: float) -> dict[str, float]:
    """Time the same protocol on the GPU, and compare objectives with the CPU's."""
    protocol(head, task, C_CALTECH[:1], "cuda")
    seconds, _ = timed(lambda: protocol(head, task, C_CALTECH, "cuda"))
    row(f"Caltech-101 {head}, GPU against our CPU", seconds, cpu_s, "second column: decaf, CPU")
    rows = task.splits[0].train
    X, y = task.X[rows], task.y[rows]
    pairs = zip(
        HEADS[head](device="cpu").fit_path(X, y, C_CALTECH),
        HEADS[head](device="cuda").fit_path(X, y, C_CALTECH),
        strict=True,
    )
    gap = max(abs(objective(head, a, X, y) / objective(head, b, X, y) - 1) for a, b in pairs)
    return {f"gpu_caltech101_{head}_seconds": seconds, f"gpu_{head}_objective_gap": gap}


def bench_sun397(options: argparse.Namespace) -> dict[str, float]:
    """Time one C on as many rows, features and classes as SUN397 has."""
    task = generated(19_850, 4_096, 397)
    ours_s, _ = timed(lambda: HEADS["svm"](device="cpu").fit(task.X, task.y))
    classes = range(options.sun397_classes)
    Y = (task.y[:, None] == np.array(classes)).astype(np.int8)  # a problem a class
    theirs_s, _ = timed(lambda: peer("svm").fit(task.X, Y))
    figures = {
        "sun397_svm_seconds": ours_s,
        "sun397_svm_speedup": row(
            "SUN397 size svm, C = 1",
            ours_s,
            theirs_s * 397 / options.sun397_classes,
            f"scikit-learn timed on {options.sun397_classes} of 397 classes",
        ),
    }
    if torch.cuda.is_available():
        HEADS["svm"](device="cuda").fit(task.X[:500], task.y[:500])
        seconds, _ = timed(lambda: HEADS["svm"](device="cuda").fit_path(task.X, task.y, C_SUN397))
        row("SUN397 size svm, 8 C, one split, GPU", seconds, ours_s * 8, "second: 8 x decaf, CPU")
        figures["gpu_sun397_protocol_seconds"] = 10 * seconds
    return figures


def bench_voc(options: argparse.Namespace) -> dict[str, float]:
    """Time the choice among 15 C by 3 folds and the last fit, for labels as VOC has them."""
    task = multilabel(5_011, 4_096, 20, n_folds=3)
    ours_s, _ = timed(lambda: fitted_splits("svm", task, C_VOC, "cpu", "map_11pt"))
    classes = range(options.voc_classes)
    theirs_s, _ = timed(
        lambda: Parallel(-1, max_nbytes=None)(delayed(peer_class)(task, c) for c in classes)
    )
    return {
        "voc_svm_seconds": ours_s,
        "voc_svm_speedup": row(
            "VOC size svm, 20 classes x 15 C x 3 folds",
            ours_s,
            theirs_s * 20 / len(classes),
            f"scikit-learn timed on {len(classes)} of 20 classes" if len(classes) < 20 else "",
        ),
    }


def bench_few_rows(options: argparse.Namespace) -> dict[str, float]:
    """Time one C on many classes of three rows; scikit-learn is given up after `LIMIT_S`."""
    figures: dict[str, float] = {}
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(options.few_rows_classes), 3)
    X = rng.standard_normal((y[-1] + 1, 64))[y] + rng.standard_normal((len(y), 64))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    for head in ROUGH:
        ours_s, ours = timed(lambda h=head: HEADS[h](device="cpu").fit(X, y))
        theirs_s, theirs = timed(lambda h=head: limited(lambda: peer(h).fit(X, y)))
        what = f"{y[-1] + 1} classes x 3 rows x 64 {head}"
        note = "" if theirs is not None else "scikit-learn had not ended"
        figures[f"few_rows_{head}_speedup"] = row(what, ours_s, theirs_s, note)
        if theirs is not None:
            found = [objective(head, one, X, y) for one in (ours, theirs)]
            figures[f"few_rows_{head}_objective_ratio"] = found[0] / min(found)
    return figures


def limited(action: Callable[[], Any]) -> Any:
    """Return what an action returns, or None where it takes longer than `LIMIT_S`."""

    def end(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT_S)
    try:
        return action()
    except TimeoutError:
        return None
    finally:
        signal.alarm(0)


def bench_growth(options: argparse.Namespace) -> dict[str, float]:
    """Time fits against each size of the problem, and draw it."""
    base = {"n_images": 2_000, "n_features": 2_048, "n_classes": 50, "n_C": 4}
    sweeps = {
        "n_images": (500, 1_000, 2_000, 4_000, 8_000, 16_000),
        "n_features": (256, 512, 1_024, 2_048, 4_096, 8_192),
        "n_classes": (2, 10, 50, 200, 400),
        "n_C": (1, 2, 4, 8, 16),
    }
    figure, panels = plt.subplots(1, 4, figsize=(13, 3.2), sharey=True, layout="constrained")
    for panel, (name, values) in zip(panels, sweeps.items(), strict=True):
        ours, theirs = zip(*(grown(base | {name: value}) for value in values), strict=True)
        panel.loglog(values, ours, "o-", label="decaf")
        panel.loglog(values, theirs, "s--", label="LinearSVC (1 class, 1 C, scaled)")
        panel.set_xlabel(name)
        for value, a, b in zip(values, ours, theirs, strict=True):
            row(f"growth: {name} = {value}", a, b, "scikit-learn: one class at C = 1, scaled")
    panels[0].set_ylabel("seconds")
    panels[0].legend(frameon=False)
    figure.suptitle("Linear SVM on the CPU; other sizes: " + str(base)[1:-1].replace("'", ""))
    figure.savefig(options.figure)
    print(f"  drawn in {options.figure}")
    return {}


def grown(sizes: dict[str, int]) -> tuple[float, float]:
    """Return our seconds and LinearSVC's for one size of the problem."""
    task = generated(sizes["n_images"], sizes["n_features"], sizes["n_classes"])
    Cs = np.logspace(-1, 1, sizes["n_C"]) if sizes["n_C"] > 1 else np.ones(1)
    ours_s, _ = timed(lambda: HEADS["svm"](device="cpu").fit_path(task.X, task.y, Cs.tolist()))
    theirs_s, _ = timed(lambda: LinearSVC().fit(task.X, task.y == 0))
    n_fits = sizes["n_C"] * (sizes["n_classes"] if sizes["n_classes"] > 2 else 1)
    return ours_s, theirs_s * n_fits


def protocol(head: str, task: Task, Cs: Sequence[float], device: str) -> list[float]:
    """Return our mean per-class accuracy on each split."""
    metric = METRICS["mean_per_class"]
    fitted = fitted_splits(head, task, Cs, device, "mean_per_class")
    return [
        metric.score(task.y[s.test], f.decision_function(task.X[s.test]), f.head.classes_)
        for s, f in zip(task.splits, fitted, strict=True)
    ]


def fitted_splits(
    head: str, task: Task, Cs: Sequence[float], device: str, metric: str
) -> list[Any]:
    """Return our heads with the C that each split's folds choose."""
    return list(
        fit_splits(
            HEADS[head](device=device),
            task.X,
            task.y,
            task.splits,
            c_values=(Cs, 1.0),
            score=METRICS[metric].score,
        )
    )


def peer(head: str, **options: Any) -> Any:
    """Return scikit-learn's estimator: one-vs-rest on all cores, or the multinomial one."""
    if head == "svm":
        return OneVsRestClassifier(LinearSVC(**options), n_jobs=-1)
    options = {"max_iter": 1000} | options
    if importlib.util.find_spec("sklearnex") is not None:
        from sklearnex.linear_model import LogisticRegression as Fast  # noqa: PLC0415 (optional)

        return Fast(**options)
    return LogisticRegression(**options)


def peer_protocol(head: str, task: Task, Cs: Sequence[float]) -> list[float]:
    """Return scikit-learn's mean per-class accuracy on each split; folds and C on all cores."""
    score = METRICS["mean_per_class"].score

    def validation(one: Any, X: FloatArray, y: IntArray) -> float:
        return score(y, one.decision_function(X), one.classes_)

    accuracies = []
    for split in task.splits:
        one = LinearSVC if head == "svm" else partial(LogisticRegression, max_iter=1000)
        rough = one(tol=ROUGH[head])
        folds = [
            (np.searchsorted(split.train, rows), np.searchsorted(split.train, held))
            for rows, held in split.inner
        ]
        X, y = task.X[split.train], task.y[split.train]
        search = GridSearchCV(
            rough, {"C": list(Cs)}, scoring=validation, cv=folds, n_jobs=-1, refit=False
        ).fit(X, y)
        chosen = peer(head, C=Cs[best(search.cv_results_["mean_test_score"])]).fit(X, y)
        scores = chosen.decision_function(task.X[split.test])
        accuracies.append(score(task.y[split.test], scores, chosen.classes_))
    return accuracies


def peer_class(task: Task, c: int) -> None:
    """Fit one class of a label matrix with LinearSVC: every C and fold, and the last fit."""
    y = task.y[:, c]
    (split,) = task.splits
    metric = METRICS["map_11pt"].score
    table = np.empty((len(split.inner), len(C_VOC)))
    for i, (rows, held) in enumerate(split.inner):
        sure = rows[y[rows] != 0]
        for j, C in enumerate(C_VOC):
            one = LinearSVC(C=C, tol=ROUGH["svm"]).fit(task.X[sure], y[sure])
            scores = one.decision_function(task.X[held])
            table[i, j] = metric(y[held, None], scores[:, None], np.zeros(1, np.int64))
    sure = np.flatnonzero(y)
    LinearSVC(C=C_VOC[best(table.mean(0))]).fit(task.X[sure], y[sure])


def objective(head: str, fitted: Any, X: FloatArray, y: IntArray) -> float:
    """Return the objective over all classes, in float64."""
    ones = fitted.estimators_ if isinstance(fitted, OneVsRestClassifier) else [fitted]
    W = np.concatenate([one.coef_ for one in ones]).astype(np.float64)
    b, C = np.concatenate([one.intercept_ for one in ones]).astype(np.float64), ones[0].C
    scores = X.astype(np.float64) @ W.T + b
    own = y[:, None] == np.unique(y)
    if head == "svm":
        margins = np.where(own, scores, -scores)
        loss = np.square(np.maximum(0, 1 - margins)).sum()
        return float(0.5 * (np.square(W).sum() + np.square(b).sum()) + C * loss)
    top = scores.max(axis=1)
    normaliser = np.log(np.exp(scores - top[:, None]).sum(1)) + top
    return float(0.5 * np.square(W).sum() + C * (normaliser - scores[own]).sum())


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of an action and what it returned."""
    start = perf_counter()
    result = action()
    return perf_counter() - start, result


def row(what: str, ours_s: float, theirs_s: float, note: str = "") -> float:
    """Print a line of the table; return how many times as fast ours is."""
    shown = f"  ({note})" if note else ""
    speedup = theirs_s / ours_s
    print(f"{what:<44} {ours_s:9.2f} {theirs_s:10.2f} {speedup:7.1f}x{shown}", flush=True)
    return speedup


if __name__ == "__main__":
    main()
