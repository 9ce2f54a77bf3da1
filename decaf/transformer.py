"""`DecafFeatures`: pretrained features as a step of a scikit-learn pipeline."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from decaf.backbones import TorchBackbone, load_backbone, pool_features
from decaf.choices import ImageView, Pool, Precision, check_arguments
from decaf.datasets import ImageFiles, read_image
from decaf.errors import BackboneError, ConfigError, DataError
from decaf.images.views import make_view, n_views
from decaf.types import FloatArray


class DecafFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """Turn image files into features of one layer.

    Nothing is learned: `fit` only loads the net. For large sets of images use
    `decaf.extract`, which keeps the features in a file.

    Parameters
    ----------
    backbone : str
        Name of the net.
    weights : str
        ``imagenet``, ``random``, one of torchvision's entries, or a file's path.
    layer : str, optional
        Canonical or dotted name; the deepest of the net's own among ``pool5,fc6,fc7`` if not
        given.
    pool : str
        ``none``, ``avg``, ``max`` or ``grid:N``.
    view : str
        ``center``, ``warp`` or ``squash``; several crops are averaged.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16``, ``fp16`` or ``auto`` (bf16 where the device computes in it).
    batch_size : int
        Images in one forward pass.
    seed : int
        Seed of random weights.

    Attributes
    ----------
    backbone_ : TorchBackbone
        The loaded net. Copies and pickles do not hold it; they load it anew.
    weights_sha256_ : str
        SHA-256 of the net's weights, hexadecimal.
    layer_ : str
        The layer that is read.
    n_features_out_ : int
        Number of features.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> features = DecafFeatures("squeezenet1_1", weights="random", pool="avg")
    >>> model = make_pipeline(features, LinearSVC())
    """

    def __init__(
        self,
        backbone: str = "alexnet",
        *,
        weights: str = "imagenet",
        layer: str | None = None,
        pool: Pool = "none",
        view: ImageView = "center",
        device: str = "auto",
        precision: Precision = "fp32",
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.pool = pool
        self.view = view
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, X: Sequence[str | Path], y: Any = None) -> "DecafFeatures":  # noqa: ARG002 - scikit-learn's signature
        """Load the net.

        Parameters
        ----------
        X : sequence of str or pathlib.Path
            Image files; not read.
        y : object
            Not used.

        Returns
        -------
        DecafFeatures
            This transformer.

        Raises
        ------
        ConfigError
            If an option is wrong, or would be ignored.
        BackboneError
            If the net, its weights or the layer is not usable.
        """
        check_arguments(DecafFeatures.__init__, self.get_params())
        if self.seed and self.weights != "random":
            raise ConfigError("seed is for weights 'random'; leave it out, or give those")
        if not self.batch_size >= 1:
            raise ConfigError(f"batch_size is at least 1, found {self.batch_size}")
        self._asked: dict[str, Any] = {
            "name": self.backbone,
            "weights": self.weights,
            "device": self.device,
            "precision": self.precision,
            "seed": self.seed,
        }
        self._net = net = load_backbone(**self._asked)
        self.weights_sha256_ = net.weights_sha256
        self.layer_ = self.layer or next(reversed(net.default_layers), "")
        if not self.layer_:
            raise ConfigError(f"{net.name} has no canonical layers; give one of: {net.layers}")
        n_views(self.view)
        one = torch.empty(1, *net.shape(self.layer_), device="meta")
        self.n_features_out_ = int(pool_features(one, self.pool, net.prefix_tokens).shape[1])
        return self

    @property
    def backbone_(self) -> TorchBackbone:
        """The loaded net; a copy of a fitted transformer loads it anew when it is needed."""
        check_is_fitted(self, "weights_sha256_")
        if "_net" in vars(self):
            return self._net
        net = load_backbone(**self._asked)
        if net.weights_sha256 != self.weights_sha256_:
            raise BackboneError(
                f"fitted with weights {self.weights} (sha256 {self.weights_sha256_[:12]}...), "
                f"found others (sha256 {net.weights_sha256[:12]}...); put those back, or fit again"
            )
        self._net = net
        return net

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded net out, which only one process can hold."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_net"}

    def transform(self, X: Sequence[str | Path]) -> FloatArray:
        """Return features of image files.

        Parameters
        ----------
        X : sequence of str or pathlib.Path
            Image files; a table of one column, such as a `pandas.DataFrame`, will do.

        Returns
        -------
        numpy.ndarray
            ``(n_images, n_features)`` float32.

        Raises
        ------
        DataError
            If a file cannot be read, since a pipeline's rows cannot be left out, or `X` is not one
            path a row.
        NotFittedError
            If it has not been fitted.
        """
        check_is_fitted(self, "weights_sha256_")
        paths, net = _paths(X), self.backbone_
        features = np.empty((len(paths), self.n_features_out_), dtype=np.float32)
        for start in range(0, len(paths), self.batch_size):
            block = paths[start : start + self.batch_size]
            pixels = torch.stack([self._pixels(path) for path in block]).flatten(0, -4)
            output = net.activations(pixels.to(net.device), [self.layer_])
            rows = pool_features(output[self.layer_], self.pool, net.prefix_tokens)
            rows = rows.view(len(block), n_views(self.view), -1).mean(1)
            features[start : start + len(block)] = rows.cpu().numpy()
        return features

    def _pixels(self, path: Path) -> torch.Tensor:
        try:
            image = read_image(ImageFiles(), str(path))
        except DataError as error:
            msg = f"asked for features of {path}: {error}"
            raise DataError(msg) from error
        size = self.backbone_.preprocessing.input_size_px
        view = make_view(image, self.view, self.backbone_.preprocessing)
        return view.reshape(n_views(self.view), 3, size, size)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` was called."""
        return hasattr(self, "weights_sha256_")

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002 - scikit-learn's signature
        """Return ``<layer>_0``, ``<layer>_1``, and so on."""
        return np.array([f"{self.layer_}_{i}" for i in range(self.n_features_out_)], dtype=object)


def _paths(X: Any) -> list[Path]:
    """Return the paths in a sequence, or in a table of one column.

    Raises
    ------
    DataError
        If it is something else.
    """
    table = np.asarray(X, dtype=object)
    if table.ndim == 2 and table.shape[1] == 1:
        table = table[:, 0]
    if table.ndim != 1:
        found = f"a table of the shape {table.shape}" if table.ndim else f"{type(X).__name__} {X!r}"
        raise DataError(f"asked for features of {found}; give a list of paths, or one column")
    wrong = [path for path in table if not isinstance(path, str | os.PathLike)]
    if wrong:
        raise DataError(
            f"asked for features of {wrong[0]!r}, which is no path; give paths of images"
        )
    return [Path(path) for path in table]
