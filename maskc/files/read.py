"""Read a text from a file that somebody else may have written.

Only a regular file of a known size is read: a pipe, a device or a file of gigabytes is refused
before a byte of it is. Codes: M601 a file that cannot be read.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from maskc.errors import LoadError

LARGEST = 2**20
"""Bytes of a program, a library or a config; larger files are refused unread."""

MOST_NEIGHBOURS = 300
"""Files of a folder that are compared with a name that is not there."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text and how its lines end.

    Attributes:
        text: with a line feed at the end of every line.
        written: as it stands in the file.

    """

    text: str
    written: str

    @property
    def line_end(self) -> str:
        """How the lines of the file end: as its first line does."""
        return "\r\n" if self.written.partition("\n")[0].endswith("\r") else "\n"


def read_text(path: Path) -> str:
    """Return the text of a file, with a line feed at the end of every line.

    Raises:
        LoadError: it is no regular file of at most ``LARGEST`` bytes, or is not UTF-8.

    """
    return read_file(path).text


def read_file(path: Path) -> TextFile:
    """Return the text of a file, and the text as it is written.

    Raises:
        LoadError: it is no regular file of at most ``LARGEST`` bytes, or is not UTF-8.

    """
    try:
        written = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        raise LoadError("M601", message, help="save the file as UTF-8") from None
    return TextFile(written.replace("\r\n", "\n").replace("\r", "\n"), written)


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """Return what a file holds.

    Raises:
        LoadError: it is no regular file of at most ``largest`` bytes.

    """
    try:
        data = _read(path, largest)
    except LoadError:
        raise
    except FileNotFoundError:
        raise LoadError("M601", f"there is no file `{path}`", help=_near(path)) from None
    except (OSError, ValueError) as error:
        raise LoadError("M601", f"cannot read `{path}`: {reason(error)}") from None
    if len(data) > largest:
        raise _too_large(path, f"more than {largest}", largest)
    return data


def reason(error: OSError | ValueError) -> str:
    """Return why the system refused, for a message."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text[:1].lower() + text[1:]


def _read(path: Path, largest: int) -> bytes:
    # Opening a pipe waits for a writer, unless it is opened without blocking.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(descriptor)
        _check_kind(path, found, largest)
        with open(descriptor, "rb", closefd=False) as file:
            # What a system makes up, as in /proc, has no size: read no more than is allowed.
            return file.read(1 + (found.st_size or min(largest, LARGEST)))
    finally:
        os.close(descriptor)


def _check_kind(path: Path, found: os.stat_result, largest: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise LoadError("M601", f"cannot read `{path}`: is a directory")
    if not stat.S_ISREG(found.st_mode):
        kind = "pipe" if stat.S_ISFIFO(found.st_mode) else "device"
        message = f"cannot read `{path}`: is a {kind}, expected a file"
        raise LoadError("M601", message, help="save the text in a file")
    if found.st_size > largest:
        raise _too_large(path, str(found.st_size), largest)


def _too_large(path: Path, size: str, largest: int) -> LoadError:
    message = f"`{path}` has {size} bytes, at most {largest} are read"
    return LoadError("M601", message, help="put large tables in an `input`")


def _near(path: Path) -> str | None:
    """Return the help that names a file of the folder, of the same kind and with a similar name."""
    others = islice(path.parent.glob(f"*{path.suffix}"), MOST_NEIGHBOURS)
    near = {other.stem: other for other in others if other != path}
    close = get_close_matches(path.stem, near, n=1)
    return f"did you mean `{near[close[0]]}`?" if close else None
