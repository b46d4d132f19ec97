"""The code blocks of a page, and what their titles say.

The line that opens a block is ```` ```python title="..." ````, with a title where it needs one:

- a file name: the block is that file, for the blocks below it;
- ``it prints``: what the block above it prints;
- ``not run: REASON``: readers see the reason too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import dedent

PRINTS = "it prints"
NOT_RUN = "not run: "
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<code>.*?)^(?P=indent)```$", re.M | re.S
)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page.

    Attributes: ``language`` (empty where none is named), ``title``, ``code``; ``line`` (of the
    page, where the code begins), ``start`` and ``end`` (of the code in the page), ``indent``.
    """

    language: str
    title: str
    code: str
    line: int
    start: int
    end: int
    indent: str

    @property
    def is_file(self) -> bool:
        """Whether the title is the name of a file."""
        return re.fullmatch(r"[\w/-]+\.\w+", self.title) is not None


def blocks(page: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    return [_block(page, found) for found in BLOCK.finditer(page)]


def _block(page: str, found: re.Match[str]) -> Block:
    language, _, rest = found["info"].strip().partition(" ")
    title = re.search(r'title="([^"]*)"', rest)
    start, end = found.span("code")
    return Block(
        language,
        title[1] if title else "",
        dedent(found["code"]),
        page.count("\n", 0, start) + 1,
        start,
        end,
        found["indent"],
    )
