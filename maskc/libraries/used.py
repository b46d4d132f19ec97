"""The libraries that a text uses, ``use "masks.mask"``, and those that they use in turn.

A path is from the folder of the file that it stands in. A text of no file uses none: what a string
means depends on no folder, and a program from elsewhere reads no file here.
"""

from __future__ import annotations

import os
from pathlib import Path

from maskc.errors import LoadError
from maskc.files.read import read_text
from maskc.source import Source
from maskc.syntax import ast
from maskc.syntax.parse import parse

MOST_LIBRARIES = 64
"""Of one program; each has its scope inside that of the one before."""


def libraries_used(source: Source) -> tuple[Source, ...]:
    """Return the libraries that a text uses, each once and after those that it uses itself.

    Raises:
        LoadError: one cannot be read, is no ``.mask`` file, or uses itself by way of others; the
            error stands at the ``use``.

    """
    found: dict[Path, Source] = {}
    own = () if source.folder is None else (_key(Path(source.file)),)
    _collect(source, found, own)
    return tuple(found.values())


def _collect(source: Source, found: dict[Path, Source], open_files: tuple[Path, ...]) -> None:
    folder = source.folder
    if folder is None or "use" not in source.text:
        return
    for statement in parse(source)[0].statements:
        if not isinstance(statement, ast.Use):
            continue
        path = folder / statement.path
        key = _key(path)
        _check(statement, path, key, open_files, len(found))
        if key not in found:
            library = _read(statement, path)
            _collect(library, found, (*open_files, key))
            found[key] = library


def _key(path: Path) -> Path:
    """Return what tells a file by whichever path it is named; what is no path is itself."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a byte of 0: to read it is refused
        return path


def _check(
    statement: ast.Use, path: Path, key: Path, open_files: tuple[Path, ...], count: int
) -> None:
    """Refuse what is no library, and one that is being read already."""
    if path.suffix != ".mask":
        message = f"`use` takes a `.mask` file, found `{statement.path}`"
        raise LoadError("M610", message, statement.span, 'write `use "masks.mask"`')
    if key in open_files:
        cycle = [*open_files[open_files.index(key) :], key]
        message = f"`{path.name}` uses itself: {' -> '.join(one.name for one in cycle)}"
        help = "move what both need to a third file"
        raise LoadError("M611", message, statement.span, help)
    if count >= MOST_LIBRARIES:
        message = f"a program has at most {MOST_LIBRARIES} libraries"
        raise LoadError("M607", message, statement.span, "join some of them in one file")


def _read(statement: ast.Use, path: Path) -> Source:
    try:
        return Source(read_text(path), str(path))
    except LoadError as error:
        raise error.at(statement.span) from None
