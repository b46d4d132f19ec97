"""Write a file so that its readers see the old text or the new one, and never a part.

The text goes to a new file in the same folder, which then takes the place of the old one: a full
disk, a crash or a kill leaves the old file whole. Codes: M605 a file that cannot be written.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from maskc.errors import LoadError
from maskc.files.read import reason


def write_text(path: Path, text: str) -> None:
    """Write a text to a file as it is, in UTF-8; see ``write_bytes``.

    Raises:
        LoadError: it cannot be written; the file is then what it was.

    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file at once, or not at all.

    An old file keeps its mode and, where the system allows it, its owner. A link keeps pointing
    where it points, and the file there is written; other hard links keep the old text. A device
    or a pipe, which nothing can take the place of, is written to.

    Raises:
        LoadError: it cannot be written; the file is then what it was.

    """
    try:
        before = _found(path)
        if before is None or stat.S_ISREG(before.st_mode):
            _replace(Path(os.path.realpath(path)), data, before)
        else:
            _stream(path, data)
    except (OSError, ValueError) as error:
        help = None if path.parent.is_dir() else f"make the folder first: `{path.parent}`"
        message = f"cannot write `{path}`: {reason(error)}"
        raise LoadError("M605", message, help=help) from None


def _found(path: Path) -> os.stat_result | None:
    """Return what a path leads to, None if there is nothing."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _replace(target: Path, data: bytes, before: os.stat_result | None) -> None:
    """Write ``data`` beside a file and put it in its place."""
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(None, "Permission denied")  # a new file could still take its place
    beside = target.with_name(f".maskc-{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _AS_IT_IS, 0o666)
    try:
        with open(descriptor, "wb") as file:
            if before is not None:
                _keep(beside, before)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _settle(target.parent)


_AS_IT_IS = getattr(os, "O_BINARY", 0)


def _keep(path: Path, before: os.stat_result) -> None:
    """Give a new file the owner and the mode of an old one; only some users may give files away."""
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(path, before.st_uid, before.st_gid)
    os.chmod(path, stat.S_IMODE(before.st_mode))


def _settle(folder: Path) -> None:
    """Have a folder's new entry survive a power cut, on systems that open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stream(target: Path, data: bytes) -> None:
    # A pipe that nobody reads is refused instead of waited for.
    descriptor = os.open(target, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "wb") as file:
        if hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
        file.write(data)
