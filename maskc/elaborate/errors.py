"""All the errors of one program, without those that only follow from others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from maskc.errors import MaskcError
from maskc.syntax import ast

MAX_ERRORS = 100
UNKNOWN = frozenset({"M301", "M302", "M303"})
"""Codes of an unknown name; after a declaration that failed they say nothing new."""

ONCE = frozenset({"M219"})
"""Codes of what is wrong with a program as a whole."""


class Report:
    """Collects errors; knows the names whose declaration has one."""

    def __init__(self, lost: Iterable[str] = ()) -> None:
        self.errors: list[MaskcError] = []
        self.lost = set(lost)
        self._known: set[tuple[str, int, str]] = set()

    def run(self, step: Callable[[ast.Statement], None], statement: ast.Statement) -> bool:
        """Run ``step`` and tell whether it went well; the names of one that did not are lost."""
        if len(self.errors) >= MAX_ERRORS:
            return False
        try:
            step(statement)
        except MaskcError as error:
            self.add(error.at(statement.span))
            self.lost |= set(declared(statement))
            return False
        return True

    def add(self, error: MaskcError) -> None:
        """Keep an error unless it is kept already, or follows from a lost declaration."""
        span = error.span
        if span is None:
            self.errors.append(error)
            return
        if error.code in UNKNOWN and span.text in self.lost:
            return
        key = error.code, (0 if error.code in ONCE else span.start), span.source.name
        if key not in self._known and len(self.errors) < MAX_ERRORS:
            self._known.add(key)
            self.errors.append(error)


def declared(statement: ast.Statement) -> tuple[str, ...]:
    """Return the names that a statement declares."""
    match statement:
        case ast.Assignment() | ast.Use():
            return ()
        case ast.Axes(axes):
            return tuple(axis.name.text for axis in axes)
        case _:
            return (statement.name.text,)
