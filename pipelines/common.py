"""What the scripts of this folder share: their options, one evaluation, what they print."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import decaf
from decaf import Compute, Net, Overrides, Source, View
from decaf.choices import Box, ViewName
from decaf.protocols import PROTOCOLS
from decaf.report import print_whole, terminal_comparison, terminal_table
from decaf.results import ResultTable


def read_options(
    documentation: str,
    arguments: Sequence[str] | None,
    backbone: str = "alexnet",
    **own: str,
) -> argparse.Namespace:
    """Return the options of a script; those that are not given are the paper's.

    The script's own options are given by name, with their defaults.
    """
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--backbone", default=backbone)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--layers")
    parser.add_argument("--heads")
    parser.add_argument("--recipe", default="", help="of fine-tuning; see decaf finetune")
    parser.add_argument("--pool")
    parser.add_argument("--view")
    parser.add_argument("--patches-per-image", type=int)
    parser.add_argument("--shots", help="training images a class, where the paper has so many")
    parser.add_argument("--splits", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--allow-partial", action="store_true")
    for name, default in own.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=default)
    return parser.parse_args(arguments)


def evaluate(
    options: argparse.Namespace,
    dataset: str,
    protocol: str,
    *,
    layers: str,
    heads: str,
    pool: str = "none",
    view: ViewName | None = None,
    box: Box | None = None,
    shots: str | None = None,
    name: str | None = None,
    from_scratch: bool = False,
    domains: str | None = None,
    adapt: str | None = None,
    group_by: str | None = None,
    controls: bool = False,
) -> ResultTable:
    """Evaluate as the paper does, but for what the options say, and print the table.

    With `from_scratch` the whole net is trained from random weights, as a column NO PRETRAIN is.
    """
    rules = PROTOCOLS.get(dataset, PROTOCOLS["office31" if domains else "*"])
    by_class = rules[protocol].train_per_class is not None
    out = options.results / f"{name or f'{dataset}-{protocol}'}.csv"
    overrides = Overrides(
        view=View(
            options.view or view,
            box=box,
            patches_per_image=None if from_scratch else options.patches_per_image,
        ),
        train_per_class=(options.shots or shots) if by_class else None,
        splits=options.splits,
        adapt=adapt,
        controls=controls,
        recipe=",".join(filter(None, ["blocks=all", options.recipe])) if from_scratch else "",
    )
    table = decaf.evaluate(
        dataset,
        Net(
            options.backbone,
            weights="random" if from_scratch else options.weights,
            layers=options.layers or layers,
            pool=options.pool or pool,
        ),
        protocol=protocol,
        heads="finetune" if from_scratch else options.heads or heads,
        overrides=overrides,
        source=Source(
            data_root=str(options.data_root),
            allow_partial=options.allow_partial,
            group_by=group_by,
            domains=domains,
            features=str(options.features),
        ),
        compute=Compute(device=options.device),
        out=out,
    )
    print_whole(terminal_table(table, out))
    return table


def compare(tables: Sequence[ResultTable]) -> None:
    """Print all results that have a published figure beside it."""
    results = tuple(result for table in tables for result in table)
    print_whole(terminal_comparison(ResultTable(results)))
