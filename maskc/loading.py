"""Where a program's text comes from: the text itself, a ``.mask`` file, or a key of a config file.

Codes: M601 unreadable file, M602 not the format that its name says, M603 missing key, M604 not a
text, M605 a file that cannot be written, M606 a package that a file needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

from maskc.config import keys
from maskc.config.formats import LoadError, parse
from maskc.config.places import origin
from maskc.source import Source

__all__ = ["LoadError", "Located", "read", "read_libraries", "read_source"]

PATH = re.compile(
    r"(?P<path>([A-Za-z]:\\)?[^\n:;|&]*\.(?P<suffix>mask|toml|ya?ml|json))(:(?P<key>[^\n]*))?"
)
"""What a path looks like; no expression does."""

LIBRARY = "library"
"""The key beside a program that names libraries for it."""

Paths = str | PathLike[str] | Iterable[str | PathLike[str]]


@dataclass(frozen=True, slots=True)
class Located:
    """A program's text, and the libraries that the config file names beside it."""

    source: Source
    libraries: tuple[Source, ...] = ()


def read(ref: str) -> Located:
    """Return the program that ``ref`` stands for, and its libraries.

    Args:
        ref: an expression, ``path.mask``, or ``config.toml:dotted.key`` (also ``.yaml``, ``.yml``
            and ``.json``). A number in a key picks from a list: ``layers.0.mask``. A key
            ``library`` beside the program holds the path of a ``.mask`` file, or a list of such
            paths, from the folder of the config file.

    Raises:
        LoadError: the file cannot be read or parsed, or the key is missing or holds no text.

    """
    match = PATH.fullmatch(ref.strip())
    if match is None:
        return Located(Source(ref))
    path, suffix, key = match["path"], match["suffix"], match["key"]
    file = Source(read_text(Path(path)), path)
    if suffix != "mask":
        return located(file, suffix, parse(file, suffix), key or "")
    if key is not None:
        message = f"`{path}` is a program, it has no keys"
        raise LoadError("M603", message, help=f"write `{path}`")
    return Located(file)


def read_source(ref: str) -> Source:
    """Return the text of the program that ``ref`` stands for; see ``read``."""
    return read(ref).source


def read_libraries(paths: Paths | None) -> tuple[Source, ...]:
    """Return the libraries at one path or several.

    Raises:
        LoadError: a file cannot be read.

    """
    if paths is None:
        return ()
    listed: list[Any] = [paths]
    if isinstance(paths, Iterable) and not isinstance(paths, str):
        listed = list(paths)
    for path in listed:
        if not isinstance(path, str | PathLike):
            message = f"`library` is a path or several, found {type(path).__name__}"
            raise LoadError("M604", message, help='name `.mask` files: `library="masks.mask"`')
    return tuple(read_source(str(path)) for path in listed)


def located(file: Source, suffix: str, config: Any, key: str) -> Located:
    """Return the program at a key of a config file that is read already.

    Raises:
        LoadError: the key is missing or holds no text, or a library cannot be read.

    """
    text = keys.text_at(config, key, file.name)
    place = origin(file, suffix, key, text)
    libraries = keys.beside(config, key, LIBRARY)
    return Located(
        Source(text, f"{file.name}:{key}", place), _libraries(libraries, Path(file.name), key)
    )


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        LoadError: it cannot be read, or is not UTF-8.

    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = {other.stem: other for other in path.parent.glob(f"*{path.suffix}")}
        close = get_close_matches(path.stem, near, n=1)
        help = f"did you mean `{near[close[0]]}`?" if close else None
        raise LoadError("M601", f"there is no file `{path}`", help=help) from None
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        raise LoadError("M601", message, help="save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError("M601", f"cannot read `{path}`: {reason.lower()}") from None


def write_text(path: Path, text: str) -> None:
    """Write a text to a file.

    Raises:
        LoadError: it cannot be written.

    """
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        help = None if path.parent.is_dir() else f"make the folder first: `{path.parent}`"
        raise LoadError("M605", f"cannot write `{path}`: {reason.lower()}", help=help) from None


def _libraries(value: Any, config: Path, key: str) -> tuple[Source, ...]:
    """Return the libraries that a config file names, from its own folder."""
    if value is None:
        return ()
    listed = value if isinstance(value, list) else [value]
    wrong = [one for one in listed if not isinstance(one, str) or not one.endswith(".mask")]
    if wrong:
        found = keys.described(wrong[0])
        message = f"a `{LIBRARY}` beside `{key}` of `{config}` is {found}, expected a path"
        help = 'name `.mask` files, as in `library = ["masks.mask"]`'
        raise LoadError("M604", message, help=help)
    return read_libraries(str(config.parent / path) for path in listed)
