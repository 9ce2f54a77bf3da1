"""MIT-67, indoor scenes: the 6 700 images of its official lists, in 67 classes.

References
----------
Quattoni and Torralba, Recognizing indoor scenes, 2009.
"""

from pathlib import Path

from decaf.datasets.image_tables import image_table, official_sides, only_present
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.lists import read_lines
from decaf.types import ImageDataset

INFO = DatasetInfo(
    name="mit67",
    tree="mit67/Images",
    n_images=6700,
    n_classes=67,
    n_sides=(5360, 0, 1340),
    licence="research use",
    home="https://web.mit.edu/torralba/www/indoor.html",
    archives=(
        Archive(
            file="indoorCVPR_09.tar",
            urls=("https://groups.csail.mit.edu/vision/LabelMe/NewImages/indoorCVPR_09.tar",),
        ),
        Archive("TrainImages.txt", ("https://web.mit.edu/torralba/www/TrainImages.txt",)),
        Archive("TestImages.txt", ("https://web.mit.edu/torralba/www/TestImages.txt",)),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read MIT-67.

    Returns
    -------
    ImageDataset
        The 5 360 images of the training list, then the 1 340 of the test list. The other 8 920
        images of the archive are in no list.
    """
    tree = INFO.require(data_root)
    train = read_lines(tree.parent / "TrainImages.txt")
    test = read_lines(tree.parent / "TestImages.txt")
    ids = [*train, *test]
    names = [image_id.split("/")[0] for image_id in ids]
    class_names = sorted(set(names))
    numbers = {name: number for number, name in enumerate(class_names)}
    table = image_table(
        INFO.name,
        tree,
        ids,
        [numbers[name] for name in names],
        class_names,
        official=official_sides(INFO.name, ["train"] * len(train) + ["test"] * len(test)),
    )
    return only_present(INFO, table, allow_partial=allow_partial)
