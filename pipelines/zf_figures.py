"""Zeiler and Fergus's figures 2, 5 and 7: what units see, moved and covered images.

Paper    : Zeiler and Fergus, arXiv 1311.2901 (ECCV 2014), figures 2, 5 and 7
Expected : figures, no numbers: deeper units see larger and more whole parts (corners and colours in
           layer 2, textures in 3, parts of objects in 4, objects in 5); layer 1 changes much with
           small movements, layer 7 little and almost linearly, but for rotation; the probability of
           the class falls where its object is covered

Net      : torchvision's AlexNet, where the paper has its own net; squares of 50 px every 8 px, and
           moved images filled with the mean colour, as the paper states neither
Data     : a folder of class folders, --images; the paper takes ImageNet's validation images
Minutes  : about 2 on 2 cores for 200 images, the extraction included

    python pipelines/zf_figures.py --images FOLDER [--results results] [--figures 2,5,7]
"""

from collections.abc import Sequence
from pathlib import Path

from common import read_options

import decaf
from decaf import Compute, Net, Source
from decaf.insight.asked import Moves, Projection
from decaf.prediction import find_images
from decaf.records import Images
from decaf.report.invariance_curves import plot_invariance
from decaf.report.occlusion_maps import plot_occlusion
from decaf.report.unit_views import plot_deconv

LAYERS = "features.1,features.4,features.7,features.9,features.11"
"""After the ReLUs of conv1 to conv5."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures that are asked for."""
    options = read_options(
        __doc__, arguments, images="images", figures="2,5,7", units="0-8", moved="", n_covered="3"
    )
    layers = (options.layers or LAYERS).split(",")
    net = Net(options.backbone, weights=options.weights)
    results, device = Path(options.results), options.device
    if "2" in options.figures:
        store = decaf.extract(
            options.images,
            Net(options.backbone, weights=options.weights, layers=layers, pool="max"),
            source=Source(features=options.features),
            compute=Compute(device=device),
        )
        for layer in layers:
            out = results / f"zf-figure-2-{layer}.png"
            asked = Projection(layer=layer, units=options.units)
            where = Images(images=options.images)
            print(plot_deconv(net, [store], out=out, projection=asked, images=where, device=device))
    if "5" in options.figures:
        first_and_last = options.moved or f"{layers[0]},{layers[-1]}"
        for transform in ("translate", "scale", "rotate"):
            out = results / f"zf-figure-5-{transform}.png"
            asked = Net(options.backbone, weights=options.weights, layers=first_and_last)
            moves = Moves(transform=transform)
            print(plot_invariance(asked, options.images, out=out, moves=moves, device=device))
    if "7" in options.figures:
        paths = list(find_images([options.images]))
        n_covered = int(options.n_covered)
        for number in range(n_covered):
            image = paths[number * len(paths) // n_covered]
            out = results / f"zf-figure-7-{number + 1}.png"
            print(plot_occlusion(net, image, out=out, device=device))


if __name__ == "__main__":
    main()
