"""DeCAF's table of fine-grained birds, without part models.

Paper    : Donahue et al., DeCAF, arXiv 1310.1531 (ICML 2014), section 4.3
Expected : mean accuracy 58.75 of logistic regression on DeCAF6, on images cropped to 1.5 times
           the bird's box; the images as they are, which is not published, follow for comparison

Net      : torchvision's AlexNet, which is not DeCAF's (one tower, no response normalisation)
Data     : CUB-200-2011 below DATA_ROOT (1.2 GB; `decaf datasets get birds`)
Minutes  : about 8 on 2 cores, an estimate from 60 images a second

    python pipelines/decaf_birds.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate with boxes and without."""
    options = read_options(__doc__, arguments)
    boxed = evaluate(options, "birds", "decaf", layers="fc6", heads="logreg")
    evaluate(
        options, "birds", "decaf", layers="fc6", heads="logreg", box="none", name="birds-whole"
    )
    compare([boxed])


if __name__ == "__main__":
    main()
