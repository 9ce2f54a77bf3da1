"""A made-up result: DeCAF's `fc6` on Caltech-101."""

from decaf.results import Result

ONE = Result(
    dataset="caltech101",
    backbone="alexnet",
    weights="imagenet",
    weights_sha256="0" * 64,
    layer="fc6",
    head="svm",
    C=0.1,
    protocol="decaf",
    shots=30,
    split=0,
    seed=0,
    metric="mean_per_class",
    value=0.85,
    other_metric="top1",
    other_value=0.86,
    n_classes=102,
    n_train=3060,
    n_test=6084,
    seconds_fit=1.0,
    converged=True,
    c_at_edge=False,
    partial=False,
    normalize="none",
    pool="none",
    view="warp",
    digest="abc",
    decaf_version="0.1",
)
