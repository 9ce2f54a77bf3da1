"""What image search finds by layers, poolings, dimensions and codes, and what each of them costs.

Paper    : Babenko et al., Neural codes, ECCV 2014 (layers, PCA); Babenko and Lempitsky, ICCV 2015,
           Kalantidis et al., 2016, Tolias et al., ICLR 2016, Radenovic et al., TPAMI 2019
           (poolings); Heo et al., CVPR 2012 (spherical codes)
Expected : no published figure on these images. The papers' claims: 128 to 256 dimensions cost
           little; spherical codes find more than the plain Hamming distance; a random order has an
           mAP of 1.1 % with 102 classes of 41 images

Net      : three small ones; others by --backbone and --weights, comma-separated, with --layers
           (of which the last one is pooled in several ways)
Data     : Caltech-101 below DATA_ROOT (131 MB); UKBench where it is there too. --pairs takes a
           folder of two folders, in which files of one name show one object
Minutes  : about 20 on 2 cores for 4 178 images, half of them for features, which take 2.7 GB

    python pipelines/search_codes.py [--data-root data] [--results results] [--pairs FOLDER]
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from common import read_options

import decaf
from decaf import Compute, FeatureStore, Net, Search, Source, View
from decaf.records import SearchTest
from decaf.report import print_whole
from decaf.report.drawing import save
from decaf.report.search_table import pareto_figure, search_grid, write_scores
from decaf.report.terminal import terminal_grid
from decaf.search_scores import SearchScore, evaluate_search

LAYERS = {
    "timm/tf_efficientnet_lite0": "blocks.4,blocks.6,fc8,bn2",
    "squeezenet1_1": "features.9,fc8,pool5",
    "alexnet": "features.5,pool5",
}
DIMS = (0, 16, 32, 64, 128, 256, 512)
POOLS = ("avg", "max", "grid:2", "gem:3", "spoc", "crow", "rmac")
CODES = "spherical:64 spherical:128 spherical:256 spherical:512 hamming:256 SQ8 PQ16 PQ32"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each net, and write a table and a figure of each kind of search."""
    options = read_options(
        __doc__, arguments, ",".join(LAYERS), dataset="caltech101", pairs="", codes=CODES
    )
    nets, weights = options.backbone.split(","), options.weights.split(",")
    scores, floors, pairs, objects = [], {}, [], []
    for net, given in zip(nets, weights * (1 if len(weights) > 1 else len(nets)), strict=True):
        found, floors = labels(options, net, given)
        scores += found
        pairs += both_ways(options, net, given) if options.pairs else []
        if (options.data_root / "ukbench").exists():
            store = stored(options, "ukbench", net, given, LAYERS.get(net, "pool5"), pool="avg")
            lines, _ = evaluate_search(store, SearchTest(queries="official"))
            objects += [replace(one, layer=f"{net} {one.layer} avg") for one in lines]
    for name, lines in (("labels", scores), ("pairs", pairs), ("ukbench", objects)):
        if lines:
            print_whole(terminal_grid(search_grid(lines, floors if lines is scores else {}, name)))
            print(write_scores(lines, options.results / f"search-{name}.csv"))
    coded = {one.layer for one in scores if one.code != "float32"}
    figure = pareto_figure([one for one in scores if one.layer in coded])
    print(save(figure, options.results / "search-codes.svg"))


def stored(
    options: argparse.Namespace,
    dataset: str | Path,
    net: str,
    weights: str,
    layers: str,
    *,
    pool: str,
) -> Path:
    """Extract features; other poolings follow from maps that were stored before."""
    source = Source(
        data_root=str(options.data_root),
        allow_partial=options.allow_partial and isinstance(dataset, str),  # a folder is whole
        features=str(options.features),
    )
    return decaf.extract(
        dataset,
        Net(net, weights=weights, layers=layers, pool=pool),
        View(options.view or "warp"),
        source=source,
        compute=Compute(device=options.device),
    )


def labels(
    options: argparse.Namespace, net: str, weights: str
) -> tuple[list[SearchScore], dict[str, float]]:
    """Let every image ask for its label."""
    layers = options.layers or LAYERS[net]
    last, scores, floors = layers.split(",")[-1], [], {}

    def measure(store: Path, layer: str, said: str, dims: Sequence[int], **how: object) -> None:
        with FeatureStore(store) as opened:
            most = min(opened[layer].shape[-1], opened.n_images)
        within = list(dict.fromkeys(min(n, most) for n in dims))
        test = SearchTest(layers=layer, dims=within, **how)
        found, floor = evaluate_search(store, test)
        floors.update(floor)
        scores.extend(replace(one, layer=f"{net} {layer} {said}") for one in found)

    averaged = stored(options, options.dataset, net, weights, layers, pool="avg")
    for layer in layers.split(","):
        measure(averaged, layer, "avg", DIMS)
    stored(options, options.dataset, net, weights, last, pool="none")
    for pool in POOLS if options.pool is None else (options.pool,):
        pooled = stored(options, options.dataset, net, weights, last, pool=pool)
        measure(pooled, last, pool, (0, 128) if pool != "avg" else ())
        measure(pooled, last, f"{pool} whitened", (128,), whiten=True)
    measure(averaged, last, "avg", (128,), codes=options.codes)
    chance = stored(options, options.dataset, net, "random", last, pool="avg")
    measure(chance, last, "random weights", (0, 128))
    return scores, floors


def both_ways(options: argparse.Namespace, net: str, weights: str) -> Iterator[SearchScore]:
    """Let every image of a folder ask for the one of its name in the other folder."""
    last = (options.layers or LAYERS[net]).split(",")[-1]
    folders = sorted(path for path in Path(options.pairs).iterdir() if path.is_dir())
    for pool in ("none", *POOLS):
        stores = [stored(options, one, net, weights, last, pool=pool) for one in folders]
        values, seconds, n = {}, 0.0, 0
        for asking, asked in ((0, 1), (1, 0)):
            start = perf_counter()
            answers = decaf.search(stores[asked], [stores[asking]], Search(k=10, layer=last))
            seconds, n = seconds + perf_counter() - start, n + len(answers)
            right = [[hit.image_id == answer.query for hit in answer.hits] for answer in answers]
            way = f"{folders[asking].name} in {folders[asked].name}"
            values |= {
                f"recall@{k}, {way}": np.mean([any(one[:k]) for one in right]) for k in (1, 10)
            }
        with FeatureStore(stores[0]) as store:
            size = store[last].shape[-1]
        yield SearchScore(
            f"{net} {last} {pool}", size, "float32", values, 4.0 * size, 1000 * seconds / n, 0.0
        )


if __name__ == "__main__":
    main()
