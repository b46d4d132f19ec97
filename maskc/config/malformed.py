"""What is wrong with a config file that is not of its format, and where."""

from __future__ import annotations

from maskc.errors import LoadError
from maskc.source import Source, Span

MOST_LEVELS = 100
"""Of tables and lists within each other, and parts of a dotted key."""


def malformed(language: str, reason: str, place: Span | None) -> LoadError:
    """Return the error of a file that is not of its format."""
    reason = reason[:1].lower() + reason[1:]
    return LoadError("M602", f"the file is not {language}: {reason}", place)


def place_of(source: Source, line: int, column: int) -> Span:
    """Return the character at a line and a column, both from 1."""
    lines = source.text.split("\n")
    return sign(source, sum(len(before) + 1 for before in lines[: line - 1]) + column - 1)


def sign(source: Source, start: int) -> Span:
    """Return the character at an offset, the end of the text if it is beyond."""
    start = min(start, len(source.text))
    return Span(source, start, start + 1)
