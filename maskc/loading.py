"""Where a program's text comes from: the text itself, a ``.mask`` file, or a key of a config file.

Codes: M601 unreadable file, M602 not the format that its name says, M603 missing key, M604 not a
text, M605 a file that cannot be written, M606 a package that is missing, M607 libraries that are
no paths, or too many, M610 a `use` in a text of no file or of no `.mask` file, M611 libraries that
use each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from maskc.config import keys
from maskc.config.formats import parse
from maskc.config.places import origin
from maskc.errors import LoadError
from maskc.files.read import read_text
from maskc.libraries.used import MOST_LIBRARIES, libraries_used
from maskc.source import Source

__all__ = ["LoadError", "Located", "read", "read_libraries", "read_source"]

PATHS = ("/", "./", "../")
"""What no expression begins with."""

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
        if ref.startswith(PATHS):
            message = f"`{ref}` is no file of a program"
            raise LoadError("M601", message, help="name a `.mask` file, or a key of a config file")
        return Located(Source(ref))
    path, suffix, key = match["path"], match["suffix"], match["key"]
    file = Source(read_text(Path(path)), path)
    if suffix != "mask":
        return located(file, suffix, parse(file, suffix), key or "")
    if key is not None:
        message = f"`{path}` is a program, it has no keys"
        raise LoadError("M603", message, help=f"write `{path}`")
    return _with_used(Located(file))


def read_source(ref: str) -> Source:
    """Return the text of the program that ``ref`` stands for; see ``read``."""
    return read(ref).source


def read_libraries(paths: Paths | None) -> tuple[Source, ...]:
    """Return the libraries at one path or several, at most ``MOST_LIBRARIES``.

    Raises:
        LoadError: a file cannot be read, there are too many, or this is no path.

    """
    if paths is None:
        return ()
    if not isinstance(paths, str | PathLike | Iterable):
        raise _no_path(paths)
    listed = [paths] if isinstance(paths, str | PathLike) else paths
    try:
        some = list(islice(listed, MOST_LIBRARIES + 1))
    except TypeError:  # an iterable by name alone, such as a tensor of one number
        raise _no_path(paths) from None
    if len(some) > MOST_LIBRARIES:
        raise _too_many()
    return _few([each for path in some for each in _library(path)])


def _few(libraries: Sequence[Source]) -> tuple[Source, ...]:
    """Return each library once, or refuse too many of them."""
    kept = tuple(dict.fromkeys(libraries))
    if len(kept) > MOST_LIBRARIES:
        raise _too_many()
    return kept


def _too_many() -> LoadError:
    message = f"a program has at most {MOST_LIBRARIES} libraries"
    return LoadError("M607", message, help="join some of them in one file")


def _library(path: object) -> tuple[Source, ...]:
    """Return a library after those that it uses."""
    if not isinstance(path, str | PathLike):
        raise _no_path(path)
    located = read(str(path))
    return (*located.libraries, located.source)


def _with_used(located: Located) -> Located:
    """Return a program with the libraries that its text uses, over those that it has."""
    used = libraries_used(located.source)
    return Located(located.source, (*located.libraries, *used)) if used else located


def _no_path(found: object) -> LoadError:
    message = f"a library is a path, found {type(found).__name__}"
    return LoadError("M607", message, help='name a `.mask` file, as in `library="masks.mask"`')


def located(file: Source, suffix: str, config: Any, key: str) -> Located:
    """Return the program at a key of a config file that is read already.

    Raises:
        LoadError: the key is missing or holds no text, or a library cannot be read.

    """
    text = keys.text_at(config, key, file.name)
    place = origin(file, suffix, key, text)
    libraries = keys.beside(config, key, LIBRARY)
    named = _libraries(libraries, Path(file.name), key)
    return _with_used(Located(Source(text, f"{file.name}:{key}", place), named))


def _libraries(value: Any, config: Path, key: str) -> tuple[Source, ...]:
    """Return the libraries that a config file names, from its own folder."""
    if value is None:
        return ()
    listed = value if isinstance(value, list) else [value]
    wrong = [one for one in listed if not isinstance(one, str) or not one.endswith(".mask")]
    if wrong:
        result = keys.described(wrong[0])
        message = f"a `{LIBRARY}` beside `{key}` of `{config}` is {result}, expected a path"
        help = 'name `.mask` files, as in `library = ["masks.mask"]`'
        raise LoadError("M604", message, help=help)
    return read_libraries(str(config.parent / path) for path in listed)
