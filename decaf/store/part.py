"""The unfinished store, ``<name>.h5.part``: made whole at first, taken up again later."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decaf.errors import StoreError, StoreMismatchError
from decaf.store.checksums import mismatches
from decaf.store.disk import open_locked, require_space, reserve, write_at
from decaf.store.layout import Layout
from decaf.store.opening import StoreFile, read_header
from decaf.store.provenance import Provenance
from decaf.whole_files import sync


def part_of(path: Path) -> Path:
    """Return the name of a store while it is being written."""
    return path.with_name(path.name + ".part")


def open_part(path: Path, layout: Layout) -> int:
    """Lock the unfinished store of `path`, which is made first where there is none.

    Raises
    ------
    StoreError
        If the store is complete already, or another process writes it.
    StoreMismatchError
        If there is one that was made with other settings.
    OSError
        If the disk is full, or the folder cannot be written.
    """
    _refuse_complete(path, layout.provenance)
    part = part_of(path)
    if not part.exists():
        return _make_part(path, layout)
    _refuse_other_settings(part, layout.provenance)
    return open_locked(part)


def _make_part(path: Path, layout: Layout) -> int:
    """Make the layout under another name, so that a kill leaves no half of one."""
    part = part_of(path)
    new = part.with_name(part.name + ".new")
    require_space(new, layout.n_bytes)
    fd = open_locked(new, create=True)
    try:
        _refuse_overtaken(path)
        layout.make(new)
        reserve(fd, os.fstat(fd).st_size)
        os.fsync(fd)
        new.rename(part)
        sync(part.parent)
    except BaseException:
        os.close(fd)
        new.unlink(missing_ok=True)
        raise
    return fd


def sound_rows(path: Path) -> npt.NDArray[np.bool_]:
    """Return which rows of the unfinished store are done and fit their checksums.

    A power cut may have kept a flag and lost what was written before it.

    Returns
    -------
    numpy.ndarray
        ``(n_images,)`` bool.
    """
    with StoreFile(part_of(path), locking=False) as file:
        done = file.read("done").astype(bool)
        unsound = {row for _, row in mismatches(file, done)}
    return np.asarray(done & ~np.isin(np.arange(len(done)), list(unsound)))


def reopen(path: Path) -> None:
    """Make a complete store an unfinished one, so that rows of it can be written again.

    Raises
    ------
    StoreError
        If another process reads or writes it, or it is a joined one.
    OSError
        If it may not be written.
    """
    if read_header(path).shards:
        raise StoreError(
            f"asked to complete {path}, found a joined store; extract its shards again, delete it, "
            "and join them"
        )
    fd = open_locked(path)
    try:
        _refuse_begun(path)
        path.rename(part_of(path))
        sync(path.parent)
    finally:
        os.close(fd)


def renew_stamps(path: Path, stamps: npt.NDArray[np.uint8]) -> None:
    """Write the stamps of a complete store's images anew, where their content is as it was.

    Parameters
    ----------
    path : pathlib.Path
        The store, not a joined one.
    stamps : numpy.ndarray
        ``(n_images, 16)`` uint8, as `seal_stamps` makes them.

    Raises
    ------
    StoreError
        If another process reads or writes it.
    OSError
        If it may not be written.
    """
    fd = open_locked(path)
    try:
        write_at(fd, stamps, read_header(path).columns["image_stamp"].offset)
    finally:
        os.close(fd)


def _refuse_complete(path: Path, provenance: Provenance) -> None:
    if path.exists():
        _refuse_other_settings(path, provenance)
        raise StoreError(
            f"asked to make the store {path}, found it complete; read it, or delete it first"
        )


def _refuse_begun(path: Path) -> None:
    if part_of(path).exists():
        raise StoreError(
            f"asked to complete {path}, found {part_of(path)} beside it; finish or delete that one"
        )


def _refuse_overtaken(path: Path) -> None:
    if path.exists() or part_of(path).exists():
        raise StoreError(
            f"asked to make the store {path}, found that another process has just begun it; "
            "wait for that one"
        )


def _refuse_other_settings(path: Path, provenance: Provenance) -> None:
    differences = provenance.differences(read_header(path).provenance)
    if differences:
        raise StoreMismatchError(
            f"asked to write {path}, found features made with other settings: "
            f"{'; '.join(differences)}; give another path, or delete the file"
        )
