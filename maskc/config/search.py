"""The programs of a folder or of a config file, as references that can be read one by one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from maskc.config import keys
from maskc.config.formats import SUFFIXES, parse
from maskc.errors import LoadError
from maskc.files.read import read_text, reason
from maskc.source import Source

KEYS = ("mask", "attention_mask")
"""Keys whose text is taken for a program."""


def programs(ref: str, names: Collection[str] = KEYS) -> Iterator[str | LoadError]:
    """Yield the references of the programs that ``ref`` stands for.

    Args:
        ref: a folder, searched with all in it but hidden folders; a config file, of which every
            text under one of the keys is a program; or anything else, which is one program.
        names: the keys.

    Yields:
        A reference, or the error of a file or a folder that cannot be read, in its place.

    """
    path = Path(ref)
    if os.path.isdir(ref):
        for file in _files(path):
            yield from [file] if isinstance(file, LoadError) else programs(str(file), names)
    elif path.suffix.removeprefix(".") in SUFFIXES and os.path.lexists(ref):
        try:
            yield from (f"{ref}:{key}" for key in _keys(path, names))
        except LoadError as unreadable:
            yield unreadable
    else:
        yield ref


def mask_files(ref: str) -> list[Path | LoadError]:
    """Return the ``.mask`` files of a folder and the errors of its folders, or the file itself."""
    if not os.path.isdir(ref):
        return [Path(ref)]
    result = _files(Path(ref))
    return [file for file in result if isinstance(file, LoadError) or file.suffix == ".mask"]


def _files(folder: Path) -> Iterator[Path | LoadError]:
    """Yield the programs and config files of a folder, in the order of their names."""
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.rpartition(".")[2] in ("mask", *SUFFIXES):
                yield Path(parent) / name
    for error in unreadable:
        yield LoadError("M601", f"cannot read `{error.filename}`: {reason(error)}")


def _keys(path: Path, names: Collection[str]) -> list[str]:
    """Return the dotted keys of a config file that hold a program, in a list or alone."""
    text = read_text(path)
    if not any(name in text for name in names):
        return []
    config = parse(Source(text, str(path)), path.suffix.removeprefix("."))
    return [key for key, _ in keys.texts(config) if _named(key) in names]


def _named(key: str) -> str:
    """Return the last step of a dotted key that is no place in a list."""
    steps = [step for step in key.split(".") if not step.isdecimal()]
    return steps[-1] if steps else ""
