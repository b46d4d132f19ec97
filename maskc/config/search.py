"""The programs of a folder or of a config file, as references that can be read one by one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from maskc.config import keys
from maskc.config.formats import SUFFIXES, LoadError, parse
from maskc.source import Source

KEYS = ("mask", "attention_mask")
"""Keys whose text is taken for a program."""


def programs(ref: str, names: Collection[str] = KEYS) -> Iterator[str]:
    """Yield the references of the programs that ``ref`` stands for.

    Args:
        ref: a folder, searched with all in it but hidden folders; a config file, of which every
            text under one of the keys is a program; or anything else, which is one program.
        names: the keys.

    Raises:
        LoadError: a config file that holds one of the keys cannot be parsed.

    """
    path = Path(ref)
    if path.is_dir():
        for file in _files(path):
            yield from programs(str(file), names)
    elif path.suffix.removeprefix(".") in SUFFIXES and path.is_file():
        yield from (f"{ref}:{key}" for key in _keys(path, names))
    else:
        yield ref


def mask_files(ref: str) -> list[Path]:
    """Return the ``.mask`` files of a folder, or the file itself."""
    path = Path(ref)
    return [file for file in _files(path) if file.suffix == ".mask"] if path.is_dir() else [path]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the programs and config files of a folder, in the order of their names."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.rpartition(".")[2] in ("mask", *SUFFIXES):
                yield Path(parent) / name


def _keys(path: Path, names: Collection[str]) -> list[str]:
    """Return the dotted keys of a config file that hold a program, in a list or alone."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError("M601", f"cannot read `{path}`: {error}".lower()) from None
    if not any(name in text for name in names):
        return []
    config = parse(Source(text, str(path)), path.suffix.removeprefix("."))
    return [key for key, _ in keys.texts(config) if _named(key) in names]


def _named(key: str) -> str:
    """Return the last step of a dotted key that is no place in a list."""
    steps = [step for step in key.split(".") if not step.isdecimal()]
    return steps[-1] if steps else ""
