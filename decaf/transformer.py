"""`DecafFeatures`: pretrained features as a step of a scikit-learn pipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin

from decaf.backbones import load_backbone, pool_features
from decaf.choices import ImageView, Pool, Precision, check_arguments
from decaf.errors import DataError
from decaf.images.decode import decode
from decaf.images.views import make_view, n_views
from decaf.types import FloatArray


class DecafFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Turn picture files into features of one layer.

    Nothing is learned: `fit` only loads the net. For large sets of pictures use
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
        Pictures in one forward pass.
    seed : int
        Seed of random weights.

    Attributes
    ----------
    backbone_ : decaf.types.Backbone
        The loaded net.
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

    def fit(self, X: Sequence[str | Path], y: Any = None) -> "DecafFeatures":  # noqa: ARG002 (scikit-learn's signature)
        """Load the net.

        Parameters
        ----------
        X : sequence of str or pathlib.Path
            Picture files; not read.
        y : object
            Not used.

        Returns
        -------
        DecafFeatures
            This transformer.
        """
        check_arguments(DecafFeatures.__init__, self.get_params())
        self.backbone_ = load_backbone(
            self.backbone,
            weights=self.weights,
            device=self.device,
            precision=self.precision,
            seed=self.seed,
        )
        self.layer_ = self.layer or self.backbone_.default_layers[-1]
        shape = self.backbone_.shape(self.layer_)
        one = torch.empty(1, *shape, device="meta")
        self.n_features_out_ = int(
            pool_features(one, self.pool, self.backbone_.prefix_tokens).shape[1]
        )
        return self

    def transform(self, X: Sequence[str | Path]) -> FloatArray:
        """Return features of picture files.

        Parameters
        ----------
        X : sequence of str or pathlib.Path
            Picture files.

        Returns
        -------
        numpy.ndarray
            ``(n_images, n_features)`` float32.

        Raises
        ------
        DataError
            If a file cannot be read; a pipeline's rows cannot be left out.
        """
        paths = [Path(path) for path in X]
        features = np.empty((len(paths), self.n_features_out_), dtype=np.float32)
        for start in range(0, len(paths), self.batch_size):
            block = paths[start : start + self.batch_size]
            pixels = torch.stack([self._pixels(path) for path in block]).flatten(0, -4)
            output = self.backbone_.activations(pixels.to(self.backbone_.device), [self.layer_])
            rows = pool_features(output[self.layer_], self.pool, self.backbone_.prefix_tokens)
            rows = rows.view(len(block), n_views(self.view), -1).mean(1)
            features[start : start + len(block)] = rows.cpu().numpy()
        return features

    def _pixels(self, path: Path) -> torch.Tensor:
        try:
            image = decode(path.read_bytes())
        except (OSError, DataError) as error:
            msg = f"asked for features of {path}: {error}"
            raise DataError(msg) from error
        size = self.backbone_.preprocessing.input_size_px
        view = make_view(image, self.view, self.backbone_.preprocessing)
        return view.reshape(n_views(self.view), 3, size, size)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002 (scikit-learn's signature)
        """Return ``<layer>_0``, ``<layer>_1``, and so on."""
        return np.array([f"{self.layer_}_{i}" for i in range(self.n_features_out_)], dtype=object)
