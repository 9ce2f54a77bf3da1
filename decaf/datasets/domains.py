"""A folder of domains as a data set: ``DIR/<domain>/<class>/*.jpg``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from decaf.datasets.folder import load_folder
from decaf.datasets.image_tables import image_table, names_of
from decaf.datasets.listing import folders
from decaf.datasets.order import natural_sorted
from decaf.errors import DataError
from decaf.types import ImageDataset


def load_domains(folder: Path) -> ImageDataset:
    """Read a folder of domains, each of which is a folder of class folders.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; its name is the data set's.

    Returns
    -------
    ImageDataset
        Domain after domain, with the classes of all of them.

    Raises
    ------
    DataError
        There are not two domains, or one is laid out otherwise.
    """
    found = folders(folder)
    if len(found) < 2:
        raise DataError(
            f"asked for the domains of {folder}, found the folders {', '.join(found) or 'none'}; "
            "lay the images out as <domain>/<class>/<image>, two domains or more"
        )
    return joined(folder.resolve().name, folder, {name: name for name in found})


def joined(name: str, root: Path, places: Mapping[str, str]) -> ImageDataset:
    """Return the images of several domains as one table.

    Parameters
    ----------
    name : str
        Name of the data set.
    root : pathlib.Path
        Folder that holds the domains.
    places : mapping of str to str
        Of each domain, its folder of class folders, relative to `root`.

    Raises
    ------
    DataError
        A domain has an official split, or is laid out otherwise.
    """
    tables = {domain: load_folder(root / place) for domain, place in places.items()}
    for domain, table in tables.items():
        if table.official is not None:
            raise DataError(
                f"domain {domain} of {name} holds {', '.join(folders(root / places[domain]))}, "
                "a split of its own; lay the images out as <domain>/<class>/<image>"
            )
    class_names = natural_sorted({one for table in tables.values() for one in table.class_names})
    numbers = {one: number for number, one in enumerate(class_names)}
    ids = [f"{places[d]}/{image_id}" for d, table in tables.items() for image_id in table.image_ids]
    labels = [
        np.array([numbers[one] for one in table.class_names])[table.labels]
        for table in tables.values()
    ]
    sizes = np.concatenate([table.sizes_bytes for table in tables.values()])
    of = [domain for domain, table in tables.items() for _ in table.image_ids]
    whole = image_table(name, root, ids, np.concatenate(labels), class_names, sizes_bytes=sizes)
    return replace(whole, domains=names_of(name, of))
