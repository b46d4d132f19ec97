"""Text and the places in it: where a program came from, and which part of it a node was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """The part of a file that a program was read from.

    Attributes:
        name: of the file.
        text: the lines that the program stands on.
        first: the number of the first of these lines, from 1.
        offsets: for each character of the program, and for its end, the offset in ``text``.

    """

    name: str
    text: str
    first: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A program's text and the name that errors show for it.

    A program that is a string in a config file has an ``origin``: positions are those of the file.
    """

    text: str
    name: str = "<mask>"
    origin: Origin | None = None

    @property
    def file(self) -> str:
        """The name of the file that positions are in."""
        return self.name if self.origin is None else self.origin.name

    @property
    def folder(self) -> Path | None:
        """The folder of the file that it was read from, None for a text of no file."""
        return None if self.file.startswith("<") else Path(self.file).parent

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of ``offset``, both from 1."""
        text, first = self._lines
        offset = self._offset(offset)
        before = text[:offset]
        return before.count("\n") + first, offset - (before.rfind("\n") + 1) + 1

    def line(self, number: int) -> str:
        """Return the line of this number, as ``position`` counts, without its line break."""
        text, first = self._lines
        return text.split("\n")[number - first].rstrip("\r")

    def width(self, start: int, end: int) -> int:
        """Return how many characters ``start:end`` takes where it is written."""
        return self._offset(end) - self._offset(start)

    @property
    def _lines(self) -> tuple[str, int]:
        return (self.text, 1) if self.origin is None else (self.origin.text, self.origin.first)

    def _offset(self, offset: int) -> int:
        return offset if self.origin is None else self.origin.offsets[offset]


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
