"""Options that several commands share, each with its help text, in one place.

The defaults stand in the commands' signatures, where a test compares them with the library's.
"""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices

_NET, _DATA, _RUN = "The net", "The images", "The run"


def _known(dataset: str) -> str:
    """Refuse an unknown data set before torch is imported, which takes seconds."""
    from decaf.datasets.adapters import require_known

    require_known(dataset)
    return dataset


def _known_pool(pool: str) -> str:
    choices.check_pool(pool)
    return pool


Dataset = Annotated[
    str,
    typer.Option(
        callback=_known,
        help="Name of a data set; a folder of class folders or .tar archives, here or at a URL; "
        "or a CSV of path,label[,split].",
        rich_help_panel=_DATA,
    ),
]
DataRoot = Annotated[
    Path, typer.Option(help="Folder that holds the named data sets.", rich_help_panel=_DATA)
]
AllowPartial = Annotated[
    bool,
    typer.Option(
        "--allow-partial",
        help="Accept a data set with images missing; results are marked.",
        rich_help_panel=_DATA,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Take only N images, evenly spaced.", rich_help_panel=_DATA),
]
Shard = Annotated[
    str | None,
    typer.Option(
        help="I/N: only the I-th of N parts, into a file of its own; see `decaf store join`.",
        rich_help_panel=_RUN,
    ),
]
MaxFailures = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Share of unusable images above which the run fails.",
        rich_help_panel=_DATA,
    ),
]
Pixels = Annotated[
    choices.Pixels,
    typer.Option(
        help="auto (fastest decoder, same bits), pillow, or gpu (nvJPEG, slightly other pixels).",
        rich_help_panel=_DATA,
    ),
]
PatchScales = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated: a patch is as wide as the shorter side divided by this.",
        rich_help_panel=_DATA,
    ),
]
PatchesPerImage = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many patches of an image.", rich_help_panel=_DATA),
]
PatchEdges = Annotated[
    choices.PatchEdges | None,
    typer.Option(
        help="clip: patches lie within the image; reflect: they reach beyond, mirrored.",
        rich_help_panel=_DATA,
    ),
]
BackgroundShare = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Share of the background patches of training images that is kept.",
        rich_help_panel=_DATA,
    ),
]
Backbone = Annotated[
    str,
    typer.Option(
        help="Name of the net, see `decaf models`; timm/NAME; package.module:function.",
        rich_help_panel=_NET,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        help="imagenet, random, one of torchvision's entries, or a .safetensors, .onnx, "
        ".caffemodel or .pth file.",
        rich_help_panel=_NET,
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated layers; see `decaf layers`. The net's own of pool5,fc6,fc7 "
        "if not given.",
        rich_help_panel=_NET,
    ),
]
Pool = Annotated[
    str,
    typer.Option(
        callback=_known_pool,
        help="How maps become vectors: none, avg, max or grid:N; tokens: cls or mean.",
        rich_help_panel=_NET,
    ),
]
Views = Annotated[
    choices.View | None,
    typer.Option(
        help="center, warp, squash, ten-crop or razavian-16; patches or dense: a row a patch. "
        "The protocol's if not given.",
        rich_help_panel=_NET,
    ),
]
Box = Annotated[
    choices.Box | None,
    typer.Option(
        help="crop (to the data set's boxes) or none; the protocol's if not given.",
        rich_help_panel=_NET,
    ),
]
BoxScale = Annotated[
    float | None,
    typer.Option(
        help="With --box crop: factor for a box's width and height; the protocol's if not given.",
        rich_help_panel=_NET,
    ),
]
Precision = Annotated[
    choices.Precision,
    typer.Option(
        help="What the net computes in: fp32, bf16, fp16, or auto: bf16 where the device has it.",
        rich_help_panel=_NET,
    ),
]
Normalize = Annotated[choices.Normalize, typer.Option(help="none, l2, standard or signed-square.")]
Dtype = Annotated[
    choices.Dtype, typer.Option(help="float32 or float16: what is stored.", rich_help_panel=_NET)
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_RUN)]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Images in one pass; 32 on a CPU, 256 on a GPU if not given.",
        rich_help_panel=_RUN,
    ),
]
Devices = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:N, or cuda:all for every GPU here.", rich_help_panel=_RUN
    ),
]
BatchSizeOrAuto = Annotated[
    str | None,
    typer.Option(
        help="Images in one pass, or auto to try; 32 on a CPU, 256 on a GPU if not given.",
        metavar="N|auto",
        rich_help_panel=_RUN,
    ),
]
Engine = Annotated[
    choices.Engine,
    typer.Option(help="local, or ray: actors of a Ray cluster.", rich_help_panel=_RUN),
]
NumWorkers = Annotated[
    int | None,
    typer.Option(min=1, help="With ray, number of actors.", rich_help_panel=_RUN),
]
Address = Annotated[
    str | None,
    typer.Option(help="With ray, address of a running cluster.", rich_help_panel=_RUN),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Threads; one a core if not given.", rich_help_panel=_RUN),
]
Seed = Annotated[
    int, typer.Option(help="Seed of splits and of random weights.", rich_help_panel=_RUN)
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Import and call a backbone given as package.module:function.",
        rich_help_panel=_NET,
    ),
]
Recipe = Annotated[
    str,
    typer.Option(
        help="How to fine-tune, as epochs=40,rate=1e-3,crops=0; see decaf.finetuning.Recipe.",
        rich_help_panel="The training",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="No progress on stderr.", rich_help_panel=_RUN)
]
