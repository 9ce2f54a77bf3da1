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
    for pool in ("none", "avg", "max", "grid:3", "gem:3", "spoc", "crow", "rmac"):
        torch.testing.assert_close(pool_features(vectors, pool), vectors)


def test_class_and_patch_tokens() -> None:
    tokens = torch.tensor([[[9.0], [7.0], [1.0], [3.0]]])  # class token, register, two patches
    np.testing.assert_allclose(pool_features(tokens, "cls", prefix_tokens=2), [[9.0]])
    np.testing.assert_allclose(pool_features(tokens, "mean", prefix_tokens=2), [[2.0]])
    np.testing.assert_allclose(pool_features(MAPS, "mean"), pool_features(MAPS, "avg"))
    for without in (tokens, MAPS):
        with pytest.raises(ConfigError, match="needs tokens with a class token"):
            pool_features(without, "cls")


def test_a_generalised_mean_lies_between_the_mean_and_the_greatest() -> None:
    corners = torch.tensor([[[[1.0, 2.0], [0.0, -7.0]]]])
    third = ((1 + 8) / 4) ** (1 / 3)  # by hand: what is below 0 counts as 0
    np.testing.assert_allclose(pool_features(corners, "gem:3"), [[third]], rtol=1e-6)
    np.testing.assert_allclose(pool_features(MAPS, "gem:1"), pool_features(MAPS, "avg"))
    large = pool_features(1e6 * MAPS, "gem:999")
    np.testing.assert_allclose(large, 1e6 * pool_features(MAPS, "max"), rtol=5e-3)


def test_spoc_counts_the_middle_more() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 0, 1, 1] = maps[0, 1, 0, 1] = 1
    edge, corner = np.exp(-1 / (2 * 0.5**2)), np.exp(-2 / (2 * 0.5**2))  # deviation: 1.5 / 3
    total = 1 + 4 * edge + 4 * corner
    np.testing.assert_allclose(pool_features(maps, "spoc"), [[1 / total, edge / total]], rtol=1e-6)


def test_crow_weighs_active_places_and_rare_channels() -> None:
    maps = torch.tensor([[[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 4.0]], [[0.0] * 2] * 2]])
    places = np.sqrt(np.array([3, 8]) / np.hypot(3, 8))
    shares = np.array([1 / 2, 1 / 4])
    expected = np.log(shares.sum() / shares) * [3 * places[0] + 4 * places[1], 4 * places[1]]
    np.testing.assert_allclose(pool_features(maps, "crow"), [[*expected, 0]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 6), (13, 13), (7, 7), (1, 1), (6, 11), (11, 6)])
def test_rmac_is_the_sum_over_regions_as_its_authors_lay_them(shape: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).random((2, 5, *shape)).astype(np.float32)
    height, width = shape
    short = min(shape)
    steps = np.arange(2, 8)
    overlaps = (short**2 - short * (max(shape) - short) / (steps - 1)) / short**2
    more = int(np.argmin(abs(overlaps - 0.4))) + 1 if height != width else 0
    boxes = [(0, 0, height, width)]
    for level in (1, 2, 3):
        side = int(2 * short / (level + 1))
        half = side // 2 - 1
        down, along = level + more * (height > width), level + more * (width > height)
        for i in range(down if side else 0):
            top = int(half + i * ((height - side) / (down - 1) if down > 1 else 0)) - half
            for j in range(along):
                left = int(half + j * ((width - side) / (along - 1) if along > 1 else 0)) - half
                boxes.append((top, left, side, side))
    expected = np.zeros((2, 5))
    for top, left, tall, wide in boxes:
        most = maps[:, :, top : top + tall, left : left + wide].max((2, 3))
        expected += most / np.linalg.norm(most, axis=1, keepdims=True)
    found = pool_features(torch.from_numpy(maps), "rmac")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("pool", ["gem:3", "spoc", "crow", "rmac"])
def test_a_pooling_for_search_is_exported_for_any_number_of_images(pool: str) -> None:
    class Pooled(torch.nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return pool_features(maps, pool)

    number = ({0: torch.export.Dim("n")},)
    graph = torch.export.export(Pooled(), (MAPS,), dynamic_shapes=number).module()
    seven = torch.rand(7, 3, 4, 4)
    torch.testing.assert_close(graph(seven), pool_features(seven, pool))


@pytest.mark.parametrize("pool", ["gem:3", "spoc", "crow", "rmac"])
def test_a_pooling_for_search_takes_dead_maps_and_gradients_and_no_tokens(pool: str) -> None:
    dead = torch.zeros(2, 3, 4, 4, requires_grad=True)
    found = pool_features(dead, pool)
    found.sum().backward()
    assert found.shape == (2, 3)
    assert found.abs().max() <= 1e-5
    assert dead.grad is not None
    assert dead.grad.isfinite().all()
    with pytest.raises(ConfigError, match=f"'{pool}' needs maps"):
        pool_features(torch.zeros(2, 5, 3), pool)


@pytest.mark.parametrize(
    "pool",
    ["sum", "grid", "grid:", "grid:0", "grid:-1", "grid:x", "avg:2", "gem", "gem:P", "gem:0",
     "gem:nan", "gem:1e3", "spoc:2", "grid:2.5"],
)  # fmt: skip
def test_an_unknown_pooling_names_the_known_ones(pool: str) -> None:
    with pytest.raises(ConfigError, match="choose one of: none, avg, max, grid:N"):
        pool_features(MAPS, pool)


@pytest.mark.parametrize("cells", [MAPS.shape[-1] + 1, 99999])
def test_a_grid_of_more_cells_than_places_is_refused(cells: int) -> None:
    with pytest.raises(ConfigError, match=r"choose grid:\d or less"):
        pool_features(MAPS, f"grid:{cells}")
