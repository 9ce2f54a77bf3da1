"""Features of one domain made like another's: three adaptations, no labels of the target's.

Each is a transformer of scikit-learn's kind, whose `fit` and `transform` are told which rows are
of the target. Read coral.py, alignment.py and augmentation.py; `adapted` applies one to a split.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from decaf.choices import Adapt
from decaf.errors import ConfigError
from decaf.protocols import DomainProtocol, PatchFeatures, PublishedProtocol, ViewFeatures
from decaf.protocols.by_view import rows_of_views
from decaf.transfer.alignment import SubspaceAlignment
from decaf.transfer.augmentation import FeatureAugmentation
from decaf.transfer.coral import Coral
from decaf.transfer.two_domains import TwoDomains
from decaf.types import FloatArray, Split

__all__ = [
    "ADAPTATIONS",
    "Coral",
    "FeatureAugmentation",
    "SubspaceAlignment",
    "adapted",
    "refuse_unadaptable",
    "what_was_read",
]

ADAPTATIONS: dict[Adapt, Callable[[], TwoDomains]] = {
    "coral": Coral,
    "sa": SubspaceAlignment,
    "daume": FeatureAugmentation,
}
"""By the words of ``--adapt``, but for ``none``."""


def adapted(
    features: ViewFeatures | PatchFeatures,
    rule: PublishedProtocol,
    split: Split,
    domains: Sequence[str] | None,
) -> ViewFeatures | PatchFeatures:
    """Return features that a rule's adaptation was fitted on, and applied to, for one split.

    Parameters
    ----------
    features : ViewFeatures or PatchFeatures
        All rows of a data set, as the protocol uses them.
    rule : PublishedProtocol
        Says which adaptation, if any.
    split : Split
        The images that train and test; of the test images only the features are read.
    domains : sequence of str or None
        The domain of each image.

    Returns
    -------
    ViewFeatures or PatchFeatures
        The same, or new features, which are 0 for images outside of the split.
    """
    adapt = _adapt(rule)
    if adapt == "none" or isinstance(features, PatchFeatures) or domains is None:
        return features
    images, model = np.concatenate([split.train, split.test]), ADAPTATIONS[adapt]()
    target = np.array(list(domains))[images] == rule.domains[1]  # type: ignore[attr-defined] # one that adapts has them
    rows = rows_of_views(images, features.n_train)
    model.fit(features.train[rows], target=np.repeat(target, features.n_train))

    def whole(X: FloatArray, n_views: int) -> FloatArray:
        rows = rows_of_views(images, n_views)
        made = model.transform(X[rows], target=np.repeat(target, n_views))
        new = np.zeros((len(X), made.shape[1]), np.float32)
        new[rows] = made
        return new

    train = whole(features.train, features.n_train)
    same = features.test is features.train
    test = train if same else whole(features.test, features.n_test)
    return replace(features, train=train, test=test)


def refuse_unadaptable(heads: Sequence[str], rules: Sequence[PublishedProtocol]) -> None:
    """Refuse to adapt what is no stored feature of an image.

    Raises
    ------
    ConfigError
        If the net itself is trained, or patches are.
    """
    for rule in rules:
        if _adapt(rule) != "none" and ("finetune" in heads or rule.patches is not None):
            what = "the head finetune" if "finetune" in heads else f"view {rule.view}"
            raise ConfigError(
                f"asked to adapt features by {_adapt(rule)}, which {what} cannot; leave one out"
            )


def what_was_read(rule: PublishedProtocol) -> tuple[str, ...]:
    """Say where an adaptation reads the test images."""
    adapt = _adapt(rule)
    if adapt == "none" or not ADAPTATIONS[adapt]().transductive:
        return ()
    return (f"{adapt} read the test images, without their labels",)


def _adapt(rule: PublishedProtocol) -> Adapt:
    return rule.adapt if isinstance(rule, DomainProtocol) else "none"
