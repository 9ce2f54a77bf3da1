"""Pooling of layer outputs into feature vectors."""

import torch

from decaf.choices import check_pool
from decaf.errors import ConfigError


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
        token, ``mean`` averages the other tokens, those of the patches, or a map. Vectors stay
        as they are.
    prefix_tokens : int
        Number of tokens before those of the patches, the class token first.

    Returns
    -------
    torch.Tensor
        ``(n, n_features)``; channels vary slowest, as in ``flatten``.

    Raises
    ------
    ConfigError
        If `pool` is unknown, a grid is asked of tokens, or a class token where there is none.
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
        if cells > min(output.shape[2:]):
            msg = (
                f"pooling {pool!r} needs maps of as many places; the layer gives "
                f"{tuple(output.shape[1:])}; choose grid:{min(output.shape[2:])} or less"
            )
            raise ConfigError(msg)
        return torch.nn.functional.adaptive_avg_pool2d(output, cells).flatten(1)
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
