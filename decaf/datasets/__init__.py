"""Data sets as image tables: named ones, folders, tar archives, URLs, CSV files."""

from decaf.datasets.adapters import ADAPTERS, dataset_infos, load_dataset
from decaf.datasets.fetch import fetch
from decaf.datasets.image_tables import image_table, slice_rows, take
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.read import ImageFiles, read_bytes, read_image
from decaf.datasets.stamps import stamp_of
from decaf.table_digest import dataset_digest

__all__ = [
    "ADAPTERS",
    "Archive",
    "DatasetInfo",
    "ImageFiles",
    "dataset_digest",
    "dataset_infos",
    "fetch",
    "image_table",
    "load_dataset",
    "read_bytes",
    "read_image",
    "slice_rows",
    "stamp_of",
    "take",
]
