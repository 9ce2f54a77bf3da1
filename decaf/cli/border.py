"""The border of the command line: beyond it every error is one message, and none a traceback."""

import lzma
import os
import re
import struct
import sys
import tarfile
import zipfile
import zlib
from typing import Any, NoReturn

import typer

from decaf.choices import did_you_mean
from decaf.cli.helping import Group
from decaf.errors import DataError, DecafError
from decaf.escapes import visible

STOPPED = 130
"""Exit status after Ctrl-C, as shells count it: 128 and the number of SIGINT."""

TRACEBACK = "DECAF_TRACEBACK"
"""The environment variable that shows where an error came from."""

_DAMAGE = (EOFError, lzma.LZMAError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class Border(Group):
    """The group of all commands: what they raise becomes an error of decaf."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for.

        Raises
        ------
        DecafError
            For every error of a library that a command did not expect.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            if not stop.args:  # else what stopped has said what is safe
                say_error("stopped; run the same command again to go on")
            raise typer.Exit(STOPPED) from None
        except (DecafError, BrokenPipeError):
            raise
        except Exception as error:
            if type(error).__module__.startswith(("click", "typer")):  # wrong usage, or an exit
                _say_plainly(error)
                raise
            raise translated(error) from error


def _say_plainly(error: Any) -> None:
    """Take pydantic's words from a refusal; add the fixed word that may be meant."""
    said = getattr(error, "message", None)
    if not isinstance(said, str):
        return
    error.message = said.removeprefix("Value error, ")
    if refused := re.search(r"'(.*)' is not one of (.*)", said):
        hint = did_you_mean(refused[1], re.findall("'([^']+)'", refused[2]))
        error.message = f"{refused[0]} {hint.strip().capitalize()}".strip()


def translated(error: Exception) -> DecafError:
    """Return the error of decaf that says what another library's error means to a user."""
    reason = str(error).strip() or type(error).__name__
    match error:
        case OSError(strerror=str() as why, filename=None):
            said = f"asked to use a file, found: {why}; check the files and folders given"
        case OSError(strerror=str() as why, filename=name):
            said = f"asked for {os.fsdecode(name)}, found: {why}; correct the path, or its rights"
        case OSError():
            said = f"asked to use a file, found: {reason}; check the files and folders given"
        case MemoryError():
            said = "the memory does not suffice; give smaller batches, or fewer --workers"
        case UnicodeError():
            said = f"found text that is not UTF-8 ({reason}); correct the name or the file"
        case ValueError() if "null" in reason:
            said = f"found a path with a zero byte ({reason}); correct the path"
        case _ if isinstance(error, _DAMAGE):
            said = f"found a damaged file ({reason}); get the file again"
        case _:
            return DecafError(
                f"found an error that decaf does not know, {type(error).__name__}: {reason}; "
                f"{TRACEBACK}=1 in the environment shows where it is; please report it"
            )
    return DataError(said)


def run(app: typer.Typer) -> NoReturn:
    """Run the command line and end the process; a user's mistake ends in one message."""
    try:
        app()
    except DecafError as error:
        if os.environ.get(TRACEBACK):
            raise
        say_error(str(error))
        sys.exit(error.exit_code)
    sys.exit()


def say_error(message: str) -> None:
    """Print a message on stderr, on one line."""
    typer.echo(f"decaf: {visible(message)}", err=True)


def say(result: object) -> None:
    """Print what a command made: for a terminal visibly, for a program byte by byte."""
    text = str(result)
    if sys.stdout.isatty():
        typer.echo("\n".join(map(visible, text.split("\n"))))
    else:
        typer.echo(os.fsencode(text))
