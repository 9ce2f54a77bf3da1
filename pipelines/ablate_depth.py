"""Which layers a net needs: decaf-mini trained without some of them.

Paper    : Zeiler and Fergus, ECCV 2014 (arXiv 1311.2901), table 3, first part: Krizhevsky's net on
           ImageNet 2012 without some layers
Expected : the published column, error in per cent (validation top-1, validation top-5); the nets
           here are smaller, see 200 classes and 64 x 64 pixels, and so differ in figures, but
           depth should matter more than either half of the removed layers

           | layers removed | train top-1 | val top-1 | val top-5 |
           | none           | 35.1        | 40.5      | 18.1      |
           | 7              | 27.4        | 40.0      | 18.4      |
           | 6, 7           | 27.4        | 44.8      | 22.4      |
           | 3, 4           | 41.8        | 45.4      | 22.1      |
           | 3, 4, 6, 7     | 71.1        | 71.3      | 50.1      |

Data     : FOLDER/*.zip and FOLDER/wnids.txt (Tiny-ImageNet-200), as in pretrain_mini.py
Minutes  : about 60 a net on one core, five nets; a run that was stopped goes on

    python pipelines/ablate_depth.py FOLDER [--out results/ablate] [--epochs 20] [--seed 0]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from mini_training import DROPOUT, Images, accuracy, train
from pretrain_mini import read

from decaf.backbones.mini import MiniNet

# layers removed: published error in per cent, training top-1, validation top-1 and top-5
PUBLISHED = {
    (): (35.1, 40.5, 18.1),
    ("fc7",): (27.4, 40.0, 18.4),
    ("fc6", "fc7"): (27.4, 44.8, 22.4),
    ("conv3", "conv4"): (41.8, 45.4, 22.1),
    ("conv3", "conv4", "fc6", "fc7"): (71.1, 71.3, 50.1),
}


def errors(net: MiniNet, data: Images, held_out: Images) -> tuple[float, float, float]:
    """Return the error in per cent on training images, and on held-out ones of one and five."""
    top1, top5 = accuracy(net, held_out)
    # as many training images as held-out ones, from all classes
    rows = torch.arange(0, len(data.labels), -(-len(data.labels) // len(held_out.labels)))
    trained = accuracy(net, Images(data.pixels[rows], data.labels[rows]))[0]
    return round(100 - 100 * trained, 1), round(100 - 100 * top1, 1), round(100 - 100 * top5, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train each net and print its errors beside the published ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results/ablate"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    data, held_out = read(options.folder, options.seed)
    rows = []
    for without, published in PUBLISHED.items():
        name = "-".join(without) or "none"
        print(f"without {name}", flush=True)
        torch.manual_seed(options.seed)
        net = MiniNet(without, dropout=DROPOUT)
        path = options.out / f"{name}.training"
        train(net, data, held_out, epochs=options.epochs, seed=options.seed, path=path)
        n_parameters = sum(parameter.numel() for parameter in net.parameters())
        rows.append([name, n_parameters, *errors(net, data, held_out), *published])
    columns = ["train top-1", "val top-1", "val top-5"]
    table = pd.DataFrame(
        rows,
        columns=["removed", "parameters", *columns, *(f"published {name}" for name in columns)],
    )
    table.to_csv(options.out / "errors.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
