"""Tar archives of unknown making, read forwards: no read is larger than it has to be.

Python's tarfile keeps the headers of an entry in memory, however large they say they are, and
is content with an archive's first end mark, or with none.
"""

import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO, Protocol, cast

from decaf.errors import DataError

MAX_HEADER_BYTES = 2**16
"""Most bytes of headers before one entry of a tar archive: its name, times and attributes."""

MAX_END_BYTES = 2**24
"""Most zeros after the end of a tar archive: a tape's last record holds far fewer."""

MAX_PATH_BYTES = 4096
"""Longest path of an image, in a manifest or an archive: what Linux opens at most."""

_CHUNK_BYTES = 2**20


class Readable(Protocol):
    """Where the bytes of an archive come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


class TarReader:
    """The entries of a tar archive, and of those that were appended to it with `cat`.

    Parameters
    ----------
    file : Readable
        The archive from its start, uncompressed.
    name : str
        What to call it in a message.
    limit_bytes : int, optional
        Most bytes to read. Without it the file must have `seek`, and contents are passed over.
    """

    def __init__(self, file: Readable, name: str, limit_bytes: int | None = None) -> None:
        self._blocks = _Blocks(file, name, limit_bytes)

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield the entries in order; the archive must be whole.

        Raises
        ------
        DataError
            What stands before an entry is larger than `MAX_HEADER_BYTES`, or of a wrong size.
        tarfile.TarError
            The archive is damaged or cut short; other errors come as the file raises them.
        """
        blocks = self._blocks
        while True:
            with tarfile.open(fileobj=cast("IO[bytes]", blocks), mode="r:") as tar:
                entry = tar.firstmember and tar.next()  # type: ignore[attr-defined] # reads on
                while entry is not None:
                    tar.members = []  # type: ignore[attr-defined] # they take a kilobyte each
                    blocks.n_header_bytes = 0
                    if entry.size < 0:
                        raise blocks.refusal(f"{entry.name[:80]!r} has a size below zero")
                    if len(entry.name.encode(errors="surrogateescape")) > MAX_PATH_BYTES:
                        raise blocks.refusal(
                            f"the name {entry.name[:40]!r}... is longer than {MAX_PATH_BYTES} bytes"
                        )
                    yield entry
                    entry = tar.next()
                end = tar.offset
            if blocks.last != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(
                    f"it is cut short or damaged after byte {end}, where its end should be marked"
                )
            if not blocks.skip_zeros():
                return

    def content(self, entry: tarfile.TarInfo) -> Iterator[bytes]:
        """Yield the content of the entry that came last, in pieces.

        Raises
        ------
        tarfile.TarError
            It is cut short.
        """
        return self._blocks.content(entry.size)


def link_target(entry: tarfile.TarInfo) -> str:
    """Return the name of the entry that a link leads to; it may lead out of the archive.

    Returns
    -------
    str
        In normal form; where it starts with a slash or ``..``, it leads out.
    """
    name = entry.linkname.lstrip("/")
    if entry.issym():
        folder = posixpath.dirname(entry.name.lstrip("/"))
        name = posixpath.join(folder, entry.linkname)
    return posixpath.normpath(name)


class _Blocks:
    """What tarfile sees of the file."""

    def __init__(self, file: Readable, name: str, limit_bytes: int | None) -> None:
        self._file, self._name, self._limit_bytes = file, name, limit_bytes
        self._at = 0
        self._again = b""
        self.last = b""
        self.n_header_bytes = 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        self.n_header_bytes += size
        if size < 0 or self.n_header_bytes > MAX_HEADER_BYTES:
            raise self.refusal(f"an entry has more than {MAX_HEADER_BYTES} bytes of headers")
        data, self._again = self._again or self._take(size), b""
        self._at += len(data)
        self.last = data
        return data

    def seek(self, to: int) -> None:
        if to < self._at:
            raise self.refusal("its entries overlap")
        if self._limit_bytes is None:
            cast("IO[bytes]", self._file).seek(to)
            self._at = to
            return
        for _ in self.content(to - self._at):
            pass

    def content(self, size: int) -> Iterator[bytes]:
        while size > 0:
            data = self._take(min(size, _CHUNK_BYTES))
            if not data:
                raise tarfile.ReadError("unexpected end of data")
            size -= len(data)
            self._at += len(data)
            yield data

    def skip_zeros(self) -> bool:
        """Go on to the next block that is not of zeros; return whether there is one."""
        end = self._at + MAX_END_BYTES
        while block := self._take(tarfile.BLOCKSIZE):
            if block.strip(b"\0"):
                self._again, self.last = block, b""
                return True
            self._at += len(block)
            if self._at > end:
                raise self.refusal(f"more than {MAX_END_BYTES} zeros follow its end")
        return False

    def refusal(self, what: str) -> DataError:
        return DataError(
            f"refused to read {self._name}: {what}; get it from its official source, or make it "
            "anew with tar"
        )

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if self._limit_bytes is not None:
            self._limit_bytes -= len(data)
            if self._limit_bytes < 0:
                raise self.refusal("it unpacks to more bytes than its size lets expect")
        return data
