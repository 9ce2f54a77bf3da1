"""Birds by their parts: box, head and body from the true points.

Paper    : Zhang et al., Part-based R-CNNs, ECCV 2014 (oracle parts); Donahue et al., DeCAF, arXiv
           1310.1531, section 4.3 (DPD + DeCAF6)
Expected : mean accuracy above that of the box alone (58.75 by DeCAF's logistic regression). DPD +
           DeCAF6 has 64.96 with parts that a model finds; its weights are not to be had, so that
           figure is a reference only

Net      : torchvision's AlexNet, fc6
Data     : CUB-200-2011 below DATA_ROOT (1.2 GB; `decaf datasets get birds`)
Minutes  : about 20 on 2 cores, an estimate from 35 000 regions at 30 a second

    python pipelines/birds_parts.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, read_options

import decaf
from decaf import Compute, Net, Source
from decaf.detection import extract_bird_parts
from decaf.report import print_whole, terminal_table


def main(arguments: Sequence[str] | None = None) -> None:
    """Extract the parts, and evaluate them side by side."""
    options = read_options(__doc__, arguments)
    net = Net(
        options.backbone, options.weights, options.layers or "fc6", pool=options.pool or "none"
    )
    source = Source(
        options.data_root, allow_partial=options.allow_partial, features=options.features
    )
    compute, out = Compute(options.device), options.results / "birds-parts.csv"
    store = extract_bird_parts(
        net, source=source, compute=compute, out=options.features / "birds-parts.h5"
    )
    table = decaf.evaluate(store, heads=options.heads or "svm", compute=compute, out=out)
    print_whole(terminal_table(table, out))
    compare([table])


if __name__ == "__main__":
    main()
