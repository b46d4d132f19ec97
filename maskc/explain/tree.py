"""The tree of a program as its user wrote it: each boolean with its text and its typed meaning.

What the compiler makes of a program is another, simpler tree; this one keeps the names, the
definitions and the order of the text, so that an answer can speak of what the user sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from maskc.ir.nodes import Expr
from maskc.ir.text import expr_text


class Kind(Enum):
    """What a node of the tree is, and what its parts are."""

    AND = "and"
    """True where all parts are."""
    OR = "or"
    """True where any part is."""
    XOR = "xor"
    """True where one of two parts is."""
    NOT = "not"
    """True where its part is not."""
    CHOICE = "choice"
    """``where(test, then, other)`` or ``then if test else other``: three parts, in the order test,
    then, other."""
    NAME = "name"
    """The value of its only part, which is what a name or a call stands for, or the branch that a
    constant test leaves."""
    LEAF = "leaf"
    """A comparison, an input, a constant, or any other term without booleans to look into."""


@dataclass(frozen=True, slots=True)
class Written:
    """A boolean of the mask, or the whole of a score or an epilogue.

    Attributes:
        kind: what it is.
        text: it as it was written, on one line and without comments.
        expr: its meaning before simplification: definitions expanded, params as constants.
        parts: its operands; see ``Kind``.
        has_parameters: whether it stands in a definition with parameters, which its text names.

    """

    kind: Kind
    text: str
    expr: Expr
    parts: tuple[Written, ...] = ()
    has_parameters: bool = False

    @property
    def meaning(self) -> str:
        """The text of what it expands to: ``abs(q - k) < 30`` for ``window(30)``."""
        return expr_text(self.expr)

    @property
    def label(self) -> str:
        """What to call it: its text, or its meaning where the text has parameters in it."""
        return self.meaning if self.has_parameters else self.text

    def walk(self) -> Iterator[Written]:
        """Yield it and all below it, parents first."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class WrittenProgram:
    """A program as it was written.

    Attributes:
        mask: its tree; None where the text has none, and every query attends to every key.
        score: what each ``score = ...`` makes of ``score``, in order.
        out: what each ``out = ...`` makes of ``out``, in order.

    """

    mask: Written | None
    score: tuple[Written, ...]
    out: tuple[Written, ...]
