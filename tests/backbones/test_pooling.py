"""Pooling turns maps, tokens and vectors into vectors."""

import numpy as np
import pytest
import torch

from decaf.backbones import pool_features
from decaf.errors import ConfigError

MAPS = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)


def test_none_flattens_with_channels_slowest() -> None:
    np.testing.assert_allclose(pool_features(MAPS, "none")[0], np.arange(48))


def test_avg_and_max_reduce_each_channel() -> None:
    np.testing.assert_allclose(pool_features(MAPS, "avg")[0], [7.5, 23.5, 39.5])
    np.testing.assert_allclose(pool_features(MAPS, "max")[0], [15, 31, 47])


def test_a_grid_averages_cells() -> None:
    found = pool_features(MAPS, "grid:2")
    assert found.shape == (2, 12)
    np.testing.assert_allclose(found[0, :4], [2.5, 4.5, 10.5, 12.5])
    np.testing.assert_allclose(pool_features(MAPS, "grid:1"), pool_features(MAPS, "avg"))


def test_tokens_are_averaged_over_tokens() -> None:
    tokens = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])
    np.testing.assert_allclose(pool_features(tokens, "avg"), [[2.0, 20.0]])
    np.testing.assert_allclose(pool_features(tokens, "max"), [[3.0, 30.0]])
    with pytest.raises(ConfigError, match="'grid:2' needs maps"):
        pool_features(tokens, "grid:2")


def test_vectors_stay_as_they_are() -> None:
    vectors = torch.randn(3, 5)
    for pool in ("none", "avg", "max", "grid:3"):
        torch.testing.assert_close(pool_features(vectors, pool), vectors)


def test_class_and_patch_tokens() -> None:
    tokens = torch.tensor([[[9.0], [7.0], [1.0], [3.0]]])  # class token, register, two patches
    np.testing.assert_allclose(pool_features(tokens, "cls", prefix_tokens=2), [[9.0]])
    np.testing.assert_allclose(pool_features(tokens, "mean", prefix_tokens=2), [[2.0]])
    np.testing.assert_allclose(pool_features(MAPS, "mean"), pool_features(MAPS, "avg"))
    for without in (tokens, MAPS):
        with pytest.raises(ConfigError, match="needs tokens with a class token"):
            pool_features(without, "cls")


@pytest.mark.parametrize("pool", ["sum", "grid", "grid:", "grid:0", "grid:-1", "grid:x", "avg:2"])
def test_an_unknown_pooling_names_the_known_ones(pool: str) -> None:
    with pytest.raises(ConfigError, match="choose one of: none, avg, max, grid:N"):
        pool_features(MAPS, pool)


@pytest.mark.parametrize("cells", [MAPS.shape[-1] + 1, 99999])
def test_a_grid_of_more_cells_than_places_is_refused(cells: int) -> None:
    with pytest.raises(ConfigError, match=r"choose grid:\d or less"):
        pool_features(MAPS, f"grid:{cells}")
