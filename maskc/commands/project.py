"""What ``[tool.maskc]`` of a project says: libraries for its programs, and where they are.

It is read by the command line alone, from the nearest ``pyproject.toml`` upwards that has it. In
Python a library is named, as in ``maskc.load(..., library=...)``: what a program means never
depends on the folder that a process was started in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskc.config.formats import parse
from maskc.errors import LoadError, did_you_mean
from maskc.files.read import read_text
from maskc.source import Source

FILE = "pyproject.toml"
KEYS = ("library", "folders")


@dataclass(frozen=True, slots=True)
class Project:
    """The settings of a project; paths are as seen from where the command runs.

    Attributes:
        library: ``.mask`` files of definitions that every program of a command may use.
        folders: what ``maskc check`` and ``maskc fmt`` take where nothing is named.

    """

    library: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def project() -> Project:
    """Return the settings of the project that the command runs in; without any, none.

    Raises:
        LoadError: they cannot be read, or hold what they should not.

    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (file := folder / FILE).is_file():
            settings = _settings(file)
            if settings is not None:
                return _project(settings, folder, here)
    return Project()


def _settings(file: Path) -> Any:
    """Return ``[tool.maskc]`` of a file, None if it has none."""
    text = read_text(file)
    if "maskc" not in text:
        return None
    config = parse(Source(text, str(file)), "toml")
    tool = config.get("tool", {})
    return tool.get("maskc") if isinstance(tool, Mapping) else None


def _project(settings: Any, folder: Path, here: Path) -> Project:
    if not isinstance(settings, Mapping):
        message = f"`[tool.maskc]` of `{folder / FILE}` is no table"
        raise LoadError("M608", message, help='write `[tool.maskc]` and `library = ["a.mask"]`')
    for key in settings:
        if key not in KEYS:
            message = f"`[tool.maskc]` of `{folder / FILE}` has no key `{key}`"
            known = " and ".join(f"`{one}`" for one in KEYS)
            raise LoadError("M608", message, help=did_you_mean(key, KEYS) or f"it has {known}")
    return Project(*(_paths(settings.get(key), key, folder, here) for key in KEYS))


def _paths(value: Any, key: str, folder: Path, here: Path) -> tuple[str, ...]:
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        message = f"`{key}` in `[tool.maskc]` of `{folder / FILE}` is no list of paths"
        raise LoadError("M608", message, help=f'write `{key} = ["masks"]`')
    return tuple(str(folder / one) if folder != here else one for one in listed)
