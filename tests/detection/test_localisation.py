"""One box an image from stored features."""

import numpy as np
import pytest
from PIL import Image

import decaf
from decaf.detection import localise
from decaf.errors import DataError
from decaf.records import Compute, Net, View
from decaf.types import ImageDataset

N = 60


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Images with a bright square somewhere."""
    home, rng, boxes = tmp_path_factory.mktemp("squares"), np.random.default_rng(0), []
    for number in range(N):
        width, height, side = rng.integers((90, 70, 25), (130, 110, 55)).tolist()
        pixels = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        pixels[y : y + side, x : x + side] = 230
        boxes.append((x, y, x + side, y + side))
        Image.fromarray(pixels).save(home / f"{number}.png")
    ids = tuple(f"{number}.png" for number in range(N))
    rows = np.zeros(N, np.int64)
    return ImageDataset(
        "squares", home, ids, rows, ("a", "b"), rows, boxes=np.array(boxes, np.float32)
    )


def test_features_say_where_the_object_is(table, tmp_path):
    quiet, net = Compute(quiet=True, device="cpu"), Net("decaf-mini", layers="pool5")
    path = decaf.extract(table, net, View("squash"), compute=quiet, out=tmp_path)
    with decaf.FeatureStore(path) as store:
        train, test = np.arange(40), np.arange(40, N)
        found, same = localise(store, "pool5", train, test)
        assert found.overlaps.mean() > same.overlaps.mean() + 0.1
        assert found.share == (found.overlaps >= 0.5).mean() > same.share
        assert (found.boxes.max(0) <= store.image_sizes_px[test].max(0)[[0, 1, 0, 1]]).all()
    path = decaf.extract(table, net, View("squash", box="crop"), compute=quiet, out=tmp_path)
    with decaf.FeatureStore(path) as store, pytest.raises(DataError, match="of whole images"):
        localise(store, "pool5", train, test)
