"""Several nets in the place of one, as a command names them."""

from dataclasses import replace

from decaf.errors import ConfigError
from decaf.records import Net


def each_net(net: Net) -> tuple[Net, ...]:
    """Return a record of each net that a comma-separated `backbone` names.

    Parameters
    ----------
    net : Net
        Its `weights` are one word for all nets or as many, comma-separated; the rest is for all.

    Returns
    -------
    tuple of Net
        One or more.

    Raises
    ------
    ConfigError
        If there are neither one nor as many weights.
    """
    names = net.backbone.split(",") if isinstance(net.backbone, str) else [net.backbone]
    if len(names) == 1:
        return (net,)
    weights = net.weights.split(",")
    if len(weights) not in (1, len(names)):
        raise ConfigError(
            f"asked for {len(names)} nets, found {len(weights)} weights; give one for all, or one "
            "each"
        )
    pairs = zip(names, weights * (len(names) // len(weights)), strict=True)
    return tuple(replace(net, backbone=n.strip(), weights=w.strip()) for n, w in pairs)
