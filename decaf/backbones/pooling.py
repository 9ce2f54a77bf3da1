"""Pooling of layer outputs into feature vectors.

References
----------
``spoc``: Babenko and Lempitsky, ICCV 2015; ``crow``: Kalantidis, Mellina and Osindero, ECCV
workshops 2016; ``rmac``: Tolias, Sicre and Jegou, ICLR 2016; ``gem``: Radenovic, Tolias and Chum,
TPAMI 2019. Constants are those of the papers and of the authors' code.
"""

from collections.abc import Callable, Mapping

import torch
from torch.nn.functional import adaptive_avg_pool2d, normalize

from decaf.choices import check_pool
from decaf.errors import ConfigError

_LEVELS, _OVERLAP = 3, 0.4
_LEAST = 1e-6


def pool_features(output: torch.Tensor, pool: str, prefix_tokens: int = 0) -> torch.Tensor:
    """Turn a layer's output into one vector per image.

    Parameters
    ----------
    output : torch.Tensor
        ``(n, channels, height, width)`` maps, ``(n, tokens, channels)`` tokens or
        ``(n, features)`` vectors.
    pool : str
        ``none`` flattens; ``avg`` and ``max`` reduce each channel over the map or the tokens;
        ``grid:N`` averages each channel over an N x N grid of cells; ``cls`` takes the class
        token, ``mean`` averages the other tokens, those of the patches, or a map. For image
        search, of maps after a ReLU: ``gem:P`` is the mean of P-th powers, as its P-th root;
        ``spoc`` averages places, those in the middle counting more; ``crow`` weighs places by
        their activation and channels by how rarely they are active; ``rmac`` adds up the maxima
        over regions, each of length 1. Vectors stay as they are.
    prefix_tokens : int
        Number of tokens before those of the patches, the class token first.

    Returns
    -------
    torch.Tensor
        ``(n, n_features)``; channels vary slowest, as in ``flatten``.

    Raises
    ------
    ConfigError
        If `pool` is unknown, maps are needed, or a class token where there is none.
    """
    number = check_pool(pool)
    if pool == "none" or output.ndim == 2:
        return output.flatten(1)
    if of_maps := _OF_MAPS.get(pool.partition(":")[0]):
        if output.ndim != 4:
            msg = (
                f"pooling {pool!r} needs maps (channels, height, width); the layer gives "
                f"{tuple(output.shape[1:])}; choose none, avg or max"
            )
            raise ConfigError(msg)
        return of_maps(output, number or 0)
    if pool == "cls":
        if output.ndim != 3 or not prefix_tokens:
            msg = (
                f"pooling 'cls' needs tokens with a class token; the layer gives "
                f"{tuple(output.shape[1:])}; choose mean, or another layer or net"
            )
            raise ConfigError(msg)
        return output[:, 0]
    if pool == "mean" and output.ndim == 3:
        return output[:, prefix_tokens:].mean(1)
    places = (2, 3) if output.ndim == 4 else (1,)
    return output.amax(places) if pool == "max" else output.mean(places)


def _grid(maps: torch.Tensor, cells: float) -> torch.Tensor:
    if cells > min(maps.shape[2:]):
        msg = (
            f"pooling 'grid:{cells:.0f}' needs maps of as many places; the layer gives "
            f"{tuple(maps.shape[1:])}; choose grid:{min(maps.shape[2:])} or less"
        )
        raise ConfigError(msg)
    return adaptive_avg_pool2d(maps, int(cells)).flatten(1)


def _gem(maps: torch.Tensor, power: float) -> torch.Tensor:
    positive = maps.clamp(min=_LEAST)
    most = positive.amax((2, 3), keepdim=True)  # a high power of the rest does not overflow
    mean = (positive / most).pow(power).mean((2, 3))
    return mean.pow(1 / power) * most[:, :, 0, 0]


def _spoc(maps: torch.Tensor, _: float) -> torch.Tensor:
    height, width = maps.shape[2:]
    y, x = (torch.arange(n, device=maps.device) - (n - 1) / 2 for n in (height, width))
    deviation = min(height, width) / 2 / 3
    weights = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * deviation**2)).to(maps.dtype)
    return (maps * (weights / weights.sum())).sum((2, 3))


def _crow(maps: torch.Tensor, _: float) -> torch.Tensor:
    active = maps.sum(1, keepdim=True).clamp(min=_LEAST)
    norm = active.square().sum((2, 3), keepdim=True).sqrt()
    places = (active / norm).sqrt()
    share = (maps != 0).to(maps.dtype).mean((2, 3))
    rarity = (share.sum(1, keepdim=True) / share.clamp(min=_LEAST)).log()
    return (maps * places).sum((2, 3)) * torch.where(share > 0, rarity, 0)


def _rmac(maps: torch.Tensor, _: float) -> torch.Tensor:
    height, width = maps.shape[2:]
    short, long = sorted((height, width))
    more = 0  # regions along the longer side, so that they overlap by `_OVERLAP`
    if short < long:
        more = min(range(1, 7), key=lambda n: abs(1 - (long - short) / n / short - _OVERLAP))
    regions = [maps]
    for level in range(1, _LEVELS + 1):
        if side := 2 * short // (level + 1):
            tops = _starts(height - side, level + more * (height > width))
            lefts = _starts(width - side, level + more * (width > height))
            regions += [maps[:, :, y : y + side, x : x + side] for y in tops for x in lefts]
    return torch.stack([normalize(one.amax((2, 3)), eps=_LEAST) for one in regions]).sum(0)


def _starts(room: int, n: int) -> list[int]:
    return [room * number // max(1, n - 1) for number in range(n)]


_OF_MAPS: Mapping[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "grid": _grid, "gem": _gem, "spoc": _spoc, "crow": _crow, "rmac": _rmac,
}  # fmt: skip
