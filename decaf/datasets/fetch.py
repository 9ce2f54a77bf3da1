"""Fetching named data sets: downloads with checksums, or archives that the user has."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from decaf.datasets.download import MeasuredStream, download, open_url
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.unpack import most_bytes, unpack, unpack_tar
from decaf.errors import DataError
from decaf.progress import show_progress
from decaf.whole_files import lock, sweep, whole_folder


def fetch(info: DatasetInfo, data_root: Path, source: Path | None = None) -> Path:
    """Bring a named data set under the data root, whole or not at all.

    Parameters
    ----------
    info : DatasetInfo
        What to fetch.
    data_root : pathlib.Path
        Folder that holds the named data sets.
    source : pathlib.Path, optional
        An archive that the user has, or a folder of them, under their official names; what is
        not there is downloaded.

    Raises
    ------
    DataError
        The data set is there already, or cannot be fetched; says what to do by hand.
    """
    tree = data_root / info.tree
    home = data_root / info.tree.split("/", maxsplit=1)[0]
    if tree.exists():
        if _swept(info, data_root):  # a run that was killed when all but this was done
            return tree
        raise DataError(f"data set {info.name}: {tree} is there already; remove it to get it anew")
    _check_source(info, source)
    if home.is_dir() and (taken := sorted(child.name for child in home.iterdir())):
        raise DataError(
            f"data set {info.name}: {home} holds {', '.join(taken[:5])} already; remove it first"
        )
    with _alone(_downloads(info, data_root)), whole_folder(home) as aside:
        for archive in info.archives:
            _unpack_one(info, archive, _own(info, archive, source), aside, data_root)
        if not (aside / tree.relative_to(home)).is_dir():
            raise DataError(
                f"data set {info.name}: what was unpacked holds no {tree.relative_to(home)}; "
                f"{info.how_to_get(data_root)}"
            )
    shutil.rmtree(_downloads(info, data_root), ignore_errors=True)
    return tree


def _swept(info: DatasetInfo, data_root: Path) -> bool:
    """Remove what a killed run left; return whether there was anything."""
    downloads = _downloads(info, data_root)
    left = downloads.is_dir()
    if left:
        with _alone(downloads):
            shutil.rmtree(downloads, ignore_errors=True)
    return sweep(data_root) or left


def _check_source(info: DatasetInfo, source: Path | None) -> None:
    if source is None or source.is_dir():
        return
    if not source.is_file():
        raise DataError(f"data set {info.name}: no archive at {source}; correct the path")
    files = [archive.file for archive in info.archives]
    if len(files) != 1 and source.name not in files:
        raise DataError(
            f"data set {info.name}: {source.name} is none of its archives; give one that is named "
            f"{', '.join(files)}, or a folder of them"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make a folder, and hold it against other processes; an empty one is removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error}; choose --data-root") from error
    try:
        if lock(fd) is False:
            raise DataError(
                f"another process is getting this data set ({folder}); wait until it ends"
            )
        try:
            yield
        finally:
            with suppress(OSError):
                folder.rmdir()
    finally:
        os.close(fd)


def _own(info: DatasetInfo, archive: Archive, source: Path | None) -> Path | None:
    """Return the user's copy of an archive, if there is one."""
    if source is None:
        return None
    if source.is_dir():
        return source / archive.file if (source / archive.file).is_file() else None
    alone = len(info.archives) == 1  # then its name does not matter
    return source if alone or source.name == archive.file else None


def _unpack_one(
    info: DatasetInfo, archive: Archive, own: Path | None, aside: Path, data_root: Path
) -> None:
    into = aside / archive.into
    if own is not None:
        _check_sum(info, archive, own)
        unpack(own, into)
    elif archive.streamed:
        _stream(info, archive, into, data_root)
    else:
        unpack(_download(info, archive, data_root), into)
    for inner in archive.inner:
        if (into / inner).is_file():
            unpack(into / inner, into)
            (into / inner).unlink()


def _check_sum(info: DatasetInfo, archive: Archive, own: Path) -> None:
    """Refuse an archive of the user's that is another than the published one."""
    if archive.checksum is None:
        return
    algorithm, _, published = archive.checksum.partition(":")
    with own.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != published:
        raise DataError(
            f"data set {info.name}: {own} has the {algorithm} {found}, published is {published}; "
            f"get it from {info.home}, or unpack it yourself"
        )


def _download(info: DatasetInfo, archive: Archive, data_root: Path) -> Path:
    import pooch  # noqa: PLC0415 - only here, and machines with a GPU may lack it

    reasons = []
    for url in archive.urls:
        try:
            return Path(
                pooch.retrieve(
                    url,
                    archive.checksum,
                    fname=archive.file,
                    path=_downloads(info, data_root),
                    downloader=download,
                )
            )
        except (OSError, ValueError) as error:  # ValueError: the checksum is another one
            reasons.append(f"{url}: {error}")
    raise _unreachable(info, archive, reasons, data_root)


def _stream(info: DatasetInfo, archive: Archive, into: Path, data_root: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in archive.urls:
        try:
            response = open_url(url)
        except OSError as error:
            reasons.append(f"{url}: {error}")
            continue
        n_mib = archive.size_bytes // 2**20
        with response, show_progress(f"fetching {archive.file}", n_mib, "MiB", quiet=False) as tell:
            algorithm, _, published = (archive.checksum or "sha256:").partition(":")
            stream = MeasuredStream(response, algorithm, tell)
            unpack_tar(stream, into, archive.file, most_bytes(archive.size_bytes))
            found = stream.hexdigest()
        if published and found != published:
            raise DataError(
                f"{archive.file} from {url} has the {algorithm} {found}, published is {published}; "
                "get it again"
            )
        return
    raise _unreachable(info, archive, reasons, data_root)


def _unreachable(
    info: DatasetInfo, archive: Archive, reasons: list[str], data_root: Path
) -> DataError:
    why = "; ".join(reasons) or "it has no lasting address"
    return DataError(
        f"data set {info.name} is not at {data_root / info.tree}, and {archive.file} could not be "
        f"fetched ({why}); get it from {info.home}, then run `decaf datasets get {info.name} "
        f"--from {archive.file}`"
    )


def _downloads(info: DatasetInfo, data_root: Path) -> Path:
    return data_root / f".{info.name}-download"
