"""The files of ``grammar/``, in an installed package and in a bare checkout alike."""

from importlib import resources
from pathlib import Path


def read(name: str) -> str:
    """Return the text of a file of ``grammar/``."""
    try:
        folder = resources.files("maskc.grammar")
    except ModuleNotFoundError:
        return (Path(__file__).parents[2] / "grammar" / name).read_text(encoding="utf-8")
    return (folder / name).read_text(encoding="utf-8")
