"""Data sets as image tables: named ones, folders of class folders, CSV files."""

from decaf.datasets.fetch import fetch
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.load import ADAPTERS, dataset_infos, load_dataset
from decaf.datasets.table import dataset_digest, image_table, slice_rows, take

__all__ = [
    "ADAPTERS",
    "Archive",
    "DatasetInfo",
    "dataset_digest",
    "dataset_infos",
    "fetch",
    "image_table",
    "load_dataset",
    "slice_rows",
    "take",
]
