"""Order: the operands of ``&``, ``|`` and ``^`` in one order, cheap tests of positions first.

Programs that differ in the order of their masks are then equal. An operand that can fail keeps
its place behind all that stood before it: they may be its guards.
"""

from __future__ import annotations

from functools import lru_cache

from maskc.ir.linear import to_expr
from maskc.ir.nodes import And, Expr, Load, Or, TopK, walk
from maskc.ir.text import expr_text
from maskc.passes.support.constraint import Kind, constraint
from maskc.passes.support.is_total import is_total


def arrange(expr: Expr) -> Expr | None:
    """Return ``expr`` with its operands in order."""
    match expr:
        case And(args) | Or(args):
            total = sorted((arg for arg in args if is_total(arg)), key=_key)
            ordered = (*total, *(arg for arg in args if not is_total(arg)))
            return None if ordered == args else type(expr)(ordered)
        case _:
            return None


@lru_cache(maxsize=8192)
def _key(expr: Expr) -> tuple[int, int, str, int, str]:
    """Sort by cost; the two bounds of one form stand together, the lower first."""
    reads = sum(isinstance(term, Load) for term in walk(expr))
    picks = any(isinstance(term, TopK) for term in walk(expr))
    result = constraint(expr)
    if result is None:
        return picks, reads, "~", 0, f"{expr.weight:6}{expr_text(expr)}"
    form = result.form.variable
    upper = form.terms != () and form.terms[0][1] < 0
    direction = expr_text(to_expr(-form if upper else form))
    side = (result.kind is not Kind.GE) * 2 + upper
    return picks, reads, f"{len(form.terms)}{direction}", side, expr_text(expr)
