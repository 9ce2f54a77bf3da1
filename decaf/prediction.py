"""A classifier and pictures to a CSV file: `predict`."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from decaf.backbones import TorchBackbone, load_backbone
from decaf.classifier import Classifier
from decaf.datasets.files import folders, pictures
from decaf.engines import Plan, as_patches, make_plan, run
from decaf.errors import BackboneError, ConfigError, DataError
from decaf.escapes import csv_cell, csv_path
from decaf.progress import log, show_progress
from decaf.protocols import picture_starts
from decaf.store.failures import FailureLog
from decaf.types import FloatArray, ImageDataset, IntArray, PatchRule
from decaf.whole_files import require_writable, whole_file

LIST_SUFFIXES = (".csv", ".txt")
LIKELY = 0.5


def predict(
    model: str | Path,
    pictures: Sequence[str | Path],
    *,
    out: str | Path = "predictions.csv",
    all_classes: bool = False,
    weights: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    max_failures: float = 0.05,
    allow_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Write the class of each picture and its probability.

    Net, layer, views and pixels are those of the training, read from the model.

    Parameters
    ----------
    model : str or pathlib.Path
        A file that `train` wrote.
    pictures : sequence of str or pathlib.Path
        Picture files, folders of them (at any depth), ``.csv`` files with a column ``path``, and
        ``.txt`` files with a path a line, these relative to the file's folder.
    out : str or pathlib.Path
        CSV file with the columns ``path,class,probability``. A picture has one line, or, if the
        model gives several labels, or scores patches, one for each class of probability 0.5 or
        more, one at least.
        Pictures that cannot be read are listed in ``<out>.failures.csv``.
    all_classes : bool
        Write a line for every class, the most probable first.
    weights : str, optional
        Where the net's weights are now; where they were in training if not given.
    device, batch_size, workers : optional
        How the net runs; see `decaf.extract`.
    max_failures : float
        Share of the pictures that may be unusable before the run fails.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    quiet : bool
        Print no progress.

    Returns
    -------
    pathlib.Path
        The CSV file.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the model or a list is not usable, or too many pictures are.
    BackboneError
        If the net cannot be had, or its weights are not those of the training.
    """
    path = Path(out)
    require_writable(path)
    classifier = Classifier.load(Path(model))
    paths = list(find_pictures(pictures))
    net = load_net(classifier, weights=weights, device=device, allow_code=allow_code)
    table, plan = plan_pictures(
        classifier,
        net,
        paths,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
    )
    failures = FailureLog(path.with_name(path.stem + ".failures.csv"), paths)
    of = picture_starts(table.image_ids)
    scored = Scored(classifier, of, failures)
    with show_progress("predicting", int(of[-1]), "views", quiet=quiet) as advance:
        run(plan, scored, advance)
    failures.flush()
    names, probabilities = classifier.picture_classes, scored.probabilities
    if classifier.patches is not None:
        probabilities = classifier.of_pictures(probabilities, np.diff(of))
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "class", "probability"])
        for name, row in zip(paths, probabilities, strict=True):
            several = classifier.multilabel or classifier.patches is not None
            for column in _shown(row, several, all_classes=all_classes):
                lines.writerow([csv_path(name), csv_cell(names[column]), f"{row[column]:.6f}"])
    if len(failures) and not quiet:
        log(f"{len(failures)} pictures could not be used; see {path.stem}.failures.csv")
    return path


def plan_pictures(
    classifier: Classifier,
    net: TorchBackbone,
    paths: Sequence[str],
    *,
    patches: PatchRule | None = None,
    **options: Any,
) -> tuple[ImageDataset, Plan]:
    """Return how pictures, or their patches, become the features of a model.

    Parameters
    ----------
    classifier : Classifier
        The model.
    net : TorchBackbone
        Its net.
    paths : sequence of str
        Picture files.
    patches : PatchRule, optional
        Which patches; the model's own if not given.
    **options
        Of `make_plan`.

    Returns
    -------
    ImageDataset
        The rows: pictures, or patches picture after picture.
    Plan
        The extraction.
    """
    table = ImageDataset(
        name="pictures",
        root=Path(),
        image_ids=tuple(paths),
        labels=np.zeros(len(paths), np.int64),
        class_names=classifier.class_names,
        sizes_bytes=np.zeros(len(paths), np.int64),
    )
    how: dict[str, Any] = {"view": classifier.view}
    rule = patches or classifier.patches
    if rule is not None:
        view = classifier.view if classifier.patches else "patches"
        table, how = as_patches(table, net, [classifier.layer], view=view, rule=rule, objects=None)
    plan = make_plan(
        table,
        net,
        layers=[classifier.layer],
        pool=classifier.pool,
        pixels=classifier.pixels,
        **how,
        **options,
    )
    return table, plan


def load_net(
    classifier: Classifier,
    *,
    weights: str | None = None,
    device: str = "auto",
    allow_code: bool = False,
) -> TorchBackbone:
    """Return the net of a classifier, with the weights that it was trained on.

    Raises
    ------
    BackboneError
        If the net cannot be had, or its weights are others.
    """
    net = load_backbone(
        classifier.backbone,
        weights=weights or classifier.weights,
        device=device,
        precision=classifier.precision,
        seed=classifier.seed,
        allow_code=allow_code,
    )
    if net.weights_sha256 != classifier.weights_sha256:
        raise BackboneError(
            f"the model was trained on {classifier.backbone} with weights "
            f"{Path(classifier.weights).name} (sha256 {classifier.weights_sha256[:12]}...), found "
            f"{net.weights} (sha256 {net.weights_sha256[:12]}...); give those with --weights, or "
            "train the model again"
        )
    return net


def find_pictures(items: Sequence[str | Path]) -> Iterator[str]:
    """Yield the paths of pictures named one by one, by folder, or by list.

    Raises
    ------
    ConfigError
        If nothing is named.
    DataError
        If a file or folder is not there, or a list is malformed or empty.
    """
    if not items:
        raise ConfigError("asked to predict without pictures; give files, folders, .csv or .txt")
    for item in map(Path, items):
        if item.is_dir():
            found = list(_under(item))
        elif not item.is_file():
            raise DataError(f"asked to predict {item}; no such file or folder; correct the path")
        elif item.suffix.lower() in LIST_SUFFIXES:
            found = [str(item.parent / name) for name in _listed(item)]
        else:
            found = [str(item)]
        if not found:
            raise DataError(f"{item} holds no pictures; give another folder or list")
        yield from found


def _under(folder: Path) -> Iterator[str]:
    yield from (str(folder / name) for name in pictures(folder))
    for name in folders(folder):
        yield from _under(folder / name)


def _listed(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            if file.suffix.lower() == ".txt":
                return [line.strip() for line in lines if line.strip()]
            reader = csv.DictReader(lines)
            if "path" not in (reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise DataError(f"{file}: found the columns {found}; one of them must be path")
            return [row["path"].strip() for row in reader if row["path"]]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error.reason}); save it as UTF-8") from error


def _shown(row: FloatArray, multilabel: bool, *, all_classes: bool) -> IntArray:
    """Return the classes to write, the most probable first; none for a picture that failed."""
    order = np.argsort(-row, kind="stable")
    if np.isnan(row).any():
        return order[:0]
    if all_classes:
        return order
    n_likely = int((row >= LIKELY).sum()) if multilabel else 1
    return order[: max(1, n_likely)]


@dataclass
class Scored:
    """Takes features from the engine and keeps the probabilities alone.

    Attributes
    ----------
    classifier : Classifier
        The model.
    starts : numpy.ndarray
        ``(n_images + 1,)`` first row of each picture, and the end.
    failures : FailureLog or None
        Takes one failure a picture.
    probabilities : numpy.ndarray
        ``(n_rows, n_classes)`` float32; nan where a row failed.
    """

    classifier: Classifier
    starts: IntArray
    failures: FailureLog | None
    probabilities: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        shape = (int(self.starts[-1]), len(self.classifier.class_names))
        self.probabilities = np.full(shape, np.nan, np.float32)
        self._failed: set[int] = set()

    def pending(self) -> IntArray:
        """Return all rows."""
        return np.arange(self.starts[-1])

    def write(
        self,
        rows: IntArray,
        features: Mapping[str, FloatArray],
        sha256: Sequence[bytes],  # noqa: ARG002 (the engine's interface)
    ) -> None:
        """Score rows of features; several views of a picture are averaged first."""
        X = features[self.classifier.layer]
        self.probabilities[rows] = self.classifier.probabilities(X.mean(1) if X.ndim == 3 else X)

    def fail(self, row: int, reason: str) -> None:
        """Note a picture that cannot be used."""
        picture = int(np.searchsorted(self.starts, row, side="right")) - 1
        if self.failures is not None and picture not in self._failed:
            self._failed.add(picture)
            self.failures.add(picture, reason)
