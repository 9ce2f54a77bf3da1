"""Split files: a protocol's splits, written down so that they can be published and replayed.

A JSON object: ``format``, ``dataset`` and ``drawn``, a list of objects with

- ``protocol``, ``shots`` (training images a class, or null) and ``seed``: what was drawn;
- ``splits``: in order, objects with the ids of the images that ``train`` and that ``test``; of
  those that train, a list for each part that validates while C is chosen, in ``validation``; the
  ``seed``, or number of the official split; ``labels``, null or the labels trained on, by class, of
  each image that trains.

Ids are the paths of the data set's table; of several rows of one image, ``id#1``, ``id#2``.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError, DataError
from decaf.escapes import visible
from decaf.protocols.by_domain import DomainProtocol
from decaf.protocols.rule import PublishedProtocol
from decaf.protocols.sides import refuse_broken_groups
from decaf.types import ImageDataset, IntArray, Split
from decaf.whole_files import write_whole

FORMAT = "decaf-splits-2"


def kept_splits(
    rules: Sequence[PublishedProtocol],
    dataset: ImageDataset,
    usable: npt.NDArray[np.bool_] | None = None,
    file: Path | None = None,
) -> list[list[Split]]:
    """Return the splits of protocols: those in a file, if it is there; else drawn, and written.

    Parameters
    ----------
    rules : sequence of PublishedProtocol
        The protocols, such as one for each number of shots.
    dataset : ImageDataset
        The table; a file may have been written with its rows in another order.
    usable : numpy.ndarray, optional
        ``(n_images,)`` bool; other rows are left out before anything is drawn, and a file that
        names one is refused.
    file : pathlib.Path, optional
        A split file; nothing is read or written if not given.

    Raises
    ------
    ConfigError
        The file holds splits of another protocol, number of shots, seed or number of splits.
    DataError
        The file cannot be read or written, names images that are not usable here, or has an image
        or group on two sides; or as of :meth:`PublishedProtocol.splits`.
    """
    if file is not None and file.exists():
        return _read(file, rules, dataset, usable)
    drawn = [list(rule.splits(dataset, usable)) for rule in rules]
    if file is not None:
        names = np.array(_row_names(dataset), dtype=object)
        once = {json.dumps(_asked(rule)): number for number, rule in enumerate(rules)}
        records = [
            {**_asked(rules[i]), "splits": [_record(split, names) for split in drawn[i]]}
            for i in once.values()  # adaptations of one rule have the same splits
        ]
        content = {"format": FORMAT, "dataset": dataset.name, "drawn": records}
        write_whole(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return drawn


def _asked(rule: PublishedProtocol) -> dict[str, Any]:
    asked: dict[str, Any] = {"protocol": rule.name, "shots": rule.shots, "seed": rule.seed}
    asked["share"] = rule.train_share
    if isinstance(rule, DomainProtocol):
        asked |= {"domains": ":".join(rule.domains), "train_on": rule.train_on}
    return asked


def _row_names(dataset: ImageDataset) -> Sequence[str]:
    if dataset.boxes is None:
        return dataset.image_ids
    found: Counter[str] = Counter()
    names = []
    for image_id in dataset.image_ids:
        found[image_id] += 1
        names.append(f"{image_id}#{found[image_id]}")
    return names


def _record(split: Split, names: npt.NDArray[np.object_]) -> dict[str, Any]:
    return {
        "seed": split.seed,
        "train": names[split.train].tolist(),
        "test": names[split.test].tolist(),
        "validation": [names[held_out].tolist() for _, held_out in split.inner],
        "labels": None if split.labels is None else split.labels.tolist(),
    }


def _read(
    file: Path,
    rules: Sequence[PublishedProtocol],
    dataset: ImageDataset,
    usable: npt.NDArray[np.bool_] | None,
) -> list[list[Split]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DataError(
                f"split file {file} has format {content['format']!r}, not {FORMAT}; write it anew"
            )
        reader = _Reader(file, dataset, usable)
        return [
            [reader.split(record, rule) for record in _drawn(file, content["drawn"], rule)]
            for rule in rules
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"split file {file} cannot be read ({error!r}); write it anew, or correct it"
        ) from error


def _drawn(file: Path, drawn: Any, rule: PublishedProtocol) -> Any:
    """Return the records of a protocol's splits."""
    asked = _asked(rule)
    for one in drawn:
        if {key: one.get(key) for key in asked} == asked and len(one["splits"]) == rule.n_splits:
            return one["splits"]
    found = "; ".join(_said(one, len(one["splits"])) for one in drawn[:5]) or "nothing"
    raise ConfigError(
        f"asked for {_said(asked, rule.n_splits)}, found in the split file {file}: {found}; ask "
        "for what it holds, or give the name of a new file"
    )


def _said(drawn: Mapping[str, Any], n_splits: int) -> str:
    shots = "" if drawn["shots"] is None else f"{drawn['shots']} training images a class, "
    if drawn.get("share") is not None:
        shots = f"{100 * drawn['share']:g} % of each class's training images, "
    return visible(f"protocol {drawn['protocol']}, {shots}seed {drawn['seed']}, {n_splits} splits")


class _Reader:
    """Turns ids into rows, and checks what a file says of them."""

    def __init__(
        self, file: Path, dataset: ImageDataset, usable: npt.NDArray[np.bool_] | None
    ) -> None:
        self._file, self._dataset = file, dataset
        rows = range(len(dataset.image_ids))
        self._rows = {name: row for row, name in zip(rows, _row_names(dataset), strict=True)}
        if usable is not None:
            self._rows = {name: row for name, row in self._rows.items() if usable[row]}

    def split(self, record: Mapping[str, Any], rule: PublishedProtocol) -> Split:
        train, test = self._sorted(record["train"]), self._sorted(record["test"])
        held_out = [self._sorted(names) for names in record["validation"]]
        self._check_apart(train, test, held_out)
        labels = self._labels(record, train)
        inner = tuple((np.setdiff1d(train, rows), rows) for rows in held_out)
        return Split(train, test, inner, int(record["seed"]), rule.shots, labels)

    def _labels(self, record: Mapping[str, Any], train: IntArray) -> IntArray | None:
        if record["labels"] is None:
            return None
        labels = np.array(record["labels"])
        shape = len(train), len(self._dataset.class_names)
        if labels.shape != shape or not np.isin(labels, (-1, 0, 1)).all():
            raise ValueError(f"labels that are not {shape[0]} x {shape[1]} of 1, -1 and 0")
        return labels[np.argsort([self._rows[name] for name in record["train"]])].astype(np.int8)

    def _sorted(self, names: Sequence[str]) -> IntArray:
        missing = [name for name in names if name not in self._rows]
        if missing:
            raise DataError(
                f"split file {self._file} names {len(missing)} of {len(names)} images that "
                f"{self._dataset.name} does not have here, or without features, first "
                f"{visible(str(missing[0]))!r}; use it with the images it was made for"
            )
        rows = np.array(sorted(self._rows[name] for name in names), np.int64)
        if len(np.unique(rows)) < len(rows):
            raise DataError(f"split file {self._file} names an image twice on one side; correct it")
        return rows

    def _check_apart(self, train: IntArray, test: IntArray, held_out: Sequence[IntArray]) -> None:
        if not (len(train) and len(test)):
            raise DataError(
                f"split file {self._file} has a split of {len(train)} images to train and "
                f"{len(test)} to test; both sides must have some"
            )
        both = len(np.intersect1d(train, test))
        strange = sum(len(np.setdiff1d(rows, train)) for rows in held_out)
        if both or strange:
            raise DataError(
                f"split file {self._file} has {both} images that train and test, and {strange} "
                "that validate without being listed to train; correct it"
            )
        refuse_broken_groups(self._dataset, f"split file {self._file}", train, test)
        for rows in held_out:
            fit = np.setdiff1d(train, rows)
            refuse_broken_groups(self._dataset, f"split file {self._file}", fit, rows)
        if self._dataset.labels.ndim == 1:
            labels = self._dataset.labels
            untrained = np.setdiff1d(labels[test], labels[train])
            if len(untrained):
                raise DataError(
                    f"split file {self._file} tests class "
                    f"{self._dataset.class_names[untrained[0]]!r} and trains none of it; correct it"
                )
