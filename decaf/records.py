"""The options of decaf, each declared once: its type, default, allowed words, bounds and help.

The functions take these records; the command line, the checks and the documentation are made of
their fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from pathlib import Path
from typing import Any

from decaf.choices import (
    Box,
    ClassWeights,
    Decoder,
    Distance,
    Dtype,
    Engine,
    Normalize,
    PatchEdges,
    PatchPool,
    Pool,
    Precision,
    Runtime,
    SearchQueries,
    ViewName,
)
from decaf.fields import Record, is_record, numbers, option, record, takes_records, words

__all__ = [
    "Cluster",
    "Compute",
    "Fit",
    "Images",
    "Net",
    "Overrides",
    "Patches",
    "Record",
    "Search",
    "SearchTest",
    "Source",
    "Space",
    "View",
    "is_record",
    "numbers",
    "takes_records",
    "words",
]


def _seed() -> Any:
    return option(
        default=0, about="Seed of random weights, and of all that is drawn.", low=0, high=2**32 - 1
    )


def _layers() -> Any:
    return option(
        default=None,
        about="Comma-separated layers, see `decaf layers`; if not given, of a net its own of "
        "pool5,fc6,fc7, and of a store all.",
    )


def _data_root() -> Any:
    return option(default="data", about="Folder that holds the named data sets.", metavar="FOLDER")


@record
class Net(Record):
    """The net and what is taken of it: decides the values of features."""

    backbone: Any = option(
        default="alexnet",
        about="A net from `decaf models`, timm/NAME, package.module:function, or a loaded net; "
        "to extract or evaluate several in one pass over the images: comma-separated.",
        metavar="NET",
    )
    weights: str = option(
        default="imagenet",
        about="imagenet, random, one of torchvision's entries, or a .safetensors, .pth, .onnx or "
        ".caffemodel file; of several nets the same for all, or one each, comma-separated.",
        metavar="WEIGHTS",
    )
    layers: str | Sequence[str] | None = _layers()
    pool: Pool = option(
        default="none",
        about="How maps become vectors: none, avg, max or grid:N; for search gem:P, spoc, crow or "
        "rmac; of tokens: cls or mean.",
    )
    precision: Precision = option(
        default="fp32", about="What the net computes in; auto: bf16 where the device has it."
    )
    runtime: Runtime = option(
        default="auto",
        about="What runs the net on a CPU: torch, or onnx (ONNX Runtime); auto: the faster one.",
    )
    dtype: Dtype = option(default="float32", about="What is stored.")
    seed: int = _seed()
    allow_code: bool = option(
        default=False, about="Import and call a backbone package.module:function."
    )

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers, each once; none where they are the net's own."""
        return words(self.layers)


@record
class Patches(Record):
    """Which patches of an image are rows; where a field is None, the model or protocol decides."""

    _: KW_ONLY
    patch_scales: str | Sequence[float] | None = option(
        default=None,
        about="Comma-separated: a patch is as wide as the shorter side divided by this.",
    )
    patches_per_image: int | None = option(
        default=None, about="At most so many patches of an image.", low=1
    )
    patch_edges: PatchEdges | None = option(
        default=None, about="clip: patches lie within the image; reflect: they go on, mirrored."
    )

    def rule(self) -> dict[str, Any]:
        """Return the fields of a `decaf.types.PatchRule` that are given."""
        scales = self.patch_scales
        given: Mapping[str, Any] = {
            "scales": None if scales is None else numbers("patch_scales", scales),
            "per_image": self.patches_per_image,
            "edges": self.patch_edges,
        }
        return {name: value for name, value in given.items() if value is not None}


@record
class View(Patches):
    """What a row shows of an image; where a field is None, the protocol decides."""

    view: ViewName | None = option(
        default=None,
        about="Crop or warp of the image; patches, dense: a row a patch. The protocol's, or "
        "center.",
    )
    box: Box | None = option(
        default=None, about="crop: views of the data set's boxes; none: of whole images."
    )
    box_scale: float | None = option(
        default=None,
        about="With box crop, factor for a box's width and height; 1.5 if not given.",
        low=0,
    )


@record
class Images(Record):
    """Where the images behind a store, or behind results, are."""

    images: str | Path | None = option(
        default=None,
        about="Folder, archives, URL or CSV file of the images; the named data set's own if not "
        "given.",
    )
    data_root: str | Path = _data_root()


@record
class Source(Record):
    """Which images, and where stores of their features are kept."""

    data_root: str | Path = _data_root()
    limit: int | None = option(
        default=None, about="Take only so many images, evenly spaced.", low=1
    )
    allow_partial: bool = option(
        default=False, about="Accept a named data set with images missing; results are marked."
    )
    group_by: str | None = option(
        default=None,
        about="What images of a group share, which no split parts: a level of the folders "
        "(1, -1), content (identical files), or a regular expression on the path.",
        metavar="LEVEL",
    )
    domains: str | None = option(
        default=None,
        about="SOURCE:TARGET of office31, or of a folder <domain>/<class>/<image>: heads train in "
        "one domain and are tested in the other.",
        metavar="SOURCE:TARGET",
    )
    decoder: Decoder = option(
        default="auto",
        about="Who decodes; auto: the fastest with Pillow's bits; gpu: nvJPEG, slightly other "
        "pixels.",
    )
    features: str | Path = option(
        default="features",
        about="Folder of the stores, or a store (.h5).",
        metavar="PATH",
    )


@record
class Compute(Record):
    """Where and how it runs; decides no value."""

    device: str = option(
        default="auto",
        about="auto, cpu, cuda, cuda:N, or cuda:all for every GPU here.",
    )
    batch_size: str | int | None = option(
        default=None,
        about="Images in one pass, or auto to try; 16 to 256 by device and layers if not given.",
        low=1,
        metavar="N|auto",
    )
    workers: int | None = option(default=None, about="Threads; one a core if not given.", low=0)
    max_failures: float = option(
        default=0.05, about="Share of unusable images above which the run fails.", low=0, high=1
    )
    quiet: bool = option(default=False, about="No progress on stderr.")


@record
class Cluster(Record):
    """Extraction spread over machines."""

    engine: Engine = option(
        default="local", about="The threads of this process, or actors of a Ray cluster."
    )
    num_workers: int | None = option(default=None, about="With ray, number of actors.", low=1)
    address: str | None = option(
        default=None, about="With ray, address of a running cluster.", metavar="HOST:PORT"
    )
    shard: str | None = option(
        default=None,
        about="I/N: only the I-th of N parts, into a file of its own; see `decaf store join`.",
        metavar="I/N",
    )


@record
class Space(Record):
    """Which settings are searched."""

    space: str = option(
        default="normalize=none,l2,standard; head=svm,logreg",
        about="NAME=A,B;... of layer, pool, normalize and head; C is always chosen beside.",
        metavar="NAME=A,B;...",
    )
    trials: int = option(
        default=60, about="How many settings are drawn of more than 200; of fewer all are.", low=1
    )


@record
class Fit(Record):
    """How a head is trained; where a field is None, the protocol decides."""

    normalize: Normalize | None = option(default=None, about="What is done to features first.")
    c_grid: str | Sequence[float] | None = option(
        default=None, about="Comma-separated values of C to choose from."
    )
    patch_power: float | None = option(
        default=None, about="Power of a patch's probability in the image's score.", low=0
    )
    background_share: float | None = option(
        default=None, about="Share of the background patches that train.", low=0, high=1
    )
    class_weight: ClassWeights | None = option(
        default=None, about="balanced: each class weighs as much as any other; for svm, logreg."
    )
    seed: int = _seed()


@record
class Overrides(Fit):
    """What replaces a protocol's fields; where a field is None, the protocol decides."""

    view: View = option(default=View(), about="What a row shows of an image.")
    train_per_class: str | int | Sequence[str | int] | None = option(
        default=None,
        about="Training images per class, as 1,5,10, or shares of them, as 1%,5%,25%.",
        metavar="A,B,...",
    )
    splits: int | None = option(default=None, about="Number of splits.", low=1)
    splits_file: str | Path | None = option(
        default=None,
        about="The splits: replayed if the file is there, else written to it.",
        metavar="FILE",
    )
    drop_classes: str | Sequence[str] | None = option(
        default=None,
        about="Comma-separated classes to leave out, as BACKGROUND_Google or 257.clutter.",
    )
    patch_pool: PatchPool | None = option(
        default=None, about="An image's score: mean or max over its patches."
    )
    metrics: str | Sequence[str] | None = option(
        default=None,
        about="Comma-separated, beside the protocol's own: top5, macro-f1, auroc, log-loss, ece.",
    )
    keep_scores: bool = option(
        default=False,
        about="Write what is predicted for each test image, as NAME-predictions.csv, and keep "
        "the scores, as NAME-scores/KEY-SEED-SPLIT.npz; a report then lists all errors.",
    )
    train_on: str | Sequence[str] | None = option(
        default=None,
        about="With --domains, comma-separated: S (source), T (the target's few labelled images), "
        "ST (both).",
    )
    adapt: str | Sequence[str] | None = option(
        default=None,
        about="With --domains, comma-separated: none, coral, sa (subspace alignment), daume.",
    )
    controls: bool = option(
        default=False,
        about="Beside it the same net with random weights, bare pixels, and chance.",
    )
    recipe: Any = option(
        default="",
        about="How fine-tuning trains, as blocks=2,epochs=40,lr=1e-3; blocks: a number of last "
        "ones, or all; see decaf.finetuning.Recipe.",
        metavar="NAME=VALUE,...",
    )


@record
class Search(Record):
    """What is looked for, and how near is measured."""

    k: int = option(default=10, about="Answers for each query.", low=1)
    layer: str | None = option(default=None, about="Layer of the store; its last one if not given.")
    metric: Distance = option(
        default="cosine", about="One minus the cosine, or the Euclidean distance (l2)."
    )
    index: str | Path | None = option(
        default=None,
        about="An index of the store, asked instead of every row.",
        metavar="FOLDER",
    )
    expand: int = option(
        default=0,
        about="Average query expansion: search again by the mean of the query and so many answers.",
        low=0,
    )
    augment: int = option(
        default=0,
        about="Each row that is searched becomes the mean of itself and so many of its nearest.",
        low=0,
    )


@record
class SearchTest(Record):
    """By what a store's rows are ranked, and for which queries."""

    layers: str | Sequence[str] | None = _layers()
    dims: str | float | Sequence[float] = option(
        default="0", about="Comma-separated numbers of dimensions after PCA; 0: all, without PCA."
    )
    codes: str | Sequence[str] = option(
        default="float32",
        about="Separated by commas or, where a code has some itself, by blanks: float32, "
        "spherical:BITS, hamming:BITS, or a factory string of faiss.",
    )
    queries: SearchQueries = option(
        default="leave-one-out",
        about="Every row asks for the others of its label, or of its group; or the data set's own "
        "queries and measure.",
    )
    whiten: bool = option(default=False, about="Divide by the standard deviations after PCA.")
    seed: int = _seed()
