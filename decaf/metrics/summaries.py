"""A measure over splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class Summary:
    """A measure over splits.

    Attributes
    ----------
    mean : float
        Mean.
    std : float
        Sample standard deviation (``ddof=1``); nan for one value.
    n : int
        Number of values.
    ci95_low, ci95_high : float
        Student's t interval of the mean; nan for one value. It covers the drawing of splits only,
        and too little of that: splits of one data set share images.
    """

    mean: float
    std: float
    n: int
    ci95_low: float
    ci95_high: float


def summary(values: Sequence[float]) -> Summary:
    """Return mean, deviation and 95 % interval of a measure over splits.

    Parameters
    ----------
    values : sequence of float
        One value per split, at least one.

    Returns
    -------
    Summary
        The values' summary.
    """
    n = len(values)
    mean = float(np.mean(values))
    if n == 1:
        return Summary(mean, float("nan"), 1, float("nan"), float("nan"))
    std = float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * std / n**0.5
    return Summary(mean, std, n, mean - half, mean + half)
