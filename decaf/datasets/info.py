"""What is known of a named data set before any of its files is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decaf.errors import DataError


@dataclass(frozen=True)
class Archive:
    """A file to fetch.

    Attributes
    ----------
    file : str
        Its name.
    urls : tuple of str
        Where it can be had, best first; empty where it is to be had by hand only.
    size_bytes : int
        Its size; 0 where it is not published.
    checksum : str or None
        ``"sha256:..."`` or ``"md5:..."``; None where none is published.
    into : str
        Folder to unpack into, relative to the data set's.
    inner : tuple of str
        Archives inside it that are unpacked beside it; one that is not there is passed over.
    streamed : bool
        Unpacked while it arrives, so that it never lies on the disk beside its contents.
    """

    file: str
    urls: tuple[str, ...] = ()
    size_bytes: int = 0
    checksum: str | None = None
    into: str = "."
    inner: tuple[str, ...] = ()
    streamed: bool = False


@dataclass(frozen=True)
class DatasetInfo:
    """The published facts of a data set.

    Attributes
    ----------
    name : str
        Its name in commands.
    tree : str
        Folder of its images, relative to the data root.
    n_images, n_classes : int
        Published counts.
    licence : str
        Terms of use.
    home : str
        Page to read.
    archives : tuple of Archive
        What `decaf datasets get` fetches; empty where nothing has to be fetched.
    n_sides : tuple of int or None
        Published rows to train, validate and test; None where none are checked.
    """

    name: str
    tree: str
    n_images: int
    n_classes: int
    licence: str
    home: str
    archives: tuple[Archive, ...] = ()
    n_sides: tuple[int, int, int] | None = None

    @property
    def summary(self) -> str:
        """Counts, size of the download and licence, in one line."""
        size = sum(archive.size_bytes for archive in self.archives)
        download = f"{size / 1e9:.1f} GB, " if size else ""
        return f"{self.n_images} images, {self.n_classes} classes, {download}{self.licence}"

    def is_present(self, data_root: Path) -> bool:
        """Return whether the folder of its images is there."""
        return (data_root / self.tree).is_dir()

    def require(self, data_root: Path) -> Path:
        """Return the folder of its images.

        Raises
        ------
        DataError
            The folder is not there; says where the images come from and where they go.
        """
        if not self.is_present(data_root):
            raise DataError(f"data set {self.name} is not here: {self.how_to_get(data_root)}")
        return data_root / self.tree

    def how_to_get(self, data_root: Path) -> str:
        """Return what to do by hand: which files, from where, to where.

        Returns
        -------
        str
            The second half of a sentence.
        """
        files = ", ".join(archive.file for archive in self.archives)
        return (
            f"no folder {data_root / self.tree}; get {files} with `decaf datasets get "
            f"{self.name}`, or from {self.home}, and unpack there"
        )

    def check_complete(
        self, found: int, missing: Sequence[str], where: Path, *, allow_partial: bool
    ) -> bool:
        """Return whether images are missing, where that is allowed.

        Parameters
        ----------
        found : int
            Number of the images that are there.
        missing : sequence of str
            What is missing, in the published order.
        where : pathlib.Path
            Folder that was looked at.
        allow_partial : bool
            Whether to go on without the missing ones.

        Returns
        -------
        bool
            The table's ``partial``.

        Raises
        ------
        DataError
            Images are missing and that is not allowed.
        """
        if missing and not allow_partial:
            raise DataError(
                f"data set {self.name} has {self.n_images} images, found {found} under {where}: "
                f"{self.n_images - found} are missing, first {missing[0]}; complete it, or allow a "
                "partial one with --allow-partial"
            )
        return bool(missing)
