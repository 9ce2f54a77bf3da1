"""Real nets find UKBench's objects again."""

import pytest
from flat import extract

from decaf.records import SearchTest
from decaf.search_scores import evaluate_search


@pytest.mark.data
def test_the_first_objects_of_ukbench(assets, tmp_path):
    (tmp_path / "ukbench").mkdir()
    (tmp_path / "ukbench" / "full").symlink_to(assets / "data" / "ukbench-mini")
    store = extract(
        "ukbench",
        backbone="squeezenet1_0",
        weights=str(assets / "weights" / "squeezenet1_0-deepcompression.safetensors"),
        layers="features.12",
        pool="avg",
        view="warp",
        data_root=tmp_path,
        allow_partial=True,
        device="cpu",
        quiet=True,
        out=tmp_path / "ukbench.h5",
    )
    ((found,), _) = evaluate_search(store, SearchTest(queries="official"))
    assert found.values["UKBench"] == pytest.approx(3.6)  # two objects of 4 images, one of 2
