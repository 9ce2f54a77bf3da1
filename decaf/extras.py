"""Packages that only some work needs, and what to say where they are missing."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from decaf.errors import ConfigError

DISTRIBUTION = "decaf-features"
"""What decaf is called among packages; ``decaf`` in the public index is another project."""


@dataclass(frozen=True)
class Extra:
    """Packages that decaf can do without.

    Attributes
    ----------
    brings : str
        What they are for.
    modules : tuple of str
        Names by which they are imported.
    size : str
        How much they take on a disk, about, with what they need beside decaf.
    """

    brings: str
    modules: tuple[str, ...]
    size: str


EXTRAS = {
    "timm": Extra("nets called timm/NAME", ("timm",), "10 MB"),
    "search": Extra("indexes of faiss, for search among millions", ("faiss",), "70 MB"),
    "detect": Extra("selective search's regions", ("cv2",), "180 MB"),
    "heic": Extra("HEIC images of phones", ("pillow_heif",), "30 MB"),
    "parquet": Extra("decaf store export --to parquet", ("pyarrow",), "170 MB"),
    "umap": Extra("decaf plot embedding --method umap", ("umap",), "200 MB"),
    "ray": Extra("--engine ray, many machines", ("ray",), "200 MB"),
    "remote": Extra("images at s3:// and gs://", ("s3fs", "gcsfs"), "100 MB"),
    "browser": Extra("decaf's own tests of pages", ("playwright",), "170 MB"),
}
"""The extras that a user may want, the smallest first among those that a first hour asks for."""


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
    return ConfigError(
        f"asked for {asked}, found packages of the extra {extra} missing; install them: "
        f"{how_to_install(extra)}"
    )


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra's packages."""
    packages = " ".join(f"'{package}'" for package in packages_of(extra))
    return f"pip install {packages}" if packages else f"pip install '.[{extra}]' in decaf's clone"


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
