"""Caltech-101: 9 144 images of 101 kinds of objects and a background class.

References
----------
Fei-Fei, Fergus and Perona, Learning generative visual models from few training examples, 2004.
"""

from pathlib import Path

from decaf.datasets.fetch import fetch
from decaf.datasets.image_tables import image_table
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.listing import image_names
from decaf.errors import DataError
from decaf.types import ImageDataset

_RECORD = "https://data.caltech.edu/records/mzrjq-6wc02"

INFO = DatasetInfo(
    name="caltech101",
    tree="caltech101/101_ObjectCategories",
    n_images=9144,
    n_classes=102,
    licence="CC BY 4.0",
    home=_RECORD,
    archives=(
        Archive(
            file="caltech-101.zip",
            urls=(f"{_RECORD}/files/caltech-101.zip",),
            size_bytes=137_414_764,
            checksum="sha256:331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
            inner=("caltech-101/101_ObjectCategories.tar.gz",),
        ),
    ),
)

# Published images of each class; other folders, such as the stray `tmp`, are passed over.
COUNTS: dict[str, int] = {
    "BACKGROUND_Google": 467, "Faces": 435, "Faces_easy": 435, "Leopards": 200, "Motorbikes": 798,
    "accordion": 55, "airplanes": 800, "anchor": 42, "ant": 42, "barrel": 47, "bass": 54,
    "beaver": 46, "binocular": 33, "bonsai": 128, "brain": 98, "brontosaurus": 43, "buddha": 85,
    "butterfly": 91, "camera": 50, "cannon": 43, "car_side": 123, "ceiling_fan": 47,
    "cellphone": 59, "chair": 62, "chandelier": 107, "cougar_body": 47, "cougar_face": 69,
    "crab": 73, "crayfish": 70, "crocodile": 50, "crocodile_head": 51, "cup": 57, "dalmatian": 67,
    "dollar_bill": 52, "dolphin": 65, "dragonfly": 68, "electric_guitar": 75, "elephant": 64,
    "emu": 53, "euphonium": 64, "ewer": 85, "ferry": 67, "flamingo": 67, "flamingo_head": 45,
    "garfield": 34, "gerenuk": 34, "gramophone": 51, "grand_piano": 99, "hawksbill": 100,
    "headphone": 42, "hedgehog": 54, "helicopter": 88, "ibis": 80, "inline_skate": 31,
    "joshua_tree": 64, "kangaroo": 86, "ketch": 114, "lamp": 61, "laptop": 81, "llama": 78,
    "lobster": 41, "lotus": 66, "mandolin": 43, "mayfly": 40, "menorah": 87, "metronome": 32,
    "minaret": 76, "nautilus": 55, "octopus": 35, "okapi": 39, "pagoda": 47, "panda": 38,
    "pigeon": 45, "pizza": 53, "platypus": 34, "pyramid": 57, "revolver": 82, "rhino": 59,
    "rooster": 49, "saxophone": 40, "schooner": 63, "scissors": 39, "scorpion": 84, "sea_horse": 57,
    "snoopy": 35, "soccer_ball": 64, "stapler": 45, "starfish": 86, "stegosaurus": 59,
    "stop_sign": 64, "strawberry": 35, "sunflower": 85, "tick": 49, "trilobite": 86, "umbrella": 75,
    "watch": 239, "water_lilly": 37, "wheelchair": 59, "wild_cat": 34, "windsor_chair": 56,
    "wrench": 39, "yin_yang": 60,
}  # fmt: skip


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read Caltech-101, after fetching it if it is not there.

    Returns
    -------
    ImageDataset
        Ids are ``<class>/image_NNNN.jpg``; the background class comes first.
    """
    if not INFO.is_present(data_root):
        fetch(INFO, data_root)
    tree = INFO.require(data_root)
    files = {name: image_names(tree / name) if (tree / name).is_dir() else [] for name in COUNTS}
    for name, published in COUNTS.items():
        if len(files[name]) > published:
            raise DataError(
                f"data set {INFO.name}: {tree / name} holds {len(files[name])} images, more "
                f"than the published {published}; remove what was added"
            )
    missing = [
        f"in {name} ({len(files[name])} of {published})"
        for name, published in COUNTS.items()
        if len(files[name]) < published
    ]
    ids = [f"{name}/{file}" for name in COUNTS for file in files[name]]
    partial = INFO.check_complete(len(ids), missing, tree, allow_partial=allow_partial)
    labels = [number for number, name in enumerate(COUNTS) for _ in files[name]]
    return image_table(INFO.name, tree, ids, labels, tuple(COUNTS), partial=partial)
