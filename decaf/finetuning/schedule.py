"""The learning rate over a run."""

import math

from decaf.finetuning.recipe import Recipe

_STEPS = (1 / 3, 2 / 3, 8 / 9)  # of ResNet's 90 epochs: 30, 60, 80 (He et al., CVPR 2016)


def rate_factor(recipe: Recipe, part: float) -> float:
    """Return the share of the highest rate at a part of the run.

    Parameters
    ----------
    recipe : Recipe
        Says which schedule, and how much of the run warms up.
    part : float
        Steps done over steps in all, from 0 to 1.

    Returns
    -------
    float
        From 0 to 1.
    """
    if part < recipe.warmup:
        return part / recipe.warmup
    if recipe.schedule == "step":
        return float(0.1 ** sum(part >= step for step in _STEPS))
    done = (part - recipe.warmup) / (1 - recipe.warmup)
    return (1 + math.cos(math.pi * done)) / 2
