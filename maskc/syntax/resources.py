"""The files of ``grammar/``, in an installed package and in a bare checkout alike."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def read(name: str) -> str:
    """Return the text of a file of ``grammar/``."""
    return _file(name).read_text(encoding="utf-8")


def read_bytes(name: str) -> bytes:
    """Return the bytes of a file of ``grammar/``.

    Raises:
        FileNotFoundError: there is none of that name.

    """
    return _file(name).read_bytes()


def _file(name: str) -> Traversable:
    try:
        return resources.files("maskc.grammar") / name
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "grammar" / name
