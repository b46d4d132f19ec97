"""What definitions need of the sizes of a call: ``def two_halves(n: 1 <= int == kv_len / 2)``.

A bound of an argument that names a size is known when a call is bound, and is held against it then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Expr, Load, Not, Or, Size, Value, walk
from maskc.ir.types import Dim, Sz
from maskc.source import Span


@dataclass(frozen=True, slots=True)
class Need:
    """A bound of an argument that only the sizes of a call decide.

    Attributes:
        condition: what must hold, of sizes alone.
        message: which argument it is of, without the sizes.
        help: the definition.
        span: the place of the argument.

    """

    condition: Expr
    message: str
    help: str
    span: Span = field(compare=False)

    @property
    def sizes(self) -> tuple[Sz, ...]:
        """The sizes that it speaks of, in the order of the text."""
        return tuple(term.which for term in walk(self.condition) if isinstance(term, Size))

    def is_broken(self, sizes: Mapping[Sz, int]) -> bool:
        """Tell whether a call of these sizes lacks it."""
        try:
            return evaluate(self.condition, Point(), Env(sizes)) is False
        except (ZeroDivisionError, OverflowError):
            return False

    def within(self, test: Expr, chosen: bool) -> Need:
        """Return the need of what is chosen only where ``test`` is ``chosen``."""
        if not is_by_sizes(test):
            return self
        other = Not(test) if chosen else test
        return replace(self, condition=Or((other, self.condition)))

    def seen_from(self, span: Span) -> Need:
        """Return the need at the name of the definition whose text it is in, if it is another's."""
        return self if self.span.source == span.source else replace(self, span=span)


def is_by_sizes(expr: Expr) -> bool:
    """Tell whether constants and sizes alone make a value."""
    return expr.deps is Dim.NONE and not any(isinstance(t, Load | Value) for t in walk(expr))
