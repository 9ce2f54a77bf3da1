"""DeCAF's table of domain adaptation: Office, from Amazon or a DSLR camera to a webcam.

Paper    : Donahue et al., DeCAF, arXiv 1310.1531 (ICML 2014), section 4.2, table 2
Expected : accuracy, mean ± deviation of 5 splits, as a secondary text has it: S trains on the
           source, T on three labelled target images a class, ST on both

           |             | A → W DeCAF6 | A → W DeCAF7 | D → W DeCAF6 | D → W DeCAF7 |
           | LogReg (S)  | 48.6 ± 1.3   | 53.6 ± 1.5   | 88.8 ± 1.2   | 87.4 ± 2.2   |
           | SVM (S)     | 52.2 ± 1.7   | 53.9 ± 2.2   | 91.5 ± 1.5   | 89.2 ± 1.7   |
           | LogReg (T)  | 72.6 ± 2.1   | 74.2 ± 2.8   | the same     | the same     |
           | SVM (T)     | 78.3 ± 2.6   | 78.7 ± 2.3   | the same     | the same     |
           | LogReg (ST) | 75.3 ± 2.0   | 76.3 ± 2.0   | 92.9 ± 0.6   | 91.9 ± 2.0   |
           | SVM (ST)    | 80.7 ± 2.3   | 79.1 ± 2.1   | 94.8 ± 1.2   | 93.0 ± 2.0   |
           | Daumé       | 82.1 ± 1.9   | 81.7 ± 2.4   | 91.3 ± 1.1   | 89.5 ± 2.2   |

Net      : torchvision's AlexNet, which is not DeCAF's (one tower, no response normalisation)
Data     : Office (4 110 images) below DATA_ROOT, to be had by hand
Minutes  : about 5 on 2 cores, an estimate

    python pipelines/decaf_table2_office.py [--data-root data] [--results results]

Any other folder <domain>/<class>/<image> is taken as well, with groups that no split parts:

    python pipelines/decaf_table2_office.py --dataset two-styles --group-by "[^/]+$"
        --pairs noto:twemoji,twemoji:noto --adapt none,coral,sa,daume --controls yes
"""

from collections.abc import Sequence
from pathlib import Path

from common import compare, evaluate, read_options

from decaf.report.plots import plot_domains


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate every pair of domains, and draw them."""
    options = read_options(
        __doc__,
        arguments,
        dataset="office31",
        pairs="amazon:webcam,dslr:webcam",
        adapt="none,daume",
        group_by="",
        controls="",
    )
    name = Path(options.dataset).name
    tables = [
        evaluate(
            options, options.dataset, "office-sampled", layers="fc6,fc7", heads="logreg,svm",
            domains=pair, adapt=options.adapt, group_by=options.group_by or None,
            controls=bool(options.controls), name=f"decaf-table2-{name}",
        )
        for pair in options.pairs.split(",")
    ]  # fmt: skip
    results = options.results / f"decaf-table2-{name}.csv"
    plot_domains([results], out=results.with_suffix(".svg"))
    compare(tables)


if __name__ == "__main__":
    main()
