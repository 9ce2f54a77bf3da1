"""What a nested search of settings found: inside the training rows, and outside of them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from decaf.escapes import csv_cell
from decaf.metrics import Summary, summary
from decaf.whole_files import write_whole


@dataclass(frozen=True)
class ChosenSetting:
    """The setting that one split chose.

    Attributes
    ----------
    split : int
        Number of the split, from 0.
    setting : str
        Layer, pooling, normalisation and head.
    C : float or None
        The C beside; None for a head without one.
    inner, outer : float
        The score that chose it, of training rows, and the score of the test rows.
    n_train, n_test : int
        Rows of the split.
    """

    split: int
    setting: str
    C: float | None
    inner: float
    outer: float
    n_train: int
    n_test: int


@dataclass(frozen=True)
class SearchTable:
    """Results of a nested search.

    Attributes
    ----------
    dataset, backbone, protocol, metric : str
        What was searched on.
    seed : int
        Of the protocol, and of the draw of settings.
    n_space : int
        Settings in the whole space, of which `inner` holds those that were tried.
    inner : dict of str to tuple of float
        Of each setting its inner scores, one for each split in which it was tried on all training
        rows.
    chosen : tuple of ChosenSetting
        The choice of each split.
    n_classes : int
        Classes of the data set.
    """

    dataset: str
    backbone: str
    protocol: str
    metric: str
    seed: int
    n_space: int
    inner: dict[str, tuple[float, ...]]
    chosen: tuple[ChosenSetting, ...]
    n_classes: int

    def __repr__(self) -> str:
        return self.to_frame().to_string(index=False)

    @property
    def outer(self) -> Summary:
        """The choices' scores of test rows, over splits."""
        return summary([one.outer for one in self.chosen])

    @property
    def inner_of_chosen(self) -> Summary:
        """The scores that chose, over splits; what they exceed `outer` by is optimism."""
        return summary([one.inner for one in self.chosen])

    def to_frame(self) -> pd.DataFrame:
        """Return one row per setting, the most chosen first.

        Returns
        -------
        pandas.DataFrame
            `setting`; `n_splits`, in which it was tried on all training rows; `inner_mean`,
            `inner_std`; `won`, how many splits chose it; `outer_mean`, over these alone.
        """
        rows: list[dict[str, Any]] = []
        for setting, values in self.inner.items():
            outer = [one.outer for one in self.chosen if one.setting == setting]
            found = summary(values) if values else None
            rows.append(
                {
                    "setting": setting,
                    "n_splits": len(values),
                    "inner_mean": found.mean if found else np.nan,
                    "inner_std": found.std if found else np.nan,
                    "won": len(outer),
                    "outer_mean": float(np.mean(outer)) if outer else np.nan,
                }
            )
        frame = pd.DataFrame(rows)
        return frame.sort_values(["won", "inner_mean"], ascending=False, kind="stable")

    def splits_frame(self) -> pd.DataFrame:
        """Return one row per split, with the fields of `ChosenSetting`."""
        return pd.DataFrame([asdict(one) for one in self.chosen]).astype({"C": "float64"})

    def to_csv(self, path: Path) -> tuple[Path, Path]:
        """Write the settings to ``NAME.csv`` and the splits to ``NAME-splits.csv``.

        Parameters
        ----------
        path : pathlib.Path
            The first of them.

        Returns
        -------
        tuple of pathlib.Path
            Both.
        """
        beside = path.with_name(f"{path.stem}-splits.csv")
        for file, frame in ((path, self.to_frame()), (beside, self.splits_frame())):
            safe = frame.assign(setting=frame["setting"].map(csv_cell))
            write_whole(file, str(safe.to_csv(index=False, lineterminator="\n")))
        return path, beside
