"""Arguments that several commands share; other options are fields of `decaf.records`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from decaf.cli.from_records import declared
from decaf.errors import ConfigError
from decaf.records import Compute, Net, Source


def _known(dataset: str | None) -> str | None:
    """Refuse an unknown data set before torch is imported, which takes seconds."""
    from decaf.datasets.adapters import require_known

    if dataset is not None:
        require_known(dataset)
    return dataset


_DATASET = typer.Option(
    callback=_known,
    metavar="DATASET",
    help="Name of a data set; a folder of class folders or .tar archives, here or at a URL; "
    "a zip of class folders; or a CSV of path,label[,split][,group].",
)
Dataset = Annotated[str, _DATASET]
Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A published rule for this data set, such as decaf, zf, chatfield, kornblith, "
        "razavian or fair-svm; for any data set: holdout, kfold. The data set's default if "
        "not given.",
    ),
]

DataRoot = Annotated[Path, declared(Source, "data_root")]
Weights = Annotated[str, declared(Net, "weights")]
ModelWeights = Annotated[
    str | None, declared(Net, "weights", "If not given, those of the training, where they were.")
]
StoreLayers = Annotated[str | None, declared(Net, "layers")]
Sample = Annotated[int, declared(Source, "limit", "2000 if not given.")]
Seed = Annotated[int, declared(Net, "seed")]
AllowCode = Annotated[bool, declared(Net, "allow_code")]
Device = Annotated[str, declared(Compute, "device")]
Quiet = Annotated[bool, declared(Compute, "quiet")]


@dataclass(frozen=True)
class StoreOrDataset:
    """A store or a data set, whichever is given."""

    store: Annotated[
        Path | None,
        typer.Argument(help="A store (.h5), instead of --dataset.", show_default=False),
    ] = None
    dataset: Annotated[str | None, _DATASET] = None

    def only(self) -> str:
        """Return the one that is given.

        Raises
        ------
        ConfigError
            If it is both, or neither, or no store.
        """
        store, dataset = self.store, self.dataset
        if (store is None) == (dataset is None):
            found = "neither" if store is None else "both"
            raise ConfigError(f"asked for a store or a --dataset, found {found}; give one of them")
        if store is not None and store.suffix != ".h5":
            raise ConfigError(f"asked for the store {store}, found no .h5; give --dataset {store}")
        return str(store or dataset)
