"""Pooling of layer outputs into feature vectors."""

import torch

from decaf.errors import ConfigError

POOLS = ("none", "avg", "max", "grid:N")


def check_pool(pool: str) -> int | None:
    """Check a pooling's name and return N of ``grid:N``.

    Raises
    ------
    ConfigError
        If `pool` is not one of `POOLS`.
    """
    kind, _, cells = pool.partition(":")
    if kind == "grid" and cells.isdecimal() and int(cells) > 0:
        return int(cells)
    if pool not in ("none", "avg", "max"):
        msg = f"unknown pooling {pool!r}; choose one of: {', '.join(POOLS)} (for instance grid:3)"
        raise ConfigError(msg)
    return None


def pool_features(output: torch.Tensor, pool: str) -> torch.Tensor:
    """Turn a layer's output into one vector per picture.

    Parameters
    ----------
    output : torch.Tensor
        ``(n, channels, height, width)`` maps, ``(n, tokens, channels)`` tokens or
        ``(n, features)`` vectors.
    pool : str
        ``none`` flattens; ``avg`` and ``max`` reduce each channel over the map or the tokens;
        ``grid:N`` averages each channel over an N x N grid of cells. Vectors stay as they are.

    Returns
    -------
    torch.Tensor
        ``(n, n_features)``; channels vary slowest, as in ``flatten``.

    Raises
    ------
    ConfigError
        If `pool` is unknown, or a grid is asked of tokens.
    """
    cells = check_pool(pool)
    if pool == "none" or output.ndim == 2:
        return output.flatten(1)
    if cells is not None:
        if output.ndim != 4:
            msg = (
                f"pooling {pool!r} needs maps (channels, height, width); the layer gives "
                f"{tuple(output.shape[1:])}; choose none, avg or max"
            )
            raise ConfigError(msg)
        return torch.nn.functional.adaptive_avg_pool2d(output, cells).flatten(1)
    places = (2, 3) if output.ndim == 4 else (1,)
    return output.mean(places) if pool == "avg" else output.amax(places)
