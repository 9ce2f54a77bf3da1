"""The published methods by name, with the constants of their authors' code."""

from collections.abc import Mapping
from dataclasses import replace

from decaf.choices import InvertMethod, MaximizeMethod
from decaf.errors import ConfigError
from decaf.insight.methods import AdaptiveSteps, Ascent, Method, Momentum, Phase


def invert_method(name: InvertMethod, depth: float, tv: float | None = None) -> Method:
    """Return a method for inverting a layer.

    Parameters
    ----------
    name : {"2015", "2016"}
        Mahendran and Vedaldi's.
    depth : float
        Share of the net's modules that a pass has gone through at the layer; in 2015 total
        variation weighs 1, 10 or 100 by it, as in the paper for CaffeNet's 20 layers.
    tv : float, optional
        Another weight of total variation.
    """
    if name == "2016":
        found: Momentum | AdaptiveSteps = _ADAPTIVE
    else:
        weight = 1.0 if depth <= 6 / 20 else 10.0 if depth <= 12 / 20 else 100.0
        rates = ((100, 0.004), (200, 0.0004), (100, 0.00004))
        found = Momentum(tuple(Phase(*one) for one in rates), tv=weight)
    return found if tv is None else replace(found, tv=tv)


_RATE = 0.05 * AdaptiveSteps.sigma**2 / AdaptiveSteps.alpha
_ADAPTIVE = AdaptiveSteps((Phase(300, _RATE, jitter=True), Phase(50, 0.1 * _RATE)))
_MAXIMIZE: Mapping[MaximizeMethod, Method] = {
    "2016": AdaptiveSteps((Phase(300, _RATE, jitter=True),), leak=0.05, relative=True),
    "yosinski-1": Ascent((Phase(500, 100.0),), blur=0.5, small_norm=0.5, gain=2.0),
    "yosinski-2": Ascent((Phase(750, 100.0),), decay=0.3, small_norm=0.2),
    "yosinski-3": Ascent((Phase(1000, 100.0),), decay=1e-4, blur=1.0),
    "yosinski-4": Ascent((Phase(1000, 1e8),), blur=0.5, small_gain=0.9, gain=2.0),
}


def maximize_method(name: MaximizeMethod, tv: float | None = None) -> Method:
    """Return a method for maximising a unit: Mahendran and Vedaldi's, or one of Yosinski's four.

    Parameters
    ----------
    name : {"2016", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4"}
        The numbers are the rows of Yosinski et al.'s table of published settings.
    tv : float, optional
        Another weight of total variation; of ``2016``.

    Raises
    ------
    ConfigError
        If a weight is given to a method that has none.
    """
    found = _MAXIMIZE[name]
    if tv is None:
        return found
    if not isinstance(found, AdaptiveSteps):
        raise ConfigError(f"{name} does not use tv, found {tv:g}; leave it out")
    return replace(found, tv=tv)
