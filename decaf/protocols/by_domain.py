"""Protocols that train in one domain and test in another.

Of the target domain's images of each class the first `train_per_class` are labelled, for those
who train on them, and all the rest test: the same for S, T and ST, so that these can be compared.
Where the data set has groups, a share of the target's groups tests, and no image of these, of
either domain, trains.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast, get_args

import numpy as np

from decaf.choices import Adapt, TrainOn, check_choice
from decaf.errors import ConfigError, DataError
from decaf.progress import log
from decaf.protocols.draw import Strata, hold_out, joined, require
from decaf.protocols.rule import PublishedProtocol
from decaf.records import Overrides, words
from decaf.types import ImageDataset, IntArray, Split

_MAKES_SENSE: dict[str, tuple[str, ...]] = {
    "none": ("S", "T", "ST"),
    "coral": ("S", "ST"),
    "sa": ("S", "ST"),
    "daume": ("ST",),
}
"""What each adaptation is for: all of them need a source, Daume's labelled rows of both."""


@dataclass(frozen=True)
class DomainProtocol(PublishedProtocol):
    """A rule that trains in one domain and tests in another.

    Its `train_per_class` are labelled rows of the target, none if it is None; its `test_share` is
    that of the target's groups, where there are such.

    Attributes
    ----------
    offers : tuple of str
        What can be trained on; what is, if nothing is said.
    source_per_class : tuple of (str, int)
        Source rows a class by the name of the domain, ``""`` for any other; a class that has fewer
        trains on all. Empty: all rows.
    domains : tuple of str
        Source and target; empty where they are not known yet.
    train_on : str
        ``"S"``: source rows; ``"T"``: labelled target rows; ``"ST"``: both.
    adapt : str
        How source features become like the target's; see :mod:`decaf.transfer`.
    """

    offers: tuple[TrainOn, ...] = ("S",)
    source_per_class: tuple[tuple[str, int], ...] = ()
    domains: tuple[str, ...] = ()
    train_on: TrainOn = "S"
    adapt: Adapt = "none"

    def _split(self, dataset: ImageDataset, rows: IntArray, index: int) -> Split:
        of = _domains(dataset, self)
        drawn = self.drawn(dataset, rows, index)
        source, target = (drawn.only(rows[of[rows] == domain]) for domain in self.domains)
        dropped = self._dropped(dataset)
        kept, source, test = self._sides(dataset, source, target, dropped)
        here = f"protocol {self.name} needs an image to train in {self.domains[0]}, of"
        require(dataset, [len(one) for one in source.classes], dropped, 1, here)
        by_name = dict(self.source_per_class)
        source = source.first(by_name.get(self.domains[0], by_name.get("")))
        parts = {"S": [source], "T": [kept], "ST": [source, kept]}[self.train_on]
        train = drawn.only(np.concatenate([part.rows for part in parts]))
        return self._with_inner(train, test, self.seed)

    def _sides(
        self, dataset: ImageDataset, source: Strata, target: Strata, dropped: list[int]
    ) -> tuple[Strata, Strata, IntArray]:
        """Return the labelled target rows, the source rows that may train, and the test rows."""
        n = self.train_per_class or 0
        if target.groups is None:
            needs = f"protocol {self.name} needs {n} labelled images of {self.domains[1]}, and one"
            counts = [len(one) for one in target.classes]
            require(dataset, counts, dropped, n + 1, f"{needs} to test,")
            test = joined([one[n:] for one in target.classes])
            return target.first(n), source, test
        pairs = hold_out(target, self.test_share)
        if not pairs:
            raise DataError(f"no group of {self.domains[1]} in {dataset.name} can test; add groups")
        ((outside, test),) = pairs
        kept, groups = target.only(outside), target.groups
        needs = f"protocol {self.name} needs {n} labelled images of {self.domains[1]} that train,"
        require(dataset, [len(one) for one in kept.classes], dropped, n, needs)
        apart = source.rows[~np.isin(groups[source.rows], groups[test])]
        return kept.first(n), source.only(apart), test


def domain_pair(dataset: ImageDataset, asked: str) -> tuple[str, str]:
    """Return the two domains that ``"SOURCE:TARGET"`` names.

    Raises
    ------
    ConfigError
        If it does not, or the data set does not have them.
    """
    source, _, target = asked.partition(":")
    known = list(dict.fromkeys(dataset.domains or ()))
    if source == target or not {source, target} <= set(known):
        found = ", ".join(known) or "none"
        raise ConfigError(
            f"asked for the domains {asked!r} of {dataset.name}, found {found}; give two of them "
            "as SOURCE:TARGET"
        )
    return source, target


def domain_rules(
    rule: PublishedProtocol, dataset: ImageDataset, overrides: Overrides, domains: str | None
) -> list[PublishedProtocol]:
    """Return a rule once for all that it is asked to train on and each adaptation.

    Parameters
    ----------
    rule : PublishedProtocol
        The protocol.
    dataset : ImageDataset
        The data set to evaluate on.
    overrides : Overrides
        What to train on, and the adaptations.
    domains : str or None
        ``"SOURCE:TARGET"``.

    Returns
    -------
    list of PublishedProtocol
        The rule itself where it is not one of domains.

    Raises
    ------
    ConfigError
        If what is asked makes no sense.
    """
    asked = {"domains": domains, "train_on": overrides.train_on, "adapt": overrides.adapt}
    if not isinstance(rule, DomainProtocol):
        for name, value in asked.items():
            if value is not None:
                raise ConfigError(
                    f"protocol {rule.name} does not use {name}, found {value!r}; choose "
                    "office-sampled or office-full, or leave it out"
                )
        return [rule]
    if domains is not None:
        rule = replace(rule, domains=domain_pair(dataset, domains))
    _domains(dataset, rule)
    if rule.n_splits > 1 and dataset.groups is None and not rule.source_per_class:
        raise ConfigError(
            f"asked for {rule.n_splits} splits, found that protocol {rule.name} takes all images, "
            "so that all splits are the same; ask for one, or part groups with group_by"
        )
    return list(_combined(rule, words(overrides.train_on), words(overrides.adapt) or ("none",)))


def _combined(
    rule: DomainProtocol, train_on: tuple[str, ...], adapts: tuple[str, ...]
) -> Iterator[DomainProtocol]:
    for one in train_on:
        check_choice("train_on", one, rule.offers)
    rules = []
    for adapt in adapts:
        check_choice("adapt", adapt, get_args(Adapt))
        found = [one for one in train_on or rule.offers if one in _MAKES_SENSE[adapt]]
        if not found:
            raise ConfigError(
                f"asked to adapt by {adapt}, which trains on {' or '.join(_MAKES_SENSE[adapt])}, "
                f"found {', '.join(train_on or rule.offers)}; give another train_on or adapt"
            )
        rules += [
            replace(rule, train_on=cast("TrainOn", one), adapt=cast("Adapt", adapt))
            for one in found
        ]
        for one in set(train_on) - set(found):
            log(f"{adapt} makes no sense of what trains on {one} alone; that is left out")
    yield from sorted(rules, key=lambda one: rule.offers.index(one.train_on))


def _domains(
    dataset: ImageDataset, rule: DomainProtocol
) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """Return the domain of each row, where rule and data set fit."""
    if dataset.domains is None or not rule.domains:
        known = ", ".join(dict.fromkeys(dataset.domains or ())) or "none"
        raise ConfigError(
            f"protocol {rule.name} trains in one domain and tests in another, found the domains "
            f"{known} in {dataset.name}; give SOURCE:TARGET with --domains"
        )
    return np.array(list(dataset.domains))
