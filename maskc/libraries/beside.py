"""Libraries that lie beside a program and were not named: where an unknown name may be defined."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from maskc.elaborate.errors import UNKNOWN, declared
from maskc.errors import LoadError, MaskcError
from maskc.files.read import read_text
from maskc.source import Source
from maskc.syntax import ast
from maskc.syntax.parse import parse

MOST_FILES = 50
"""Files of a folder that are searched for a name."""


def naming_library(error: MaskcError) -> MaskcError:
    """Return an error of an unknown name with the library beside the program that defines it."""
    if error.code not in UNKNOWN or error.span is None:
        return error
    file = Path(error.span.source.file)
    library = _defining(error.span.text, file) if file.is_file() else None
    if library is None:
        return error
    named = "use" if file.suffix == ".mask" else "library ="
    help = f'`{library}` defines it: name it, as in `{named} "{library.name}"`'
    return type(error)(error.code, error.message, error.span, help, error.notes)


def _defining(name: str, file: Path) -> Path | None:
    """Return a library in the folder of ``file`` that defines ``name``, or None."""
    others = islice(sorted(file.parent.glob("*.mask")), MOST_FILES)
    return next((other for other in others if other != file and name in _names(other)), None)


def _names(file: Path) -> Iterator[str]:
    """Yield what a library defines, nothing for what is no library."""
    try:
        tree, errors = parse(Source(read_text(file), str(file)))
    except LoadError:
        return  # what is not read is no help, and not what the user asked for
    if not errors and not any(isinstance(one, ast.Assignment) for one in tree.statements):
        for statement in tree.statements:
            yield from declared(statement)
