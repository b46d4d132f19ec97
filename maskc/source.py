"""Text and the places in it: where a program came from, and which part of it a node was."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A program's text and the name that errors show for it."""

    text: str
    name: str = "<mask>"

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of ``offset``, both from 1."""
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def line(self, number: int) -> str:
        """Return line ``number`` (from 1) without its line break."""
        return self.text.split("\n")[number - 1].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """The characters ``start:end`` of a source."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of ``other``."""
        return Span(self.source, self.start, other.end)
