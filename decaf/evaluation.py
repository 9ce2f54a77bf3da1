"""Features to results: `evaluate` trains heads under a protocol and returns a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from decaf.backbones import TorchBackbone, load_backbone
from decaf.choices import (
    Box,
    Dtype,
    Normalize,
    PatchEdges,
    PatchPool,
    Pixels,
    Pool,
    Precision,
    View,
    checked,
)
from decaf.datasets import load_dataset
from decaf.device import find_device
from decaf.errors import ConfigError, DataError
from decaf.extraction import extract, make_plan
from decaf.finetuning import (
    FINETUNE,
    FineTuning,
    Recipe,
    name_stopped,
    parse_recipe,
    refuse_without_head,
    rule_images,
    tuning_precision,
)
from decaf.heads import HEADS
from decaf.images.patches import patch_options
from decaf.progress import log
from decaf.protocols import (
    PublishedProtocol,
    default_protocol,
    get_protocol,
    require_shots,
)
from decaf.results import Journal, Result, ResultTable
from decaf.results.files import require_csv
from decaf.results.identity import changes
from decaf.store import FeatureStore
from decaf.trials import Trials
from decaf.types import ImageDataset


@checked
def evaluate(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layers: str | Sequence[str] | None = None,
    pool: Pool = "none",
    views: View | None = None,
    box: Box | None = None,
    box_scale: float | None = None,
    patch_scales: str | Sequence[float] | None = None,
    patches_per_image: int | None = None,
    patch_edges: PatchEdges | None = None,
    background_share: float | None = None,
    patch_power: float | None = None,
    patch_pool: PatchPool | None = None,
    drop_classes: str | Sequence[str] | None = None,
    heads: str | Sequence[str] = "svm",
    finetune: str | int = "last",
    recipe: str | Recipe = "",
    protocol: str | None = None,
    train_per_class: str | int | Sequence[int] | None = None,
    splits: int | None = None,
    normalize: Normalize | None = None,
    c_grid: str | Sequence[float] | None = None,
    out: str | Path | None = None,
    features: str | Path = "features",
    device: str = "auto",
    precision: Precision = "fp32",
    dtype: Dtype = "float32",
    pixels: Pixels = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    data_root: str | Path = "data",
    allow_partial: bool = False,
    max_failures: float = 0.05,
    seed: int = 0,
    allow_code: bool = False,
    quiet: bool = False,
) -> ResultTable:
    """Train heads on stored features under an evaluation protocol.

    The matching store is found by its digest; where there is none it is extracted. C is chosen
    inside each split's training rows, the head is refitted on all of them, and the test rows
    are scored once.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, a CSV manifest, or a table.
    backbone, weights, layers, pool : optional
        The net and what is taken from it; see `decaf.extract`.
    views : str, optional
        The protocol's own if not given; see `decaf.extract`.
    box, box_scale : str and float, optional
        The same.
    patch_scales, patches_per_image, patch_edges : optional
        With views ``patches`` or ``dense``, which patches; see `decaf.extract`.
    background_share : float, optional
        Share of the training images' background patches that train; the protocol's, 0.1, if not
        given.
    patch_power : float, optional
        Power k of a patch's probability; the protocol's, 5, if not given.
    patch_pool : str, optional
        An image's score is the ``mean`` or ``max`` over its patches; the protocol's if not given.
    drop_classes : str or sequence of str, optional
        Classes to leave out, such as Caltech-256's ``257.clutter``; the protocol's if not given.
    heads : str or sequence of str
        Among ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout``, ``adaptation``, ``knn``,
        and ``finetune``, which trains the net's last blocks too, see `decaf.finetune`.
    finetune : str or int
        With ``finetune``, which blocks: ``last``, a number of last ones, or ``all``.
    recipe : str or Recipe
        The same, how: as ``epochs=40,rate=1e-3``; see `decaf.finetune`.
    protocol : str, optional
        Name of a protocol; the data set's default if not given.
    train_per_class : str, int or sequence of int, optional
        Training images a class; several values make a learning curve.
    splits : int, optional
        Number of splits; the protocol's if not given.
    normalize : str, optional
        ``none``, ``l2``, ``standard`` or ``signed-square``; the protocol's if not given.
    c_grid : str or sequence of float, optional
        Values of C to choose from; the protocol's if not given.
    out : str or pathlib.Path, optional
        CSV file of the results; ``results/<dataset>.csv`` if not given.
    features : str or pathlib.Path
        A store (``.h5``), or the folder of stores.
    device, precision, dtype, pixels, batch_size, workers : optional
        How features are extracted; see `decaf.extract`. `device` also trains the heads.
    limit, data_root, allow_partial, max_failures : optional
        Which images; see `decaf.extract`.
    seed : int
        Seed of the splits and of random weights.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    quiet : bool
        Print no progress.

    Returns
    -------
    ResultTable
        One row per layer, head, number of shots and split; also added to `out`, with the splits
        beside it. What is there of other nets, heads or settings stays, and finished splits are
        taken from it.

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
    names = _words(heads)
    _check_heads(names)
    if c_grid is not None and not any(
        n == FINETUNE or "C" in HEADS[n]().get_params() for n in names
    ):
        raise ConfigError(
            f"asked for c_grid, found the heads {', '.join(names)}, which have no C; leave it out"
        )
    if out is not None:
        require_csv(Path(out))
    refuse_without_head(names, finetune, recipe)
    find_device(device)
    parse_recipe(recipe, finetune)  # what is wrong with it is said before the net is loaded
    table = load_dataset(dataset, Path(data_root), allow_partial=allow_partial, limit=limit)
    rules = _rules(
        table,
        protocol or default_protocol(table).name,
        train_per_class,
        n_splits=splits,
        seed=seed,
        normalize=normalize,
        c_grid=None if c_grid is None else _numbers(c_grid, "c_grid"),
        view=views,
        box=box,
        box_scale=box_scale,
        drop_classes=None if drop_classes is None else _words(drop_classes),
        patches=patch_options(patch_scales, patches_per_image, patch_edges),
        background_share=background_share,
        patch_power=patch_power,
        patch_pool=patch_pool,
    )
    for rule in rules:  # what cannot be drawn is said before the net is loaded
        if train_per_class is not None:
            require_shots(rule, table)
        next(rule.splits(table))
    journal = Journal.open(csv_path(table.name, out))
    loading: dict[str, Any] = {
        "weights": weights,
        "device": device,
        "seed": seed,
        "allow_code": allow_code,
    }
    net = load_backbone(backbone, precision=precision, **loading)
    how = parse_recipe(
        recipe, finetune, net.weights, labels=table.labels, selection=rules[0].selection.kind
    )
    trained, images = net, None
    if FINETUNE in names:
        images = rule_images(table, net, rules[0], pixels, recipe=how, workers=workers)
        if net.precision != "fp32":
            trained = load_backbone(backbone, **loading)
    chosen = make_plan(table, net, layers=layers).layers
    path = extract(
        table,
        backbone=net,
        layers=chosen,
        pool=pool,
        views=rules[0].view,
        box=rules[0].box,
        box_scale=rules[0].box_scale,
        **_patches(rules[0]),
        out=features,
        dtype=dtype,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
        quiet=quiet,
    )
    with FeatureStore(path) as store:
        tunings = {
            layer: FineTuning(
                backbone=trained,
                layer=layer,
                pool=pool,
                images=images,
                recipe=how,
                precision=tuning_precision(precision, net),
                folder=path.parent,
                digest=store.digest,
            )
            for layer in chosen
            if images is not None
        }
        changed = changes(how, parse_recipe("", "last", net.weights))
        trials = Trials(table, net, store, pool, device, quiet, journal, tunings, changed)
        trials.check(names, rules)
        results = _kept(trials, trials.results(chosen, names, rules))
    for tuning in tunings.values():
        tuning.clear()
    if tunings:
        name_stopped(path.parent)
    if trials.failed:
        raise DataError(
            f"{'; '.join(trials.failed)}; {len(results)} results of the other heads are in "
            f"{journal.path}"
        )
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
    return ResultTable(tuple(found))


def csv_path(dataset_name: str, out: str | Path | None = None) -> Path:
    """Return where the results of a data set are written."""
    return Path("results") / f"{dataset_name}.csv" if out is None else Path(out)


def _words(value: str | Sequence[str]) -> list[str]:
    words = value.split(",") if isinstance(value, str) else value
    return list(dict.fromkeys(word.strip() for word in words))


def _numbers(value: str | float | Sequence[float], what: str) -> list[float]:
    if isinstance(value, int | float):
        return [value]
    try:
        return [float(word) for word in (value.split(",") if isinstance(value, str) else value)]
    except ValueError as error:
        raise ConfigError(f"{what} takes numbers separated by commas, found {value!r}") from error


def _check_heads(names: Sequence[str]) -> None:
    known = (*HEADS, FINETUNE)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ConfigError(
            f"unknown head {(unknown or [''])[0]!r}; choose one of: {', '.join(known)}"
        )


def _patches(rule: PublishedProtocol) -> dict[str, Any]:
    """Return the patches of a protocol as arguments of `extract`."""
    patches = rule.patches
    if patches is None:
        return {}
    return {
        "patch_scales": patches.scales,
        "patches_per_image": patches.per_image,
        "patch_edges": patches.edges,
    }


def _rules(
    table: ImageDataset,
    protocol: str,
    train_per_class: str | int | Sequence[int] | None,
    **replacements: Any,
) -> list[PublishedProtocol]:
    """Return the protocol as asked, once for each number of training images a class."""
    if train_per_class is None:
        return [get_protocol(protocol, table, **replacements)]
    shots = _numbers(train_per_class, "train_per_class")
    if any(number != int(number) for number in shots):
        raise ConfigError(f"train_per_class takes whole numbers, found {train_per_class!r}")
    return [
        get_protocol(protocol, table, train_per_class=int(number), **replacements)
        for number in shots
    ]
