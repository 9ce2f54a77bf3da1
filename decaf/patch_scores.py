"""Where in an image a model sees what: its probabilities for every patch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decaf.classifier import Classifier
from decaf.datasets import ImageFiles, read_image
from decaf.engines import run
from decaf.errors import ConfigError, DataError
from decaf.prediction import Scored, find_images, load_net, plan_images
from decaf.protocols import image_starts
from decaf.records import Compute, Patches, takes_records
from decaf.types import FloatArray, PatchRule


@dataclass(frozen=True, eq=False)
class PatchScores:
    """The patches of one image and what a model says of them.

    Attributes
    ----------
    path : str
        The image.
    pixels : numpy.ndarray
        ``(height, width, 3)`` uint8.
    boxes : numpy.ndarray
        ``(n_patches, 4)`` float32 boxes ``x0, y0, x1, y1`` in pixels.
    class_names : tuple of str
        Names of the classes.
    probabilities : numpy.ndarray
        ``(n_patches, n_classes)``.
    scores : numpy.ndarray
        ``(n_classes,)`` probabilities of the image.
    """

    path: str
    pixels: npt.NDArray[np.uint8]
    boxes: FloatArray
    class_names: tuple[str, ...]
    probabilities: FloatArray
    scores: FloatArray

    def best(self, class_name: str) -> FloatArray:
        """Return the box of the patch that most probably shows a class."""
        column = self.class_names.index(class_name)
        box: FloatArray = self.boxes[self.probabilities[:, column].argmax()]
        return box

    def map(self, class_name: str) -> FloatArray:
        """Return for each pixel the mean probability of the patches that it lies in.

        Returns
        -------
        numpy.ndarray
            ``(height, width)`` float64; 0 where no patch lies.
        """
        height, width = self.pixels.shape[:2]
        total, count = np.zeros((2, height, width))
        values = self.probabilities[:, self.class_names.index(class_name)]
        for box, value in zip(np.rint(self.boxes).astype(int), values, strict=True):
            x0, y0, x1, y1 = np.maximum(box, 0)
            total[y0:y1, x0:x1] += value
            count[y0:y1, x0:x1] += 1
        mean: FloatArray = total / np.maximum(count, 1)
        return mean


@takes_records
def score_patches(
    model: str | Path,
    images: Sequence[str | Path],
    *,
    patches: Patches = Patches(),
    weights: str | None = None,
    device: str = "auto",
    allow_code: bool = False,
) -> Iterator[PatchScores]:
    """Yield a model's probabilities for the patches of each image.

    Parameters
    ----------
    model : str or pathlib.Path
        A file that `train` wrote; one that was trained on whole images sees each patch as one.
    images : sequence of str or pathlib.Path
        Image files, folders and lists, as for `predict`.
    patches : Patches
        Which patches; the model's own where nothing is given.
    weights, device, allow_code : optional
        As for `predict`.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the model or an image is not usable.
    BackboneError
        If the net cannot be had, or its weights are not those of the training.
    """
    classifier = Classifier.load(Path(model))
    options = patches.rule()
    rule = PatchRule(**options) if options or classifier.patches is None else classifier.patches
    net = load_net(classifier, weights=weights, device=device, allow_code=allow_code)
    for path in find_images(images):
        table, plan = plan_images(
            classifier, net, [path], patches=rule, compute=Compute(max_failures=0.0)
        )
        starts = image_starts(table.image_ids)
        scored = Scored(classifier, starts)
        run(plan, scored, lambda *_: None)
        try:
            pixels = read_image(ImageFiles(), path, classifier.decoder)
        except DataError as error:
            raise DataError(f"asked for {path}: {error}") from error
        y = scored.probabilities
        (scores,) = classifier.of_images(y, np.diff(starts))
        yield PatchScores(
            path=path,
            pixels=pixels.permute(1, 2, 0).numpy(),
            boxes=np.asarray(table.boxes),
            class_names=classifier.image_classes,
            probabilities=y[:, : len(classifier.image_classes)],
            scores=scores,
        )


def chosen_classes(found: PatchScores, classes: str | None, n_classes: int = 3) -> list[str]:
    """Return the classes asked for, or the image's most probable ones.

    Raises
    ------
    ConfigError
        If the model has no such class.
    """
    if classes is None:
        return [found.class_names[i] for i in np.argsort(-found.scores)[:n_classes]]
    names = [name.strip() for name in classes.split(",")]
    unknown = [name for name in names if name not in found.class_names]
    if unknown:
        raise ConfigError(
            f"asked for class {unknown[0]!r}, which the model does not have; choose among: "
            f"{', '.join(found.class_names)}"
        )
    return names
