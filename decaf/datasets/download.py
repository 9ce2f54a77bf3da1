"""Downloads that show their progress and go on where they stopped."""

import hashlib
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from decaf.datasets.tar_reader import Readable
from decaf.progress import Advance, show_progress

_CHUNK_BYTES = 2**20
_TIMEOUT_S = 10.0


def open_url(url: str, first_byte: int = 0) -> HTTPResponse:
    """Open a URL, from some byte on if the server can.

    Parameters
    ----------
    url : str
        A published address of a data set.
    first_byte : int
        Where to begin.

    Returns
    -------
    http.client.HTTPResponse
        Status 206 if it begins there, 200 if at the start.

    Raises
    ------
    OSError
        The server cannot be reached within seconds, or refuses.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "decaf"})  # noqa: S310 - addresses come from the adapters
    if first_byte:
        request.add_header("Range", f"bytes={first_byte}-")
    response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 - it opens the request made above
    return response


def download(url: str, output_file: str, _pooch: object) -> None:
    """Download a file for pooch; a part that a broken download left is completed.

    Parameters
    ----------
    url : str
        Where the file is.
    output_file : str
        Path to write; the part lies beside it.
    _pooch : object
        Part of pooch's interface, not used.

    Raises
    ------
    OSError
        The file cannot be had; asked again only while each attempt gets further.
    """
    part = Path(output_file).with_name(PurePosixPath(urlsplit(url).path).name + ".part")
    part.touch()
    while True:
        before = part.stat().st_size
        try:
            _go_on(url, part)
        except (OSError, HTTPException) as error:
            if part.stat().st_size > before:
                continue
            raise OSError(str(error) or type(error).__name__) from error
        part.replace(output_file)
        return


def _go_on(url: str, part: Path) -> None:
    have = part.stat().st_size
    try:
        response = open_url(url, have)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.write_bytes(b"")  # the part is no beginning of what is there now
        response, have = open_url(url), 0
    with response:
        have = have if response.status == 206 else 0
        rest = int(response.headers.get("Content-Length", 0))
        n_chunks = -(-rest // _CHUNK_BYTES)
        with (
            part.open("ab" if have else "wb") as file,
            show_progress(f"fetching {part.stem}", n_chunks, "MiB", quiet=False) as advance,
        ):
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                advance(1)
    got = part.stat().st_size - have
    if got < rest:
        raise ConnectionError(f"the connection ended after {got} of {rest} bytes")


class MeasuredStream:
    """A stream that hashes what is read of it and reports the progress.

    Parameters
    ----------
    stream : Readable
        Read from its start to its end.
    algorithm : str
        A name that hashlib knows.
    advance : Advance
        Told of each MiB.
    """

    def __init__(self, stream: Readable, algorithm: str, advance: Advance) -> None:
        self._stream = stream
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._advance = advance
        self._n_bytes = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        Parameters
        ----------
        size : int
            Most bytes to return.
        """
        data = self._stream.read(size)
        self._hash.update(data)
        before, self._n_bytes = self._n_bytes, self._n_bytes + len(data)
        self._advance(self._n_bytes // _CHUNK_BYTES - before // _CHUNK_BYTES)
        return data

    def hexdigest(self) -> str:
        """Read what is left, and return the digest of the whole."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hash.hexdigest()
