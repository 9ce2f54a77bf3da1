"""Features to results: `evaluate` trains heads under a protocol and returns a table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from decaf.backbones import TorchBackbone
from decaf.backbones.pixels import PIXELS
from decaf.choices import check_choice
from decaf.device import find_device
from decaf.errors import ConfigError, DataError
from decaf.extraction import extract_nets, extract_table, load_nets, source_table, view_of
from decaf.finetuning import (
    FINETUNE,
    FineTuning,
    name_stopped,
    parse_recipe,
    refuse_without_head,
    rule_images,
    tuning_precision,
)
from decaf.heads import CHANCE, EVERY_HEAD, HEADS, NUMBER_HEADS
from decaf.measuring import refuse_without_probabilities
from decaf.metrics import asked_metrics
from decaf.progress import log
from decaf.protocols import (
    PublishedProtocol,
    default_protocol,
    domain_rules,
    get_protocol,
    kept_splits,
    require_shots,
    with_shots,
)
from decaf.records import Compute, Net, Overrides, Source, takes_records, words
from decaf.results import Journal, Result, ResultTable, read_results
from decaf.results.files import require_csv, scores_folder
from decaf.results.identity import changes
from decaf.results.predictions import predictions_path, write_predictions
from decaf.several_nets import each_net
from decaf.store import FeatureStore
from decaf.stored_images import refuse_for_store, store_at, stored_view
from decaf.transfer import refuse_unadaptable
from decaf.trials import Trials
from decaf.types import ImageDataset
from decaf.whole_files import require_writable


@takes_records
def evaluate(
    data: str | Path | ImageDataset,
    net: Net = Net(),
    *,
    protocol: str | None = None,
    heads: str | Sequence[str] | None = None,
    overrides: Overrides = Overrides(),
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path | None = None,
) -> ResultTable:
    """Train heads on stored features under an evaluation protocol.

    C is chosen inside each split's training rows, the head is refitted on all of them, and the
    test rows are scored once.

    Parameters
    ----------
    data : str, pathlib.Path or ImageDataset
        A store (``.h5``), which is all that is needed; or a data set as `decaf.extract` takes it,
        whose store is found by its digest, and extracted where there is none.
    net : Net
        The net of a data set's features; of a store only its layers can be chosen.
    protocol : str, optional
        Name of a protocol; the data set's default if not given.
    heads : str or sequence of str, optional
        Among ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout``, ``adaptation``, ``knn``,
        and ``finetune``, which trains the net's last blocks too, see `decaf.finetune`; ``ridge``
        for numbers to predict. ``svm`` or ``ridge`` if not given.
    overrides : Overrides
        What replaces the protocol's fields.
    source : Source
        Which images of a data set.
    compute : Compute
        Where and how features are extracted and heads trained.
    out : str or pathlib.Path, optional
        CSV file of the results; ``results/<data set>.csv`` if not given. Rows of other heads,
        nets, layers and protocols that are there stay.

    Returns
    -------
    ResultTable
        One row per layer, head, number of shots and split; also written to `out`, with the
        splits beside it.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the data set is missing or malformed, or a class has too few images.
    BackboneError
        If the net, its weights or a layer is not usable.
    StoreError
        If the store cannot be read or written.
    """
    names = _head_names("svm" if heads is None else heads, overrides)
    if out is not None:
        require_csv(Path(out))
    find_device(compute.device)
    path = store_at(data)
    nets = each_net(net) if path is None else (net,)
    if overrides.controls:
        _refuse_controls(path, nets)
    if path is None:
        table = source_table(data, source)
    else:
        refuse_for_store(path, net, source)
        table, overrides = _stored_table(path, names, overrides)
    if heads is None and table.label_kind == "number":
        names = _head_names("ridge", overrides)
    protocol = protocol or default_protocol(table).name
    rules = rules_of(table, protocol, overrides, source.domains)
    refuse_unadaptable(names, rules)
    metrics = _metrics(table, rules[0], overrides)
    journal = _journal(csv_path(table.name, out), keep_scores=overrides.keep_scores)
    if len(nets) > 1:  # their stores are filled in one pass over the images
        extract_nets(data, nets, overrides.view, protocol=protocol, source=source, compute=compute)
    asked = [(one, names, rules) for one in nets]
    if overrides.controls:
        asked += _controls(nets, names, rules, chance=table.label_kind != "number")
    run = _NetsInTurn(table, journal, metrics, overrides, source, compute)
    found = ResultTable(
        tuple(
            result for one, some, under in asked for result in run.results(one, some, under, path)
        )
    )
    if overrides.keep_scores:
        written = write_predictions(journal.path, read_results([journal.path]).results)
        log(f"what is predicted for each test image: {written}")
    return found


def _refuse_controls(path: Path | None, nets: Sequence[Net]) -> None:
    """Refuse controls beside what cannot be built again without its weights."""
    if path is not None or not all(isinstance(one.backbone, str) for one in nets):
        found = f"the store {path}" if path is not None else "a loaded net"
        raise ConfigError(
            f"asked for controls, which need images and a net's name, found {found}; give a data "
            "set and a name"
        )


def _controls(
    nets: Sequence[Net],
    heads: tuple[str, ...],
    rules: list[PublishedProtocol],
    *,
    chance: bool,
) -> Iterator[tuple[Net, tuple[str, ...], list[PublishedProtocol]]]:
    """Yield what stands beside nets for comparison: nets, their heads and rules."""
    done = list(nets)
    for one in nets:
        twin = replace(one, weights="random")
        if one.backbone != PIXELS and twin not in done:
            done.append(twin)
            yield twin, heads, rules
    pixels = Net(PIXELS, dtype=nets[0].dtype, seed=nets[0].seed)
    rest = tuple(name for name in heads if name != FINETUNE)
    if rest and all(one.backbone != PIXELS for one in nets):
        yield pixels, rest, rules
    if not chance:  # R2 of the mean is 0
        return
    # rules that differ in something else test the same rows
    first = {(rule.train_per_class, rule.train_share): rule for rule in reversed(rules)}
    yield pixels, (CHANCE,), list(reversed(first.values()))


@dataclass(frozen=True)
class _NetsInTurn:
    """What the nets of one evaluation have in common."""

    table: ImageDataset
    journal: Journal
    metrics: tuple[str, ...]
    overrides: Overrides
    source: Source
    compute: Compute

    def results(
        self,
        net: Net,
        names: tuple[str, ...],
        rules: list[PublishedProtocol],
        path: Path | None = None,
    ) -> ResultTable:
        """Return the results of one net's heads, on a store if there is one."""
        tunings: dict[str, FineTuning] = {}
        more: dict[str, Any] = {"source": self.source, "compute": self.compute}
        if path is None:
            nets = load_nets(net, self.compute.device)
            path = extract_table(self.table, nets, net, view_of(rules[0]), **more)
            if FINETUNE in names:
                tunings = _tunings(
                    self.table, nets[0], net, rules[0], self.overrides, **more, store=path
                )
        file = self.overrides.splits_file
        with FeatureStore(path) as store:
            trials = Trials(
                self.table,
                store,
                self.journal,
                self.compute,
                tunings=tunings,
                recipe=_recipe_changes(tunings.values()),
                splits_file=None if file is None else Path(file),
                metrics=self.metrics,
                keep_scores=self.overrides.keep_scores,
            )
            trials.check(names, rules)
            results = _kept(trials, trials.results(net.layer_names or store.layers, names, rules))
        if tunings:
            _clear(tunings.values(), path.parent)
        _refuse_failed(trials, len(results))
        return results


def _kept(trials: Trials, results: Iterator[Result]) -> ResultTable:
    """Return the results, written to files whatever ends them."""
    journal, found = trials.journal, list[Result]()
    try:
        found.extend(results)
    except KeyboardInterrupt:
        log(
            f"stopped; {len(found)} finished splits of this run are in {journal.path} and are not "
            "computed again"
        )
        raise
    finally:
        journal.write()
    taken = sum(any(result is one for one in journal.finished.values()) for result in found)
    if taken:
        log(
            f"{taken} of {len(found)} splits were finished before and are taken from "
            f"{journal.file}; delete it to compute them again"
        )
    if trials.keep_scores and found:
        log(
            f"scores of test rows: {scores_folder(journal.path)}, a file KEY-SEED-SPLIT.npz for "
            "each split of a row"
        )
    return ResultTable(tuple(found))


def csv_path(dataset_name: str, out: str | Path | None = None) -> Path:
    """Return where the results of a data set are written."""
    return Path("results") / f"{dataset_name}.csv" if out is None else Path(out)


def _head_names(heads: str | Sequence[str], overrides: Overrides) -> tuple[str, ...]:
    """Return the heads' names; refuse unknown ones, and options that none of them uses."""
    names, known = words(heads), (*HEADS, *NUMBER_HEADS, FINETUNE)
    for name in names or ("",):
        check_choice("head", name, known)
    if overrides.c_grid is not None and not any(
        n == FINETUNE or "C" in EVERY_HEAD[n]().get_params() for n in names
    ):
        raise ConfigError(
            f"asked for c_grid, found the heads {', '.join(names)}, which have no C; leave it out"
        )
    refuse_without_head(names, overrides.recipe)
    recipe = parse_recipe(overrides.recipe)  # what is wrong is said before the net is loaded
    if recipe.keep_epochs:
        raise ConfigError("asked for keep_epochs of several trainings; give it to decaf finetune")
    return names


def _stored_table(
    path: Path, names: Sequence[str], overrides: Overrides
) -> tuple[ImageDataset, Overrides]:
    """Return a store's images, and the overrides with the view of its rows."""
    if FINETUNE in names:
        raise ConfigError(
            f"asked for the head finetune on the store {path}, which has no images; give the "
            "data set"
        )
    with FeatureStore(path) as store:
        view = stored_view(store, overrides.view)
        return store.image_table(), replace(overrides, view=view)


def rules_of(
    table: ImageDataset, protocol: str, overrides: Overrides, domains: str | None
) -> list[PublishedProtocol]:
    """Return the protocol as asked, once for each number of training images per class."""
    rules = [
        rule
        for one in with_shots(overrides)
        for rule in domain_rules(get_protocol(protocol, table, one), table, overrides, domains)
    ]
    for rule in rules:  # what cannot be drawn is said before the net is loaded
        if overrides.train_per_class is not None:
            require_shots(rule, table)
        next(rule.splits(table))
    if overrides.splits_file is not None and Path(overrides.splits_file).exists():
        kept_splits(rules, table, file=Path(overrides.splits_file))
    return rules


def _refuse_failed(trials: Trials, n_results: int) -> None:
    """Say which heads could not be trained, if some could not."""
    if trials.failed:
        raise DataError(
            f"{'; '.join(trials.failed)}; {n_results} results of the other heads are in "
            f"{trials.journal.path}"
        )


def _metrics(table: ImageDataset, rule: PublishedProtocol, overrides: Overrides) -> tuple[str, ...]:
    """Return the metrics that are asked for beside the protocol's; refuse those that do not fit."""
    always = ("spearman",) if table.label_kind == "number" else ()
    asked = (*words(overrides.metrics), *always)
    metrics = asked_metrics(asked, table.label_kind, len(table.class_names))
    refuse_without_probabilities(metrics, rule)
    return metrics


def _journal(path: Path, *, keep_scores: bool) -> Journal:
    """Open the journal of results; see that all files can be written."""
    if keep_scores:
        require_csv(path)
        require_writable(scores_folder(path) / "scores.npz", predictions_path(path))
    return Journal.open(path)


def _tunings(
    table: ImageDataset,
    backbone: TorchBackbone,
    net: Net,
    rule: PublishedProtocol,
    overrides: Overrides,
    *,
    source: Source,
    compute: Compute,
    store: Path,
) -> dict[str, FineTuning]:
    """Return how each layer's net is fine-tuned."""
    recipe = parse_recipe(
        overrides.recipe, backbone.weights, labels=table.labels, selection=rule.selection.kind
    )
    images = rule_images(
        table, backbone, rule, source.decoder, recipe=recipe, workers=compute.workers
    )
    trained = backbone
    if backbone.precision != "fp32":  # an autocast pass needs the weights in full
        (trained, *_) = load_nets(replace(net, precision="fp32"), compute.device)
    with FeatureStore(store) as opened:
        layers, digest = net.layer_names or opened.layers, opened.digest
    return {
        layer: FineTuning(
            backbone=trained,
            layer=layer,
            pool=net.pool,
            images=images,
            recipe=recipe,
            precision=tuning_precision(net.precision, backbone),
            folder=store.parent,
            digest=digest,
        )
        for layer in layers
    }


def _clear(tunings: Iterable[FineTuning], folder: Path) -> None:
    """Remove what fine-tuning kept to go on with, and name what other runs left."""
    for tuning in tunings:
        tuning.clear()
    name_stopped(folder)


def _recipe_changes(tunings: Iterable[FineTuning]) -> str:
    """Say how fine-tuning departs from its default."""
    for tuning in tunings:
        return changes(tuning.recipe, parse_recipe("", tuning.backbone.weights))
    return ""
