"""The tree of a program as its user wrote it: each boolean with its text and its typed meaning.

What the compiler makes of a program is another, simpler tree; this one keeps the names, the
definitions and the order of the text, so that an answer can speak of what the user sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from maskc.ir.nodes import OUT, SCORE, Expr, Module
from maskc.ir.text import expr_text
from maskc.ir.types import Type
from maskc.passes.booleans.choose import choose
from maskc.passes.numbers.divide import divide
from maskc.passes.numbers.drop_bounds import drop_bounds
from maskc.passes.numbers.drop_conversions import drop_conversions
from maskc.passes.numbers.fold_constants import fold_constants
from maskc.passes.numbers.normalize_sums import normalize_sums
from maskc.passes.support.driver import simplify

NUMBERS = (fold_constants, drop_conversions, choose, normalize_sums, divide, drop_bounds)
"""The laws of numbers, which leave comparisons as they were written."""


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
        is_own: whether it stands in the program's own text, not in a library's.

    """

    kind: Kind
    text: str
    expr: Expr
    parts: tuple[Written, ...] = ()
    has_parameters: bool = False
    is_own: bool = True

    @property
    def meaning(self) -> str:
        """The text of what it expands to: ``abs(q - k) < 30`` for ``window(30)``."""
        return expr_text(self.plain)

    @property
    def plain(self) -> Expr:
        """What it expands to, its numbers worked out: ``q.h`` for ``q.h // 1`` of a default."""
        return worked_out(self.expr)

    @property
    def label(self) -> str:
        """What to call it: its text, or its meaning where the text has parameters in it."""
        return self.meaning if self.has_parameters else self.text

    def walk(self) -> Iterator[Written]:
        """Yield it and all below it, parents first."""
        yield self
        for part in self.parts:
            yield from part.walk()


@lru_cache(maxsize=1024)
def worked_out(expr: Expr) -> Expr:
    """Return a boolean whose numbers are worked out and whose form is kept."""
    if expr.type is not Type.BOOL:
        return expr
    return simplify(Module(expr, SCORE, OUT), NUMBERS, ()).module.mask


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
