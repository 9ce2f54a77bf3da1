"""Packages that only some work needs, and what to say where they are missing."""

from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from decaf.errors import ConfigError

DISTRIBUTION = "decaf-features"
"""What decaf is called among packages; ``decaf`` in the public index is another project."""


def require_packages(asked: str, *packages: str) -> None:
    """Refuse what needs packages that decaf itself depends on, where they are missing all the same.

    Parameters
    ----------
    asked : str
        What was asked for.
    *packages : str
        Names by which they are imported and installed.

    Raises
    ------
    ConfigError
        If one is missing.
    """
    missing = " ".join(package for package in packages if find_spec(package) is None)
    if missing:
        raise ConfigError(
            f"asked for {asked}, found no package {missing.replace(' ', ', ')}; install: "
            f"pip install {missing}"
        )


def missing_extra(asked: str, extra: str) -> ConfigError:
    """Return the error that says which packages are missing, and how to install them."""
    packages = " ".join(f"'{package}'" for package in packages_of(extra))
    command = (
        f"pip install {packages}" if packages else f"pip install '.[{extra}]' in decaf's clone"
    )
    return ConfigError(
        f"asked for {asked}, found packages of the extra {extra} missing; install them: {command}"
    )


def packages_of(extra: str) -> list[str]:
    """Return what an extra requires, as decaf's metadata say; nothing where there are none."""
    try:
        found = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # run from its folder
        return []
    return [
        name.strip()
        for name, _, marker in (line.partition(";") for line in found)
        if marker.replace("'", '"').strip() == f'extra == "{extra}"'
    ]
