"""What the gallery draws, for the book: pages to explore, and the picture at its start."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from click.testing import CliRunner

from docs.generate.project import ROOT
from maskc.cli import main

START = "images/start.png"
"""The picture of the program that the book begins with, by its place in the book."""
SHOWN = ["causal & same_doc & window(192)", "--q", "1024", "--lengths", "300,90,420,214"]


def draw_start(path: Path) -> None:
    """Draw the program of the first page."""
    done = CliRunner().invoke(main, ["show", *SHOWN, "-o", str(path)])
    assert done.exit_code == 0, done.output


def explorers() -> dict[str, str]:
    """Return the pages to explore: for each file that the gallery links to, its place here."""
    return {
        f"examples/explorers/{piece.slug}.html": f"explorers/{piece.slug}.html"
        for pieces in _gallery().SECTIONS.values()
        for piece in pieces
    }


def write_explorers(folder: Path) -> None:
    """Write the gallery's pages to explore."""
    gallery = _gallery()
    folder.mkdir(parents=True, exist_ok=True)
    for pieces in gallery.SECTIONS.values():
        for piece in pieces:
            text = gallery.page(gallery.scene(piece, piece.show[0]))
            (folder / f"{piece.slug}.html").write_text(text, encoding="utf-8")


def _gallery() -> ModuleType:
    """Return the module that draws the gallery; it imports its neighbours by name."""
    if (folder := str(ROOT / "examples")) not in sys.path:
        sys.path.insert(0, folder)
    return import_module("gallery")
