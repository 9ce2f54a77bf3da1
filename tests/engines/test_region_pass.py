"""Regions through the engine are what the net says of each, by either route."""

import numpy as np
import pytest
import torch
from detection_scenes import MINI, QUIET, SMALL, write_collages

from decaf.backbones import load_backbone
from decaf.datasets import read_image
from decaf.datasets.read import ImageFiles
from decaf.detection import load_boxed, region_plan, region_table
from decaf.detection_records import Detection
from decaf.engines import region_route
from decaf.errors import ConfigError
from decaf.extraction import extract_plan
from decaf.records import Net, Source
from decaf.regions.context_warp import warp_boxes
from decaf.regions.roi_pooling import roi_features, roi_scaled
from decaf.store import FeatureStore

BOTH = Net("decaf-mini", layers="pool5,fc6")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return write_collages(tmp_path_factory.mktemp("voc") / "collages", 4)


@pytest.fixture(scope="module")
def net():
    return load_backbone("decaf-mini", device="cpu")


def extracted(home, net, asked, how, folder):
    source = Source(features=folder)
    table = region_table(load_boxed(home), how, with_objects=True, source=source, compute=QUIET)
    plan = region_plan(table, net, asked, how, source=source, compute=QUIET)
    return FeatureStore(extract_plan(plan, asked, source=source, compute=QUIET))


@pytest.mark.parametrize("route", ["crop", "roi"])
def test_rows_are_the_features_of_their_regions(home, net, route, tmp_path):
    how = Detection(route=route, max_proposals=70, context_px=6, roi_px=160)
    with extracted(home, net, BOTH, how, tmp_path) as store:
        rows = np.flatnonzero(np.array(store.image_ids) == "JPEGImages/2.png")
        boxes, found = store.boxes[rows], {name: store[name][rows] for name in ("pool5", "fc6")}
        assert store.labels[rows][:3].tolist() == [0, 1, 2]  # two objects, then proposals
        assert store.image_sizes_px[rows[0]].tolist() == [160, 120]
        assert ("roi" if route == "roi" else "context") in store.provenance.views[0].lower()
    image = read_image(ImageFiles(home), "JPEGImages/2.png")
    if route == "crop":
        outputs = net.activations(warp_boxes(image, boxes, net.preprocessing, 6), list(found))
    else:
        pixels = roi_scaled(image, 160)[None]
        maps = net.activations(pixels, ["features.relu5"])["features.relu5"][0]
        pooled = roi_features(maps, boxes, (4, 4), (213 / 160 / 8, 160 / 120 / 8))
        outputs = {"pool5": pooled} | net.activations_after("pool5", pooled.clone(), ["fc6"])
    for name, rows in found.items():
        expected = outputs[name].flatten(1)
        torch.testing.assert_close(torch.from_numpy(rows), expected, rtol=1e-4, atol=1e-4)


def test_both_routes_have_stores_of_their_own_that_are_found_again(home, net, tmp_path):
    for route in ("crop", "roi"):
        how = Detection(route=route, max_proposals=20, context_px=6, roi_px=160)
        paths = {extracted(home, net, MINI, how, tmp_path).path for _ in range(2)}
        assert len(paths) == 1
    assert len(list(tmp_path.glob("*.h5"))) == 2


def test_what_a_route_needs_is_said(net):
    asked = {"context_px": SMALL.context_px, "roi_px": 600}
    route = region_route(net, ["fc7"], "roi", **asked)
    assert (route.source, route.stride_px) == ("features.relu5", 8)
    with pytest.raises(ConfigError, match="use route 'crop'"):
        region_route(net, ["features.relu4"], "roi", **asked)
    flat = load_backbone("resnet18", weights="random", device="cpu")
    with pytest.raises(ConfigError, match="asked for route 'roi' on pool5 of resnet18"):
        region_route(flat, ["pool5"], "roi", **asked)
    with pytest.raises(ConfigError, match="less than half of the 64 px"):
        region_route(net, ["fc7"], "crop", context_px=32, roi_px=600)
