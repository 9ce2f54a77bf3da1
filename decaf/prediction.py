"""A classifier and images to a CSV file: `predict`."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from decaf.backbones import TorchBackbone
from decaf.choices import Decoder, checked
from decaf.classifier import Classifier
from decaf.datasets.listing import escaped, images_under
from decaf.datasets.read import read_file
from decaf.engines import Plan, as_patches, make_plan, run
from decaf.errors import ConfigError, DataError
from decaf.escapes import csv_cell, csv_path
from decaf.progress import log, show_progress
from decaf.protocols import image_starts
from decaf.records import Compute, Net, View, takes_records
from decaf.trained_net import load_net
from decaf.types import FloatArray, ImageDataset, IntArray, PatchRule
from decaf.whole_files import require_output, whole_file

LIST_SUFFIXES = (".csv", ".txt")
LIKELY = 0.5


@takes_records
@checked
def predict(
    model: str | Path,
    images: Sequence[str | Path],
    *,
    out: str | Path = "predictions.csv",
    all_classes: bool = False,
    weights: str | None = None,
    decoder: Decoder | None = None,
    allow_code: bool = False,
    compute: Compute = Compute(),
) -> Path:
    """Write the class of each image and its probability.

    Net, layer, view and decoder are those of the training, read from the model.

    Parameters
    ----------
    model : str or pathlib.Path
        A file that `train` wrote.
    images : sequence of str or pathlib.Path
        Image files, folders of them (at any depth), ``.csv`` files with a column ``path``, and
        ``.txt`` files with a path a line, these relative to the file's folder.
    out : str or pathlib.Path
        CSV file with the columns ``path,class,probability``. An image has one line, or, if the
        model gives several labels, or scores patches, one for each class of probability 0.5 or
        more, one at least.
        An image that is named twice is there twice. Images that cannot be used are listed in
        ``<out>.failures.csv``, with the columns ``path,reason``; it can be given back as a list.
    all_classes : bool
        Write a line for every class, the most probable first.
    weights : str, optional
        Where the net's weights are now; where they were in training if not given.
    decoder : str, optional
        Who decodes: ``auto``, ``pillow`` or ``gpu``; as in training if not given. A GPU's pixels
        differ slightly from the others.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    compute : Compute
        Where and how the net runs.

    Returns
    -------
    pathlib.Path
        The CSV file.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the model or a list is not usable, or too many images are.
    BackboneError
        If the net cannot be had, or its weights are not those of the training.
    """
    path = Path(out)
    failures_file = path.with_name(path.stem + ".failures.csv")
    for written in (path, failures_file):
        require_output(written, ".csv", inputs=[model, *images])
    classifier = Classifier.load(Path(model))
    if decoder is not None:
        classifier = replace(classifier, decoder=decoder)
    asked = list(find_images(images))
    failed = {name: "its name is not UTF-8; rename it" for name in asked if not _is_utf8(name)}
    paths = list(dict.fromkeys(name for name in asked if name not in failed))  # each is read once
    write_failed(failures_file, failed)
    refuse_failed(failed, asked, compute.max_failures)
    net = load_net(classifier, weights=weights, device=compute.device, allow_code=allow_code)
    table, plan = plan_images(
        classifier,
        net,
        paths,
        compute=compute,
    )
    scored = Scored(classifier, image_starts(table.image_ids))
    try:
        with show_progress(
            "predicting", len(table.image_ids), "views", quiet=compute.quiet
        ) as advance:
            run(plan, scored, advance)
        rows = dict(zip(paths, scored.of_images(), strict=True))
    finally:
        failed |= {paths[number]: reason for number, reason in scored.failures.items()}
        write_failed(failures_file, failed)
    refuse_failed(failed, asked, compute.max_failures)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "class", "probability"])
        for name in asked:
            if name not in failed:
                lines.writerows(_lines(classifier, name, rows[name], all_classes=all_classes))
    if failed and not compute.quiet:
        log(f"{len(failed)} images could not be used; see {failures_file}")
    return path


def _is_utf8(name: str) -> bool:
    return name.encode("utf-8", "ignore") == os.fsencode(name)


def refuse_failed(failed: Mapping[str, str], asked: Sequence[str], share: float) -> None:
    """Refuse more images that cannot be used than a share allows, or all.

    Raises
    ------
    DataError
        If they are; the message names the first.
    """
    n_images = len(set(asked))
    if len(failed) > share * n_images or len(failed) == n_images:
        name, reason = next(iter(failed.items()))
        raise DataError(
            f"{len(failed)} of {n_images} images cannot be used; --max-failures allows a share of "
            f"{share:g}; the first one: {name!a} ({reason})"
        )


def write_failed(path: Path, failed: Mapping[str, str]) -> None:
    """Write images that failed as a list that `predict` takes; remove an earlier run's."""
    if not failed:
        path.unlink(missing_ok=True)
        return
    with (
        whole_file(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        lines = csv.writer(file)
        lines.writerow(["path", "reason"])
        lines.writerows([str(Path(name).absolute()), reason] for name, reason in failed.items())


def plan_images(
    classifier: Classifier,
    net: TorchBackbone,
    paths: Sequence[str],
    *,
    patches: PatchRule | None = None,
    compute: Compute = Compute(),
) -> tuple[ImageDataset, Plan]:
    """Return how images, or their patches, become the features of a model.

    Parameters
    ----------
    classifier : Classifier
        The model.
    net : TorchBackbone
        Its net.
    paths : sequence of str
        Image files.
    patches : PatchRule, optional
        Which patches; the model's own if not given.
    compute : Compute
        How the net runs.
    """
    table = ImageDataset(
        name="images",
        root=Path(),
        image_ids=tuple(paths),
        labels=np.zeros(len(paths), np.int64),
        class_names=classifier.class_names,
        sizes_bytes=np.zeros(len(paths), np.int64),
    )
    how: dict[str, Any] = {"view": View(classifier.view)}
    asked = Net(layers=[classifier.layer], pool=classifier.pool)
    rule = patches or classifier.patches
    if rule is not None:
        view = classifier.view if classifier.patches else "patches"
        table, how = as_patches(table, net, asked, view=view, rule=rule, objects=None)
    plan = make_plan(table, net, asked, decoder=classifier.decoder, compute=compute, **how)
    return table, plan


def find_images(items: Sequence[str | Path]) -> Iterator[str]:
    """Yield the paths of images named one by one, by folder, or by list.

    Raises
    ------
    ConfigError
        If nothing is named.
    DataError
        If a file or folder is not there, or a list is malformed or empty.
    """
    if not items:
        raise ConfigError("asked to predict without images; give files, folders, .csv or .txt")
    for item in map(Path, items):
        if os.path.isdir(item):  # noqa: PTH112 - a path may raise
            found = list(images_under(item))
        elif not os.path.lexists(item):
            raise DataError(f"asked to predict {item}; no such file or folder; correct the path")
        elif item.suffix.lower() in LIST_SUFFIXES:
            found = [str(item.parent / name) for name in _listed(item)]
        else:
            found = [str(item)]
        if not found:
            raise DataError(f"{item} holds no images; give another folder or list")
        yield from map(escaped, found)


def _listed(file: Path) -> list[str]:
    try:
        lines = io.StringIO(read_file(file).decode("utf-8-sig"), newline="")
        if file.suffix.lower() == ".txt":
            return [line.strip() for line in lines if line.strip()]
        reader = csv.DictReader(lines)
        if "path" not in (reader.fieldnames or ()):
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise DataError(f"{file}: found the columns {found}; one of them must be path")
        return [row["path"].strip() for row in reader if row["path"]]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"asked to read the list {file}, found: {why}; correct it") from error


def _lines(
    classifier: Classifier, name: str, row: FloatArray, *, all_classes: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of an image, the most probable class first."""
    order = np.argsort(-row, kind="stable")
    if not all_classes:
        several = classifier.multilabel or classifier.patches is not None
        order = order[: max(1, int((row >= LIKELY).sum()) if several else 1)]
    for column in order:
        yield csv_path(name), csv_cell(classifier.image_classes[column]), f"{row[column]:.6f}"


@dataclass
class Scored:
    """Takes features from the engine and keeps the probabilities alone.

    Attributes
    ----------
    classifier : Classifier
        The model.
    starts : numpy.ndarray
        ``(n_images + 1,)`` first row of each image, and the end.
    probabilities : numpy.ndarray
        ``(n_rows, n_classes)`` float32; nan where a row failed.
    failures : dict of int to str
        Why images have no probabilities, by their numbers; one reason for each.
    """

    classifier: Classifier
    starts: IntArray
    probabilities: FloatArray = field(init=False)
    failures: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (int(self.starts[-1]), len(self.classifier.class_names))
        self.probabilities = np.full(shape, np.nan, np.float32)

    def pending(self) -> IntArray:
        """Return all rows."""
        return np.arange(self.starts[-1])

    def write(
        self,
        rows: IntArray,
        features: Mapping[str, FloatArray],
        sha256: Sequence[bytes],  # noqa: ARG002 - the engine's interface
    ) -> None:
        """Score rows of features; several views of an image are averaged first."""
        X = features[self.classifier.layer]
        with np.errstate(invalid="ignore", over="ignore"):  # it is said below
            y = self.classifier.probabilities(X.mean(1) if X.ndim == 3 else X)
        finite = np.isfinite(y).all(1)
        self.probabilities[rows[finite]] = y[finite]
        for row in rows[~finite]:
            self.fail(int(row), "its features are not finite; use another precision or layer")

    def fail(self, row: int, reason: str) -> None:
        """Note an image that cannot be used."""
        image = int(np.searchsorted(self.starts, row, side="right")) - 1
        self.failures.setdefault(image, reason)

    def of_images(self) -> FloatArray:
        """Return ``(n_images, n_classes)`` probabilities; one that has none is a failure."""
        y = self.probabilities
        if self.classifier.patches is not None:
            y = self.classifier.of_images(y, np.diff(self.starts))
        for image in np.flatnonzero(~np.isfinite(y).all(1)):
            self.failures.setdefault(int(image), "it has no probabilities")
        return y
