"""Packages that only some work needs, and what to say where they are missing."""

from importlib.metadata import PackageNotFoundError, requires

from decaf.errors import ConfigError

DISTRIBUTION = "decaf-features"
"""What decaf is called among packages; ``decaf`` in the public index is another project."""


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
