"""A protocol as data: one frozen record whose fields are what published protocols differ in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from decaf.choices import Box, ClassWeights, Normalize, PatchPool, ViewName
from decaf.errors import ConfigError, DataError
from decaf.protocols.c_grid import scaled_grid
from decaf.protocols.checks import check_above_0, check_count, check_share
from decaf.protocols.draw import (
    Strata,
    all_folds,
    deal_shots,
    folds,
    hold_out,
    joined,
    low_shot,
    most_shots,
    require,
    strata,
)
from decaf.protocols.sides import TEST, TRAIN, VAL, refuse_broken_groups, sides
from decaf.types import OF_KIND, FloatArray, ImageDataset, IntArray, PatchRule, Split

Draw = Literal["shots", "holdout", "kfold", "official", "lowshot", "domains"]


@dataclass(frozen=True)
class Selection:
    """How C is chosen, inside the training rows only.

    Attributes
    ----------
    kind : str
        ``"holdout"``: a share of each class's training rows; ``"kfold"``: cross-validation;
        ``"official"``: the data set's own validation side; ``"fixed"``: C is given; ``"test"``: on
        the test rows, which flatters the result and is here for comparison only.
    share : float
        Share of each class's training rows held out, at least one row (``"holdout"``).
    folds : int
        Number of folds (``"kfold"``).
    """

    kind: Literal["holdout", "kfold", "official", "fixed", "test"]
    share: float = 0.0
    folds: int = 0

    def __post_init__(self) -> None:
        if self.kind == "holdout":
            check_share(share=self.share, ends=False)
        if self.kind == "kfold":
            check_count(2, folds=self.folds)


@dataclass(frozen=True)
class PublishedProtocol:
    """A rule that makes splits, chooses C and names the metric.

    The winner of the choice of C is always refitted on all training rows.

    Attributes
    ----------
    name : str
        Name of the protocol, for instance ``"decaf"``.
    draw : str
        ``"shots"``: a fixed number of rows a class; ``"holdout"``: a share of each class is the
        test; ``"kfold"``: each fold is the test once; ``"official"``: the data set's own split,
        or splits, trained on train and validation side together; ``"lowshot"``: so many positives
        and 19 times as many negatives of the official training rows, for each class by itself;
        ``"domains"``: see :mod:`decaf.protocols.by_domain`.
    n_splits : int
        Number of splits; of folds for ``"kfold"``.
    metric : str
        Headline metric, a key of :data:`decaf.metrics.METRICS`.
    selection : Selection
        How C is chosen.
    source : str
        Where the rule is published; empty for decaf's own.
    train_per_class : int or None
        Training rows a class; None takes all.
    train_share : float or None
        Share of each class's training rows that trains, of several labels of all; None takes all.
    test_per_class : int or None
        At most so many test rows a class; None takes all the rest.
    test_share : float
        Share of each class that is the test (``"holdout"``).
    drop_classes : tuple of str
        Classes that neither train nor test, for instance a background class.
    c_grid : tuple of float or None
        Values of C to choose from, ascending; None for decades that follow the features' scale,
        see :meth:`c_values`.
    normalize : str
        ``none``, ``l2`` (each row), ``standard`` (mean and variance of training rows) or
        ``signed-square`` (each value times its magnitude, then l2).
    view, box : str
        View, or views, of each image; of whole ones (``"none"``) or of their boxes (``"crop"``).
    box_scale : float
        With ``"crop"``, factor for a box's width and height about its centre.
    patches : PatchRule or None
        With views of patches, which ones; these train as separate rows.
    background_share : float
        With patches, share of the training images' background patches that train, at random.
    patch_power : float
        Power of a patch's probability of a class in the image's score.
    patch_pool : str
        An image's score is the ``"mean"`` of its patches' powers, or their ``"max"``.
    train_views : str
        Several views of an image train as ``"separate"`` rows, or their ``"mean"`` does.
    test_views : str
        An image's score is that of its views' ``"mean"``, or the ``"sum"`` of their scores.
    class_weight : str
        ``"balanced"``: each class weighs as much as any other in the loss; or ``"none"``.
    positive_weight : float
        Weight of positives in the loss, where images have several labels.
    ignored_are_negative : bool
        Whether label 0 trains as -1; else it is left out.
    seed : int
        Split ``i`` is drawn from ``(seed, i)``; see :meth:`splits`.
    n_images : int or None
        Images of the published data set.
    published_shots : tuple of int
        Training rows a class for which figures are published.
    notes : tuple of str
        Where decaf had to decide, because the publication does not say.
    """

    name: str
    draw: Draw
    n_splits: int
    metric: str
    selection: Selection
    source: str = ""
    train_per_class: int | None = None
    train_share: float | None = None
    test_per_class: int | None = None
    test_share: float = 0.2
    drop_classes: tuple[str, ...] = ()
    c_grid: tuple[float, ...] | None = None
    normalize: Normalize = "none"
    view: ViewName = "center"
    box: Box = "none"
    box_scale: float = 1.5
    patches: PatchRule | None = None
    background_share: float = 0.1
    patch_power: float = 5.0
    patch_pool: PatchPool = "mean"
    train_views: Literal["separate", "mean"] = "mean"
    test_views: Literal["sum", "mean"] = "mean"
    class_weight: ClassWeights = "none"
    positive_weight: float = 1.0
    ignored_are_negative: bool = False
    seed: int = 0
    n_images: int | None = None
    published_shots: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.n_splits < (2 if self.draw == "kfold" else 1):
            raise ConfigError(f"{self.n_splits} splits asked of protocol {self.name}; ask for more")
        if self.train_per_class is not None and self.train_per_class < 1:
            raise ConfigError(f"{self.train_per_class} to train a class; ask for 1 or more")
        fixed = None if self.draw == "lowshot" and self.train_share else self.train_per_class
        if self.draw in {"shots", "lowshot"} and fixed is None:
            raise ConfigError(f"protocol {self.name} draws a number of images a class; give it")
        grid = self.c_grid
        if grid is not None and (
            not grid or min(grid) <= 0 or tuple(sorted(grid)) != grid or not np.isfinite(grid).all()
        ):
            raise ConfigError(f"C grid {grid}; give values above 0, in ascending order")
        if self.selection.kind == "fixed" and (grid is None or len(grid) != 1):
            raise ConfigError(f"protocol {self.name} does not choose C; give one value")
        self._check_ranges()

    def _check_ranges(self) -> None:
        counts = {"n_splits": self.n_splits, "test_per_class": self.test_per_class}
        counts |= {"train_per_class": self.train_per_class}
        check_count(1, **{name: n for name, n in counts.items() if n is not None})
        share = 1.0 if self.train_share is None else self.train_share
        check_count(0, seed=self.seed)
        check_share(test_share=self.test_share, ends=False)
        check_share(background_share=self.background_share, train_share=share)
        check_above_0(
            train_share=share,
            box_scale=self.box_scale,
            patch_power=self.patch_power,
            positive_weight=self.positive_weight,
        )

    def c_values(self, X: FloatArray, rows: IntArray) -> tuple[tuple[float, ...], float]:
        """Return the values of C to choose from, and the C for where none can be chosen.

        Parameters
        ----------
        X, rows : numpy.ndarray
            Features and training rows, as for `decaf.protocols.c_grid.scaled_grid`.

        Returns
        -------
        tuple of float
            The grid, ascending.
        float
            The C to use where the training rows leave nothing to hold out, as with one shot.
        """
        if self.c_grid is not None:
            return self.c_grid, self.c_grid[len(self.c_grid) // 2]
        return scaled_grid(X, rows, self.normalize)

    def splits(
        self, dataset: ImageDataset, usable: npt.NDArray[np.bool_] | None = None
    ) -> Iterator[Split]:
        """Yield the protocol's splits.

        Split ``i`` is drawn with ``rng = numpy.random.default_rng([seed, i])``, whose numpy
        ``SeedSequence`` makes splits of neighbouring seeds differ: for each class in order of
        number, ``rng.permutation`` of its usable rows in ascending order. The first
        `train_per_class` rows of that order train, the next `test_per_class` test; with
        ``"holdout"`` the last share of it tests; with ``"kfold"`` every fold uses
        ``default_rng(seed)`` and row ``j`` of class ``c`` tests in fold ``(j + c) % n_splits``.
        The validation rows are the last of each class's training rows. Rows with several labels
        are drawn as if of one class, and dealt out by labels, see `decaf.protocols.draw.spread`.

        Where the data set has groups, these are shuffled after the rows, and a group is on one
        side of each split, and of each choice of C. Shares and folds are dealt out group by group
        (`spread`); shots are rows of the groups drawn first, see
        :func:`decaf.protocols.draw.deal_shots`. Every class trains; one may be missing from a
        test side, if its groups hold other classes too.

        Parameters
        ----------
        dataset : ImageDataset
            The table whose row numbers the splits hold.
        usable : numpy.ndarray or None
            ``(n_images,)`` bool; other rows are left out before anything is drawn.

        Yields
        ------
        Split
            Sorted row numbers; `seed` is the protocol's, or the official split's number, from 1.

        Raises
        ------
        ConfigError
            If the protocol does not fit the data set.
        DataError
            If a class has too few usable images or groups, or an official split breaks a group.
        """
        for index in range(self.n_splits):
            yield self._split(dataset, self._rows(dataset, usable), index)

    @property
    def shots(self) -> int | None:
        """Training rows a class, where that is what is fixed."""
        return None if self.train_share is not None else self.train_per_class

    def drawn(self, dataset: ImageDataset, rows: IntArray, index: int) -> Strata:
        """Return rows of a data set in the order in which split `index` draws them."""
        seeds = [self.seed] if self.draw == "kfold" else [self.seed, index]
        return strata(dataset, rows, np.random.default_rng(seeds))

    def training_seed(self, index: int) -> int:
        """Return the seed of what is drawn while a head, or a net, trains on a split.

        Parameters
        ----------
        index : int
            Number of the split, from 0.

        Returns
        -------
        int
            From 0 to 2**32 - 1; another for each seed and split.
        """
        return int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])

    def _dropped(self, dataset: ImageDataset) -> list[int]:
        unknown = [name for name in self.drop_classes if name not in dataset.class_names]
        if unknown:
            raise ConfigError(
                f"protocol {self.name} drops class '{unknown[0]}', which {dataset.name} does not "
                "have; use another protocol or drop no class"
            )
        n_kept = len(dataset.class_names) - len(set(self.drop_classes))
        if n_kept < 2 and dataset.label_kind != "number":
            raise ConfigError(
                f"protocol {self.name} drops {', '.join(self.drop_classes)} of the "
                f"{len(dataset.class_names)} classes of {dataset.name}; keep two or more"
            )
        by_class = self.drop_classes or (self.train_per_class and self.draw != "lowshot")
        if dataset.labels.ndim == 2 and by_class:
            raise ConfigError(
                f"{dataset.name} has {OF_KIND[dataset.label_kind]}, so that {self.name} cannot "
                "draw or drop by class; use its official split, holdout or kfold"
            )
        return [dataset.class_names.index(name) for name in self.drop_classes]

    def _rows(self, dataset: ImageDataset, usable: npt.NDArray[np.bool_] | None) -> IntArray:
        dropped = self._dropped(dataset)
        keep = np.ones(len(dataset.image_ids), np.bool_) if usable is None else usable
        return np.flatnonzero(keep & ~np.isin(dataset.labels, dropped) if dropped else keep)

    def _split(self, dataset: ImageDataset, rows: IntArray, index: int) -> Split:
        if self.draw in {"official", "lowshot"}:
            split = self._official(dataset, rows, index if self.draw == "official" else 0)
            return self._relabelled(dataset, split, index)
        drawn = self.drawn(dataset, rows, index)
        self._require(dataset, drawn)
        if self.draw == "shots" and self.train_per_class is not None:
            train, rest = deal_shots(drawn, self.train_per_class)
            test = joined(rest.first(self.test_per_class).classes)
            return self._with_inner(train, test, self.seed)
        if self.draw == "holdout":
            pairs = list(hold_out(drawn, self.test_share))
        else:
            pairs = all_folds(drawn, self.n_splits)[index : index + 1]
        if not sum(len(test) for _, test in pairs):
            raise DataError(
                f"protocol {self.name} finds nothing to test in {dataset.name}: each image, or "
                "group, has a label of its own, which must train; add images"
            )
        outside, test = pairs[0]
        return self._with_inner(drawn.only(outside), test, self.seed)

    def _require(self, dataset: ImageDataset, drawn: Strata) -> None:
        """Refuse what cannot be drawn."""
        one, many = ("one", "images") if drawn.groups is None else ("a group", "groups of images")
        if self.draw == "shots":
            n, counts = self.train_per_class or 0, most_shots(drawn)
            what = f" with {n} to train needs {n} usable images, beside {one} to test,"
        elif self.draw == "holdout":
            n, counts, what = 2, drawn.counts, f" needs 2 usable {many}"
        else:
            n, counts = self.n_splits, drawn.counts
            what = f" with {n} folds needs {n} usable {many}"
        require(dataset, counts, self._dropped(dataset), n, f"protocol {self.name}{what}")

    def _official(self, dataset: ImageDataset, rows: IntArray, index: int) -> Split:
        if dataset.official is None or index >= dataset.official.shape[1]:
            found = 0 if dataset.official is None else dataset.official.shape[1]
            raise ConfigError(
                f"protocol {self.name} asked for official split {index + 1} of {dataset.name}, "
                f"which has {found}; use another protocol or fewer splits"
            )
        side = dataset.official[rows, index]
        train_sides, test_side = sides(dataset, index)
        rng = np.random.default_rng([self.seed, index])
        train = strata(dataset, rows[np.isin(side, train_sides)], rng)
        test = rows[side == test_side]
        if not len(test) or not len(train.rows):
            raise DataError(
                f"official split {index + 1} of {dataset.name} has {len(train.rows)} usable "
                f"images to train and {len(test)} to test; both sides must have some"
            )
        refuse_broken_groups(dataset, f"official split {index + 1}", train.rows, test)
        if dataset.labels.ndim == 1:
            untrained = np.setdiff1d(dataset.labels[test], dataset.labels[train.rows])
            if len(untrained):
                raise DataError(
                    f"class '{dataset.class_names[untrained[0]]}' of {dataset.name} has images "
                    "to test but none to train; add some or remove the class"
                )
        if self.selection.kind == "official" and test_side == TEST and VAL in side:
            fit, held_out = rows[side == TRAIN], rows[side == VAL]
            refuse_broken_groups(dataset, "the official validation side", fit, held_out)
            kept = joined(train.share(self.train_share).classes)
            pair = np.intersect1d(fit, kept), np.intersect1d(held_out, kept)
            return Split(kept, test, (pair,) if len(pair[0]) and len(pair[1]) else (), index + 1)
        return self._with_inner(train, test, index + 1)

    def _relabelled(self, dataset: ImageDataset, split: Split, index: int) -> Split:
        """Return an official split with the labels that it trains on, where these are others."""
        if self.draw == "lowshot" and self.train_per_class is not None:
            rng = np.random.default_rng([self.seed, index])
            drawn = low_shot(dataset, split.train, self.train_per_class, rng)
            train = np.flatnonzero(drawn.any(axis=1))
            shots = self.train_per_class
            return Split(train, split.test, (), self.seed, shots, drawn[train])
        if self.ignored_are_negative:
            labels = dataset.labels[split.train]
            return replace(split, labels=np.where(labels == 0, -1, labels).astype(labels.dtype))
        return split

    def _with_inner(self, train: Strata, test: IntArray, seed: int) -> Split:
        if self.draw not in {"shots", "lowshot", "domains"}:
            train = train.first(self.train_per_class)
        train = train.share(self.train_share)
        match self.selection.kind:
            case "holdout":
                inner = hold_out(train, self.selection.share)
            case "kfold":
                inner = folds(train, self.selection.folds)
            case "fixed" | "test":
                inner = ()
            case "official":
                why = "chooses C on the official validation side, but the data set has none beside"
                raise DataError(f"protocol {self.name} {why} its test side; use another protocol")
        return Split(joined(train.classes), test, inner, seed, self.shots)
