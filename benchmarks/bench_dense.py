"""Patches of one image: cut out one by one, against one pass over the larger image a scale.

    python benchmarks/bench_dense.py [--backbone alexnet] [--layers fc7] [--repeats 3]

Both compute the layers of the same windows of the same resized image, 500 x 375 pixels and eight
scales by default, in the same process, in turn. Multiply-adds are those of convolutions and matrix
products, counted by torch. Weights are random: neither time nor count depends on them.
"""

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from decaf.backbones import DensePass, TorchBackbone, dense_pass, load_backbone
from decaf.engines.windows import at_scale
from decaf.images.patches import DenseScale, dense_scales
from decaf.types import PatchRule

AT_ONCE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="alexnet")
    parser.add_argument("--layers", default="fc7")
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    net = load_backbone(options.backbone, weights="random", device=options.device)
    layers = options.layers.split(",")
    dense = dense_pass(net, layers)
    chance = torch.Generator().manual_seed(0)
    shape = (3, options.height, options.width)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=chance)
    print(f"{'scale':>5} {'windows':>8} {'crops s':>9} {'dense s':>9} {'faster':>7} {'fewer':>7}")
    rows = []
    for scale in dense_scales(
        options.width, options.height, PatchRule(overlap=options.overlap), dense.grid
    ):
        rows.append(compare(net, dense, scale, image, options.repeats))
        show(f"{options.height / scale.boxes[0, 3]:.1f}", rows[-1])
    total = {key: sum(row[key] for row in rows) for key in rows[0]}
    show("all", total)
    figures = {
        "n_windows": total["n"],
        "dense_speedup": total["crops_s"] / total["dense_s"],
        "fewer_multiply_adds": total["crops_macs"] / total["dense_macs"],
        "dense_gmacs": total["dense_macs"] / 1e9,
        "crops_gmacs": total["crops_macs"] / 1e9,
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def compare(
    net: TorchBackbone, dense: DensePass, scale: DenseScale, image: torch.Tensor, repeats: int
) -> dict[str, float]:
    """Return seconds and multiply-adds of both ways at one scale."""
    resized = at_scale(image, scale, net.preprocessing)
    side, stride = dense.grid.side_px, dense.grid.stride_px
    crops = torch.stack(
        [
            resized[:, y : y + side, x : x + side]
            for y in (scale.rows * stride).tolist()
            for x in (scale.columns * stride).tolist()
        ]
    )

    def by_crops() -> None:
        for some in torch.split(crops, AT_ONCE):
            net.activations(some.to(net.device), dense.layers)

    def at_once() -> None:
        dense.features(resized, scale.rows, scale.columns)

    seconds: dict[str, list[float]] = {"crops": [], "dense": []}
    for _ in range(repeats):
        for name, action in (("crops", by_crops), ("dense", at_once)):
            seconds[name].append(timed(action))
    return {
        "n": len(crops),
        "crops_s": median(seconds["crops"]),
        "dense_s": median(seconds["dense"]),
        "crops_macs": multiply_adds(by_crops),
        "dense_macs": multiply_adds(at_once),
    }


def multiply_adds(action: Callable[[], None]) -> float:
    """Return the multiply-adds of the convolutions and matrix products in an action."""
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops() / 2


def timed(action: Callable[[], None]) -> float:
    """Return the seconds of an action."""
    start = perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def show(name: str, row: dict[str, float]) -> None:
    """Print a line of the table."""
    print(
        f"{name:>5} {row['n']:8.0f} {row['crops_s']:9.3f} {row['dense_s']:9.3f} "
        f"{row['crops_s'] / row['dense_s']:6.1f}x {row['crops_macs'] / row['dense_macs']:6.1f}x"
    )


if __name__ == "__main__":
    main()
