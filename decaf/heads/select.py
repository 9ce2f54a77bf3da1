"""Choosing C inside each split's training rows, and the head refitted with it.

Nothing here reads a test row: a split's folds, its choice of C, its scaling of features and its
final fit see the rows of ``split.train`` only.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter
from torch import Tensor

from decaf.errors import DataError
from decaf.heads.designs import Samples, TrainingSet
from decaf.heads.estimators import LinearHead
from decaf.heads.features import UnusableRowsError, checked_rows, take_rows
from decaf.heads.scores import scores_of
from decaf.heads.targets import constant_columns
from decaf.types import FloatArray, IntArray, Scorer, Split, label_kind

Score = Callable[[IntArray, FloatArray, npt.NDArray[Any]], float]
"""``score(labels, scores, classes)``, as :class:`decaf.metrics.Metric` has it; more is better."""

Fold = tuple[IntArray, IntArray]
"""Row numbers to fit on and to validate on."""


@dataclass(frozen=True, eq=False)
class FittedSplit:
    """A head with its chosen C, fitted on all training rows of a split.

    Attributes
    ----------
    head : Scorer
        The fitted head; it takes features as they were given.
    C : float or None
        The value used; None for a head without C.
    c_at_edge : bool
        Whether C was chosen and fell on the first or last value of the grid.
    validation : numpy.ndarray
        Mean validation score of each value of the grid; empty where nothing was chosen.
    converged : bool
        Whether the final fit converged; True for a head that has nothing to converge.
    objective, gradient_norm : float
        Of the final fit; nan for a head without an objective.
    seconds : float
        Choice and final fit together.
    notes : tuple of str
        What is to be said beside.
    left_out : numpy.ndarray
        Columns of a label matrix that all training rows have or none has: no class to score.
    """

    head: Scorer
    C: float | None
    c_at_edge: bool
    validation: FloatArray
    converged: bool
    objective: float
    gradient_norm: float
    seconds: float
    notes: tuple[str, ...] = ()
    left_out: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return the head's scores.

        Raises
        ------
        DataError
            If features cannot be used.
        """
        try:
            return self.head.decision_function(X)
        except ValueError as error:
            raise DataError(f"cannot score rows with {self.head!r}: {error}") from error

    def scored(self, labels: IntArray) -> IntArray:
        """Return labels with the classes that are left out counted nowhere."""
        return without(labels, self.left_out)


def without(labels: IntArray, columns: IntArray) -> IntArray:
    """Return labels ``(n,)`` or ``(n, m)`` with some columns 0, which metrics do not count."""
    if not len(columns):
        return labels
    labels = labels.copy()
    labels[:, columns] = 0
    return labels


def fit_splits(
    head: Any,
    X: Any,
    y: IntArray,
    splits: Iterable[Split],
    *,
    c_values: tuple[Sequence[float], float],
    score: Score,
    standardize: bool = False,
    class_names: Sequence[str] = (),
) -> Iterator[FittedSplit]:
    """Yield, for each split, the head fitted on its training rows with the C its folds choose.

    Parameters
    ----------
    head : Head
        Unfitted head, an entry of :data:`decaf.heads.HEADS`; its C is replaced.
    X : array-like
        ``(n_images, n_features)`` features of all rows; a layer of a store will do.
    y : numpy.ndarray
        ``(n_images,)`` labels or ``(n_images, n_classes)`` of 1, -1 and 0.
    splits : iterable of Split
        Training rows and the folds within them.
    c_values : tuple
        Values of C to choose from, of which of equal scores the middle one is taken; and the C
        where a split has no folds to choose by. As `PublishedProtocol.c_values` gives them.
    score : callable
        ``score(labels, scores, classes) -> float``; more is better.
    standardize : bool
        Scale features to mean 0 and variance 1 over the rows fitted on.
    class_names : sequence of str
        What notes call the columns of a label matrix; their numbers by default.

    Yields
    ------
    FittedSplit
        The fitted head and what is to be said about it.

    Raises
    ------
    DataError
        If features or labels of a split cannot be used.
    """
    fit = _fit_linear if isinstance(head, LinearHead) else _fit_any
    for split in splits:
        began = time.perf_counter()
        rows = take_rows(X, split.train, head.memory_share)
        task = _Task(
            X=rows,
            y=y[split.train],
            folds=tuple(
                (np.searchsorted(split.train, fold), np.searchsorted(split.train, validation))
                for fold, validation in split.inner
            ),
            grid=tuple(sorted(c_values[0])) if split.inner else (c_values[1],),
            score=score,
            standardize=standardize,
        )
        try:
            with warnings.catch_warnings():
                # What did not converge is said in the result instead.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted, validation = fit(clone(head), task)
        except ValueError as error:
            said: ValueError = error
            if isinstance(error, UnusableRowsError):
                said = UnusableRowsError(split.train[error.rows], error.found)
            raise DataError(
                f"cannot fit {head!r} on the split of seed {split.seed}: {said}"
            ) from error
        yield _describe(fitted, validation, task, time.perf_counter() - began, class_names)


@dataclass(frozen=True, eq=False)
class _Task:
    """The training rows of a split, and how to choose C on them."""

    X: Any
    y: IntArray
    folds: tuple[Fold, ...]
    grid: tuple[float, ...]
    score: Score
    standardize: bool


def _fit_linear(head: LinearHead, task: _Task) -> tuple[LinearHead, FloatArray]:
    """Choose C and refit on designs that are parts of one."""
    X, y = checked_rows(head, task.X, task.y)
    samples, task = head.samples(X, standardize=task.standardize), replace(task, y=y)
    training, targets = samples.train(), head.encode(y)
    chosen, start = 0, None
    validation: FloatArray = np.empty(0)
    if len(task.grid) > 1:
        table, solutions = _validation_scores(head, samples, task)
        validation = _mean_over_folds(table)
        chosen = best(validation)
        start = training.lift(*solutions[chosen], targets.n_columns)
    C = task.grid[chosen]
    ((_, solution),) = head.solver(targets).path(training, targets, [C], start)
    return head.set_params(C=C).adopt(training, targets, solution), validation


def _fit_any(head: Any, task: _Task) -> tuple[Any, FloatArray]:
    """Choose C, where the head has one, and refit; the features of each fold are a copy."""
    everything = np.arange(len(task.y))
    if "C" not in head.get_params():
        return _fit_once(head, task), np.empty(0)
    validation: FloatArray = np.empty(0)
    if len(task.grid) > 1:
        table = [
            [
                task.score(
                    without(task.y[held_out], left_out),
                    one.decision_function(task.X[held_out]),
                    one.classes_,
                )
                for one in _fit_grid(head, task, rows, task.grid)
            ]
            for rows, held_out in task.folds
            for left_out in [np.flatnonzero(_constant(task.y[rows]))]
        ]
        validation = _mean_over_folds(table)
    C = task.grid[best(validation)] if len(validation) else task.grid[0]
    (fitted,) = _fit_grid(head, task, everything, [C])
    return fitted, validation


def _fit_once(head: Any, task: _Task) -> Any:
    """Fit a head without C, on all rows; one that watches validation rows gets the first fold's."""
    watched = has_fit_parameter(head, "validation") and task.folds
    extra = {"validation": task.folds[0][1]} if watched else {}
    if not task.standardize:
        return clone(head).fit(task.X, task.y, **extra)
    scaler = StandardScaler()
    return make_pipeline(scaler, clone(head).fit(scaler.fit_transform(task.X), task.y, **extra))


def _fit_grid(head: Any, task: _Task, rows: IntArray, grid: Sequence[float]) -> list[Any]:
    """Fit the head on some rows for each C."""
    X, y = task.X[rows], task.y[rows]
    scaler = StandardScaler().fit(X) if task.standardize else None
    X = X if scaler is None else scaler.transform(X)
    heads = head.fit_path(X, y, grid)
    return heads if scaler is None else [make_pipeline(scaler, fitted) for fitted in heads]


def _describe(
    head: Any, validation: FloatArray, task: _Task, seconds: float, class_names: Sequence[str]
) -> FittedSplit:
    last = head[-1] if isinstance(head, Pipeline) else head
    C, grid = last.get_params().get("C"), task.grid
    constant = _constant(task.y)
    return FittedSplit(
        head=head,
        C=C,
        c_at_edge=len(validation) > 0 and C in {grid[0], grid[-1]},
        validation=validation,
        converged=getattr(last, "converged_", True),
        objective=getattr(last, "objective_", float("nan")),
        gradient_norm=getattr(last, "gradient_norm_", float("nan")),
        seconds=seconds,
        notes=(*getattr(last, "notes_", ()), *_one_sided(constant, class_names)),
        left_out=np.flatnonzero(constant),
    )


def _constant(labels: IntArray) -> npt.NDArray[np.int8]:
    several = label_kind(labels) == "several"
    return constant_columns(labels) if several else np.empty(0, np.int8)


def _mean_over_folds(table: Any) -> FloatArray:
    """Return the mean over folds ``(n_values,)``; folds without a class to score do not count."""
    scored = np.asarray(table)[~np.isnan(table).all(1)]
    mean: FloatArray = scored.mean(0) if len(scored) else np.full(np.shape(table)[1], np.nan)
    return mean


def _one_sided(constant: npt.NDArray[np.int8], class_names: Sequence[str]) -> Iterator[str]:
    """Name the classes that nothing was learned of."""
    for value, held in ((-1, "no training row has"), (1, "all training rows have")):
        columns = np.flatnonzero(constant == value).tolist()
        if columns:
            names = [str(class_names[c] if len(class_names) else c) for c in columns[:8]]
            more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
            yield f"classes left out, as {held} them: {', '.join(names)}{more}"


def best(validation: FloatArray) -> int:
    """Return the index of the highest score, the middle one of equals; nan is never the highest.

    Few validation rows have few possible scores, and a choice in the middle of those that are as
    good is farther from where they fall off than the first or the last.
    """
    scores = np.where(np.isnan(validation), -np.inf, validation)
    ties = np.flatnonzero(scores == scores.max())
    return int(ties[(len(ties) - 1) // 2])


def _validation_scores(
    head: LinearHead, samples: Samples, task: _Task
) -> tuple[FloatArray, list[tuple[TrainingSet, Tensor]]]:
    """Return the score of each fold and value of C, and the solutions of the last fold.

    These, for each C its rows and coefficients, are a good start for a fit on all.
    """
    table = np.empty((len(task.folds), len(task.grid)))
    solutions: list[tuple[TrainingSet, Tensor]] = []
    for i, (fit, val) in enumerate(task.folds):
        training, targets = samples.train(fit), head.encode(task.y[fit])
        solutions = []
        path = head.solver(targets).path(training, targets, task.grid, rough=True)
        for j, (_, solution) in enumerate(path):
            solutions.append((training, solution.params))
            scores = training.scores(solution.params, val).cpu().numpy()
            flat = scores[:, 0] if scores.shape[1] == 1 else scores
            held_out = without(task.y[val], np.flatnonzero(targets.constant))
            table[i, j] = task.score(held_out, flat, targets.classes)
    return table, solutions


def held_out_scores(
    run: Callable[[Sequence[Split]], Iterable[FittedSplit]],
    X: Any,
    y: IntArray,
    inner: Sequence[tuple[IntArray, IntArray]],
    classes: IntArray,
) -> tuple[FloatArray, IntArray]:
    """Return the scores of training rows by heads that were not fitted on them.

    Parameters
    ----------
    run : callable
        Fits a head on the training rows of each split.
    X : array-like
        Features of all rows.
    y : numpy.ndarray
        Their labels.
    inner : sequence of (numpy.ndarray, numpy.ndarray)
        Rows to fit on, and rows to score.
    classes : numpy.ndarray
        Columns of the scores.

    Returns
    -------
    numpy.ndarray
        Scores, pair after pair of `inner`.
    numpy.ndarray
        Labels.
    """
    parts = zip(run([Split(fit, fit[:0], (), 0) for fit, _ in inner]), inner, strict=True)
    scores = [
        scores_of(part.decision_function(X[rows]), part.head.classes_, classes)
        for part, (_, rows) in parts
    ]
    return np.concatenate(scores), y[np.concatenate([rows for _, rows in inner])]
