"""What transfer gives: pretrained nets beside untrained ones, bare pixels and chance.

Paper    : Donahue et al., DeCAF, arXiv 1310.1531, whose control is the net with random weights
Expected : no table is published. Pretrained nets are far above their controls on objects and on
           birds, and on scenes, which hold neither; untrained nets are near pixels, above or below
Net      : AlexNet, SqueezeNet 1.1, MobileNet v2 and EfficientNet-Lite0 of ImageNet
Data     : Caltech-101, MIT-67 and CUB-200-2011 below DATA_ROOT (3.7 GB), or folders of your own
Minutes  : about 90 on 2 cores, an estimate

    python pipelines/controls.py [--data-root data] [--sets caltech101,mit67,birds]

A net is its name, layer, pooling and weights; several are separated by semicolons.
"""

from collections.abc import Sequence

import numpy as np
from common import compare, evaluate, read_options
from matplotlib.figure import Figure

from decaf import load_dataset
from decaf.protocols import default_protocol
from decaf.report.drawing import COLOURS, INK, house_style, save
from decaf.results import Aggregate, ResultTable, read_results

NETS = (
    "alexnet pool5 none imagenet; squeezenet1_1 features.12 avg imagenet; "
    "mobilenet_v2 features.18 avg imagenet; timm/tf_efficientnet_lite0 global_pool none imagenet"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate every net and its controls on every data set, and draw them."""
    options = read_options(
        __doc__, arguments, backbone="", sets="caltech101,mit67,birds", nets=NETS
    )
    own = f"{options.backbone} {options.layers} {options.pool} {options.weights}"
    nets, written = (own if options.backbone else options.nets).split(";"), []
    for dataset in options.sets.split(","):
        table = load_dataset(dataset, options.data_root, allow_partial=options.allow_partial)
        for net in nets:
            options.backbone, layers, pool, options.weights = net.split()
            options.layers = options.pool = None
            evaluate(
                options, dataset, default_protocol(table).name,
                layers=layers, heads=options.heads or "svm", pool=pool, controls=True,
                name=f"controls-{table.name}",
            )  # fmt: skip
        written.append(options.results / f"controls-{table.name}.csv")
    results = read_results(written)
    save(figure(results), options.results / "controls.svg")
    compare([results])


def figure(table: ResultTable) -> Figure:
    """Draw each net's accuracy, and its controls', on each data set."""
    rows = table.aggregates()
    nets = list(dict.fromkeys(a.backbone for a in rows if a.backbone != "pixels"))
    nets += ["pixels", "chance"]
    systems = sorted({system(a) for a in rows}, key=lambda s: (nets.index(s[0]), s[1]))
    sets = list(dict.fromkeys(a.dataset for a in rows))
    with house_style():
        drawn = Figure((6.4, 4.6), layout="constrained")
        axes = drawn.subplots()
        width = 0.8 / len(systems)
        for number, name in enumerate(systems):
            own = [a for a in rows if system(a) == name]
            places = np.array([sets.index(a.dataset) for a in own]) + width * (number + 0.5) - 0.4
            control = name[1] != "pretrained"
            spread = [0 if np.isnan(a.std) else 100 * a.std for a in own]
            axes.bar(
                places, [100 * a.mean for a in own], width, yerr=spread,
                color=COLOURS[nets.index(name[0]) % len(COLOURS)], alpha=0.35 if control else 1,
                ecolor=INK, label=", ".join(name),
            )  # fmt: skip
        axes.set_xticks(range(len(sets)), sets)
        axes.set_ylabel("mean per-class accuracy, %")
        drawn.legend(fontsize=7, ncols=2, loc="outside lower center")
    return drawn


def system(a: Aggregate) -> tuple[str, str]:
    """Return a net's name and what it knows."""
    if a.backbone == "pixels":
        return ("chance" if a.head == "chance" else "pixels", "nothing learned")
    return (a.backbone, "untrained" if a.weights == "random" else "pretrained")


if __name__ == "__main__":
    main()
