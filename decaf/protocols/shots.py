"""How many training images a class a protocol can draw at most."""

from dataclasses import replace

import numpy as np

from decaf.errors import ConfigError
from decaf.protocols.draw import most_shots
from decaf.protocols.rule import PublishedProtocol
from decaf.types import ImageDataset, IntArray, Split


def require_shots(rule: PublishedProtocol, dataset: ImageDataset) -> None:
    """Refuse a number of training images that a class of a data set does not have.

    Raises
    ------
    ConfigError
        The message names the class, and the largest number that can be drawn of each.
    DataError
        If the protocol cannot draw from the data set at all.
    """
    asked = rule.train_per_class
    if asked is None or dataset.labels.ndim == 2 or rule.draw == "domains":
        return  # a rule of domains says itself what it lacks
    kept = [n for n, name in enumerate(dataset.class_names) if name not in rule.drop_classes]
    if rule.draw == "shots":
        rows, n = np.flatnonzero(np.isin(dataset.labels, kept)), rule.n_splits
        drawn = (rule.drawn(dataset, rows, index) for index in range(n))
        counts = [np.array(most_shots(one)) for one in drawn]
    else:
        splits = replace(rule, train_per_class=None).splits(dataset)
        counts = [trained(split, dataset) for split in splits]
    found = np.min(counts, axis=0)
    least = min(kept, key=lambda number: found[number])
    if 1 <= found[least] < asked:
        raise ConfigError(
            f"asked for {asked} training images a class, found that protocol {rule.name} leaves "
            f"{found[least]} of class '{dataset.class_names[least]}' of {dataset.name} to train; "
            f"ask for {found[least]} or fewer"
        )


def trained(split: Split, dataset: ImageDataset) -> IntArray:
    """Return how many images of each class ``(n_classes,)`` a split trains on."""
    return np.bincount(dataset.labels[split.train], minlength=len(dataset.class_names))
