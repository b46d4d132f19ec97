"""Links between files of the repository, as they must be between pages of the book."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

LINK = re.compile(r"(?P<before>!?\[[^\]\n]*\]\()(?P<target>[^)\s]+)(?=\))")
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})[^\n]*\n.*?^(?P=indent)(?P=fence)$", re.M | re.S
)


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Return a page with its prose changed and its code left alone."""
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def moved(
    text: str, source: str, page: str, pages: Mapping[str, str], elsewhere: Callable[[str], str]
) -> str:
    """Return the text of a page with links that hold at its new place.

    Args:
        text: Markdown.
        source: where it stands in the repository, such as ``grammar/README.md``.
        page: where it goes in the book, such as ``language.md``.
        pages: for files of the repository, their page in the book.
        elsewhere: gives the address of a file that is no page.

    """
    folder = posixpath.dirname(source)
    here = posixpath.dirname(page)

    def target(link: str) -> str:
        path, sign, fragment = link.partition("#")
        if not path or ":" in path:
            return link
        found = posixpath.normpath(posixpath.join(folder, path))
        if found in pages:
            return posixpath.relpath(pages[found], here or ".") + sign + fragment
        return elsewhere(found) + sign + fragment

    def change(prose: str) -> str:
        return LINK.sub(lambda link: link["before"] + target(link["target"]), prose)

    return outside_fences(text, change)
