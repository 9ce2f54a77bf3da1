"""R-CNN's detection on VOC 2007, from frozen features.

Paper    : Girshick et al., Rich feature hierarchies, arXiv 1311.2524v5, VOC 2007 test
Expected : mean average precision (11-point) of SVMs on features that were not fine-tuned

           | pool5 | fc6  | fc7  |
           | 44.2  | 46.2 | 44.7 |

           without box regression, which has no published row without fine-tuning. The published
           proposals cannot be made again; give R-CNN's files by --proposals for the same ones

Net      : CaffeNet, as the paper; its weights are a file that --weights names
Data     : VOC 2007 below DATA_ROOT (0.9 GB; `decaf datasets get voc2007`); features of the
           trainval images take 20 GB (fc6) to 370 GB (pool5) in float32
Minutes  : about 2000 on 2 cores, an estimate from 160 regions a second; --route roi takes a tenth

    python pipelines/rcnn_voc2007.py --weights FILE [--data-root data] [--results results]
        [--layers pool5,fc6,fc7] [--route crop] [--proposals selective]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from decaf import Compute, Detection, Net, Source, evaluate_detector, train_detector
from decaf.published import published_figures
from decaf.report import print_whole
from decaf.report.detection_table import detection_grid
from decaf.report.terminal import terminal_grid


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and test a detector on each layer, and print the published figure below it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("data-root", "features", "results"):
        parser.add_argument(f"--{name}", type=Path, default=Path(name.partition("-")[0]))
    parser.add_argument("--dataset", default="voc2007")
    parser.add_argument("--backbone", default="caffenet")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--layers", default="pool5,fc6,fc7")
    parser.add_argument("--route", default="crop")
    parser.add_argument("--proposals", default="selective")
    parser.add_argument("--max-proposals", type=int, default=2400)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    source = Source(options.data_root, features=options.features)
    compute = Compute(options.device)
    how = Detection(options.route, options.proposals, options.max_proposals, no_box_regression=True)
    for layer in options.layers.split(","):
        out = options.results / f"rcnn-{layer}.csv"
        net = Net(options.backbone, options.weights, layer)
        model = train_detector(
            options.dataset, net, how, source=source, compute=compute,
            out=out.with_suffix(".safetensors"),
        )  # fmt: skip
        result = evaluate_detector(model, options.dataset, source=source, compute=compute, out=out)
        print_whole(terminal_grid(detection_grid(result)))
        for figure in published_figures():
            cell = (figure.dataset, figure.protocol, figure.system, figure.layer, figure.category)
            if cell == ("voc2007", "rcnn", "R-CNN", layer, ""):
                print(
                    f"published with {layer}: {100 * figure.value:.1f} (11-point; {figure.source})"
                )


if __name__ == "__main__":
    main()
