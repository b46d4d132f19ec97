"""Write all pages of the book to ``build/book``: ``python -m docs.generate``."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from docs.generate import errors, library, performance, pictures
from docs.generate.links import moved, outside_fences
from docs.generate.project import BOOK, DOCS, ROOT, source_url

TAKEN = {
    "grammar/README.md": "language.md",
    "examples/README.md": "gallery.md",
}
"""Pages that stand elsewhere in the repository, and their place in the book."""

COPIED = {
    "examples/images": "images",
    "benchmarks/results": "plots",
}

GENERATED: dict[str, Callable[[], str]] = {
    "errors.md": errors.page,
    "performance.md": performance.page,
    "standard-library.md": library.page,
}


def main() -> None:
    """Write the pages, and copy the pictures."""
    shutil.rmtree(BOOK, ignore_errors=True)
    written = {f"docs/{path.relative_to(DOCS)}": path for path in DOCS.rglob("*.md")}
    pages = {
        **{source: source.removeprefix("docs/") for source in written},
        **TAKEN,
        **{f"docs/{name}": name for name in GENERATED},
        **copied(),
        **pictures.explorers(),
        f"docs/{pictures.START}": pictures.START,
    }
    for source in [*written, *TAKEN]:
        text = (ROOT / source).read_text(encoding="utf-8")
        text = outside_fences(text, library.with_papers) if source in TAKEN else text
        write(pages[source], moved(text, source, pages[source], pages, source_url))
    for name, page in GENERATED.items():
        write(name, moved(page(), f"docs/{name}", name, pages, source_url))
    for source, name in copied().items():
        copy(source, name)
    for path in (DOCS / "assets").iterdir():
        copy(f"docs/assets/{path.name}", f"assets/{path.name}")
    pictures.draw_start(BOOK / pictures.START)
    pictures.write_explorers(BOOK / "explorers")


def copied() -> dict[str, str]:
    """Return the pictures that are kept in the repository, and where they go."""
    return {
        f"{folder}/{path.name}": f"{place}/{path.name}"
        for folder, place in COPIED.items()
        for path in sorted((ROOT / folder).glob("*.png"))
    }


def write(name: str, text: str) -> None:
    """Write a page."""
    path = BOOK / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy(source: str, name: str) -> None:
    """Copy a file of the repository into the book."""
    path = BOOK / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / source, path)


if __name__ == "__main__":
    main()
