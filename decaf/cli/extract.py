"""`decaf extract`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options


def extract(
    *,
    dataset: options.Dataset,
    backbone: options.Backbone = "alexnet",
    weights: options.Weights = "imagenet",
    layers: options.Layers = None,
    pool: options.Pool = "none",
    views: options.Views = "center",
    box: options.Box = "none",
    box_scale: options.BoxScale = 1.5,
    patch_scales: options.PatchScales = None,
    patches_per_image: options.PatchesPerImage = None,
    patch_edges: options.PatchEdges = None,
    out: Annotated[
        Path, typer.Option(help="The store (.h5), or a folder for a store named by its digest.")
    ] = Path("features"),
    device: options.Devices = "auto",
    precision: options.Precision = "fp32",
    dtype: options.Dtype = "float32",
    pixels: options.Pixels = "auto",
    batch_size: options.BatchSizeOrAuto = None,
    workers: options.Workers = None,
    limit: options.Limit = None,
    shard: options.Shard = None,
    engine: options.Engine = "local",
    num_workers: options.NumWorkers = None,
    address: options.Address = None,
    data_root: options.DataRoot = Path("data"),
    allow_partial: options.AllowPartial = False,
    max_failures: options.MaxFailures = 0.05,
    seed: options.Seed = 0,
    allow_code: options.AllowCode = False,
    quiet: options.Quiet = False,
) -> None:
    """Extract layers of a net for every image into a feature store."""
    arguments = dict(locals())
    from decaf import extraction

    border.say(extraction.extract(**arguments))
