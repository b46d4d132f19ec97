"""Where things are: the repository, the built pages, and the addresses that pyproject names."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BOOK = ROOT / "build" / "book"


def source_url(path: str) -> str:
    """Return the address of a file of the repository, on the web."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    return f"{urls['Source']}/blob/main/{path}"
