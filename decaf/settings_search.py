"""A nested search of settings: `tune` chooses inside each split's training rows.

Test rows are scored once, by the setting that the split's own training rows chose: so what is
reported is what the choice is worth, its luck not counted.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from decaf._version import __version__
from decaf.cells import labels_to_train, new_head
from decaf.device import find_device
from decaf.errors import ConfigError
from decaf.evaluation import rules_of
from decaf.extraction import extract_table, load_nets, source_table, view_of
from decaf.heads import EVERY_HEAD, HEADS, NUMBER_HEADS, FittedSplit, fit_splits
from decaf.heads.select import best
from decaf.metrics import METRICS
from decaf.progress import log, show_progress
from decaf.protocols import PublishedProtocol, default_protocol, kept_splits
from decaf.records import Compute, Net, Overrides, Source, Space, takes_records
from decaf.results import ChosenSetting, SearchTable
from decaf.results.identity import digest_of, split_digest
from decaf.setting_space import EXHAUSTIVE, SHARES, Setting, fewer_rows, halved, read_space, tried
from decaf.store import FeatureStore
from decaf.stored_images import StoredImages, refuse_for_store, store_at, stored_view
from decaf.transfer import adapted
from decaf.types import ImageDataset, Split
from decaf.whole_files import append_line, require_output

_UNUSED = {"controls", "keep_scores", "metrics", "recipe"}
"""Overrides that a search has no use for."""


@takes_records
def tune(
    data: str | Path | ImageDataset,
    net: Net = Net(),
    *,
    space: Space = Space(),
    protocol: str | None = None,
    overrides: Overrides = Overrides(),
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path | None = None,
) -> SearchTable:
    """Search layers, poolings, normalisations and heads, inside each split's training rows.

    Up to 200 settings are all tried; of more, `Space.trials` are drawn, tried on a quarter of the
    training rows, the better half of them on a half, and the better half of these on all. C is
    chosen with every trial. What is tried is kept in a journal of JSON lines beside the table, so
    that a run that was stopped goes on where it was.

    Parameters
    ----------
    data : str, pathlib.Path or ImageDataset
        A data set as `decaf.extract` takes it, or a store, which has one pooling.
    net : Net
        The net; its layers and pooling count where the space does not name any.
    space : Space
        What is searched.
    protocol : str, optional
        Name of a protocol that chooses C; the data set's default if not given.
    overrides : Overrides
        What replaces the protocol's fields.
    source : Source
        Which images of a data set.
    compute : Compute
        Where and how features are extracted and heads trained.
    out : str or pathlib.Path, optional
        CSV file of the settings; ``results/<data set>-tune.csv`` if not given. The splits stand in
        ``NAME-splits.csv``, the journal is ``NAME.jsonl``.

    Returns
    -------
    SearchTable
        What each setting scored inside, and what each split's choice scored outside.

    Raises
    ------
    ConfigError
        If an option is wrong, or the protocol has no rows to choose by.
    DataError
        If the data set is missing or malformed, or a class has too few images.
    BackboneError
        If the net, its weights or a layer is not usable.
    StoreError
        If the store cannot be read or written.
    """
    if out is not None:
        require_output(Path(out), ".csv")
    for name in sorted(_UNUSED & overrides.given().keys()):
        raise ConfigError(f"a search does not use {name}; leave it out")
    find_device(compute.device)
    path, offered, pools = store_at(data), net.layer_names, (net.pool,)
    if path is None:
        table = source_table(data, source)
    else:
        refuse_for_store(path, net, source)
        with FeatureStore(path) as store:
            table = store.image_table()
            overrides = replace(overrides, view=stored_view(store, overrides.view))
            offered, pools = offered or store.layers, (store.provenance.pooling,)
    file = Path("results") / f"{table.name}-tune.csv" if out is None else Path(out)
    require_output(file, ".csv")
    rule = _rule(table, protocol, overrides, source)
    nets = load_nets(net, compute.device) if path is None else []
    heads = list(NUMBER_HEADS if table.label_kind == "number" else HEADS)
    defaults = {
        "layer": offered or nets[0].default_layers,
        "pool": pools,
        "normalize": (rule.normalize,),
    }
    whole = read_space(space.space, defaults, heads)
    settings = tried(whole, space.trials, rule.seed)
    if path is not None:
        _refuse_unstored(settings, path, offered, pools[0])
    stores = {} if path is None else {pools[0]: path}
    for pool, layers in _layers_by_pool(settings).items() if nets else ():
        asked, view = replace(net, layers=layers, pool=pool), view_of(rule)
        stores[pool] = extract_table(table, nets, asked, view, source=source, compute=compute)
    with ExitStack() as opened:
        found = {pool: opened.enter_context(FeatureStore(one)) for pool, one in stores.items()}
        splits = None if overrides.splits_file is None else Path(overrides.splits_file)
        search = _NestedSearch(table, rule, found, compute, file.with_suffix(".jsonl"), splits)
        result = search.run(settings, n_space=len(whole))
    result.to_csv(file)
    return result


def _rule(
    table: ImageDataset, protocol: str | None, overrides: Overrides, source: Source
) -> PublishedProtocol:
    """Return the one rule that a search is made under."""
    rules = rules_of(table, protocol or default_protocol(table).name, overrides, source.domains)
    if len(rules) > 1:
        raise ConfigError(
            f"asked to tune under {len(rules)} rules of protocol {rules[0].name}; give one number "
            "of training images a class, and one train_on and adapt"
        )
    (rule,) = rules
    if rule.selection.kind in {"fixed", "test"} or rule.patches is not None:
        raise ConfigError(
            f"protocol {rule.name} holds out no training images to choose settings by, or is of "
            "patches; choose another, such as holdout or kfold"
        )
    return rule


def _layers_by_pool(settings: Sequence[Setting]) -> dict[str, tuple[str, ...]]:
    pools = dict.fromkeys(one.pool for one in settings)
    return {
        pool: tuple(dict.fromkeys(one.layer for one in settings if one.pool == pool))
        for pool in pools
    }


def _refuse_unstored(
    settings: Sequence[Setting], path: Path, layers: Sequence[str], pool: str
) -> None:
    for one in settings:
        if one.pool != pool or one.layer not in layers:
            raise ConfigError(
                f"asked for {one} of the store {path}, which holds the layers {', '.join(layers)} "
                f"with pool {pool}; give these, or the data set"
            )


@dataclass
class _NestedSearch:
    """A search over stored features, with what is known of it."""

    table: ImageDataset
    rule: PublishedProtocol
    stores: Mapping[str, FeatureStore]
    compute: Compute
    journal: Path
    splits_file: Path | None = None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._features = lru_cache(maxsize=1)(self._read_features)  # two need not fit into memory

    def run(self, settings: Sequence[Setting], *, n_space: int) -> SearchTable:
        """Choose in each split, and score each choice once."""
        images = [StoredImages(self.table, store, self.rule) for store in self.stores.values()]
        done = np.logical_and.reduce([one.done for one in images])
        (splits,) = kept_splits([self.rule], self.table, done, self.splits_file)
        self._read_journal()
        shares = SHARES if n_space > EXHAUSTIVE else (1.0,)
        with show_progress(
            "searching", self._n_trials(len(settings), len(shares)) * len(splits), "trials",
            quiet=self.compute.quiet,
        ) as advance:  # fmt: skip

            def score(setting: Setting, number: int, share: float) -> float:
                split = fewer_rows(splits[number], self.table.labels, share)
                found = self._inner(setting, number, split)
                advance(1)
                return float(found["inner"])

            ranked = halved(settings, len(splits), score, shares=shares)
        chosen = [self._outer(one[0][0], n, splits[n]) for n, one in enumerate(ranked)]
        inner = {
            str(setting): [value for one in ranked for s, value in one if s == setting]
            for setting in settings
        }
        return SearchTable(
            dataset=self.table.name,
            backbone=next(iter(self.stores.values())).provenance.backbone,
            protocol=self.rule.name,
            metric=self.rule.metric,
            seed=self.rule.seed,
            n_space=n_space,
            inner={name: tuple(values) for name, values in inner.items()},
            chosen=tuple(chosen),
            n_classes=len(self.table.class_names),
        )

    @staticmethod
    def _n_trials(n: int, n_shares: int) -> int:
        return sum(max(1, -(-n // 2**i)) for i in range(n_shares))

    def _read_features(self, pool: str, layer: str, normalize: str) -> Any:
        rule = replace(self.rule, normalize=normalize)  # type: ignore[arg-type] # it was checked
        return StoredImages(self.table, self.stores[pool], rule).features(layer)

    def _inner(self, setting: Setting, number: int, split: Split) -> dict[str, Any]:
        """Return what a setting scores inside a split's training rows, and its C."""
        key = self._key("inner", setting, split)
        if key not in self.known:
            C, inner = self._scored(setting, number, split)
            self._note(key, setting, number, inner=inner, C=C)
        return self.known[key]

    def _scored(self, setting: Setting, number: int, split: Split) -> tuple[float | None, float]:
        """Return the C that a split's folds choose, if there is one, and the score on them."""
        if not split.inner:
            raise ConfigError(
                f"protocol {self.rule.name} leaves no training images to choose settings by; ask "
                "for more of them"
            )
        features = adapted(
            self._features(setting.pool, setting.layer, setting.normalize),
            self.rule, split, self.table.domains,
        )  # fmt: skip
        fit, C = self._fit(setting, number, features), None
        if "C" in EVERY_HEAD[setting.head]().get_params():
            fitted = fit(split)
            C, validation = fitted.C, fitted.validation
            if len(validation):
                return C, float(validation[best(validation)])
        values = []
        for rows, held_out in split.inner:
            part = replace(split, train=rows, inner=(), labels=_labels_of(split, rows))
            head = fit(part)
            scores = features.test_scores(head.decision_function, held_out, head.head.classes_)
            labels = head.scored(self.table.labels[held_out])
            score = METRICS[self.rule.metric].score
            values.append(score(labels, scores, features.classes(head.head.classes_)))
        return C, float(np.mean(values))

    def _fit(self, setting: Setting, number: int, features: Any) -> Any:
        """Return a function that fits a setting's head on a split."""
        estimator = new_head(
            setting.head, self.rule, self.compute.device, kind=self.table.label_kind
        )
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=self.rule.training_seed(number))
        rule = replace(self.rule, normalize=setting.normalize)  # type: ignore[arg-type] # the space's words are checked

        def fit(split: Split) -> FittedSplit:
            training = features.training_split(split)
            (fitted,) = fit_splits(
                estimator,
                features.train,
                features.labels(labels_to_train(self.table, split)),
                [training],
                c_values=rule.c_values(features.train, training.train),
                score=features.validation_score(METRICS[rule.metric].score),
                standardize=rule.normalize == "standard",
                class_names=self.table.class_names,
            )
            return fitted

        return fit

    def _outer(self, setting: Setting, number: int, split: Split) -> ChosenSetting:
        """Return what a split's choice scores on its test rows."""
        inner, key = self._inner(setting, number, split), self._key("outer", setting, split)
        if key not in self.known:
            features = adapted(
                self._features(setting.pool, setting.layer, setting.normalize),
                self.rule, split, self.table.domains,
            )  # fmt: skip
            fitted = self._fit(setting, number, features)(split)
            scores = features.test_scores(
                fitted.decision_function, split.test, fitted.head.classes_
            )
            labels = fitted.scored(self.table.labels[split.test])
            classes = features.classes(fitted.head.classes_)
            value = METRICS[self.rule.metric].score(labels, scores, classes)
            self._note(key, setting, number, outer=value)
        return ChosenSetting(
            number, str(setting), inner["C"], inner["inner"], self.known[key]["outer"],
            len(split.train), len(split.test),
        )  # fmt: skip

    def _key(self, what: str, setting: Setting, split: Split) -> str:
        store = self.stores[setting.pool].digest
        rule = repr(replace(self.rule, n_splits=2, notes=()))
        said = json.dumps([what, asdict(setting), store, rule, __version__])
        return digest_of(said.encode(), split_digest(split).encode())

    def _note(self, key: str, setting: Setting, number: int, **values: object) -> None:
        line = {"key": key, **asdict(setting), "split": number, **values}
        append_line(self.journal, json.dumps(line).encode())
        self.known[key] = line

    def _read_journal(self) -> None:
        """Read what an earlier run found; a line that a kill cut short is passed over."""
        if not self.journal.exists():
            return
        broken = 0
        for line in self.journal.read_bytes().splitlines():
            try:
                found = json.loads(line)
                self.known[found["key"]] = found
            except (ValueError, TypeError, KeyError):
                broken += 1
        if broken:
            log(f"{self.journal}: {broken} lines are cut short and are passed over")


def _labels_of(split: Split, rows: Any) -> Any:
    return None if split.labels is None else split.labels[np.searchsorted(split.train, rows)]
