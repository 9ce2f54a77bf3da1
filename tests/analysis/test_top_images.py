import numpy as np
import pytest
from flat import extract

from decaf.analysis.top_images import top_images
from decaf.backbones import load_backbone
from decaf.errors import ConfigError, DataError, StoreMismatchError
from decaf.store import FeatureStore


def test_the_most_active_images_and_their_activations(store_path, net, image_folder):
    with FeatureStore(store_path) as store:
        found = top_images(store, net, "features.pool5", [0, 7], image_folder)
        stored = store["features.pool5"][:]
    for unit, images in found.items():
        strongest = np.argsort(-stored[:, unit], kind="stable")[:9]
        assert [image.row for image in images] == strongest.tolist()
        activations = [image.activation for image in images]
        np.testing.assert_allclose(activations, stored[strongest, unit], rtol=1e-4, atol=1e-6)


def test_crops_are_the_part_of_the_input_that_the_box_says(store_path, net, image_folder):
    with FeatureStore(store_path) as store:
        images = top_images(store, net, "features.pool2", [5], image_folder)[5]
    for image in images:
        x0, y0, x1, y1 = image.box
        assert 0 <= x0 < x1 <= 224
        assert 0 <= y0 < y1 <= 224
        assert image.crop.shape == (y1 - y0, x1 - x0, 3)
        assert x1 - x0 < 60  # an early layer sees little
        assert (image_folder / image.image_id).is_file()


@pytest.mark.parametrize("units", [[64], [-1], []])
def test_units_that_are_not_there(store_path, net, image_folder, units):
    with FeatureStore(store_path) as store, pytest.raises(ConfigError, match="found 0 to"):
        top_images(store, net, "features.pool2", [2 * u for u in units], image_folder)


def test_other_weights_are_refused(store_path, image_folder):
    other = load_backbone("decaf-mini", weights="random", device="cpu", seed=1)
    with FeatureStore(store_path) as store, pytest.raises(StoreMismatchError, match="--weights"):
        top_images(store, other, "features.pool2", [0], image_folder)


def test_several_views_are_refused(image_folder, tmp_path, net):
    path = extract(
        image_folder, backbone=net, layers="features.pool2", pool="avg", view="ten-crop",
        out=tmp_path, quiet=True, limit=4,
    )  # fmt: skip
    with FeatureStore(path) as store, pytest.raises(ConfigError, match="10 views"):
        top_images(store, net, "features.pool2", [0], image_folder)


def test_missing_images_are_said(store_path, net, tmp_path):
    with FeatureStore(store_path) as store, pytest.raises(DataError, match="give the folder"):
        top_images(store, net, "features.pool2", [0], tmp_path / "nowhere")
