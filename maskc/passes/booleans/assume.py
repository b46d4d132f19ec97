"""Context: ``a`` in ``b`` of ``a & b`` is ``true``; where ``k <= q``, ``abs(q - k)`` is ``q - k``.

Named masks repeat tests deep inside each other, where absorption does not see them, and clamps
guard against what the test before them excludes. What is replaced is evaluated after what decides
it, so no guard is lost.
"""

from __future__ import annotations

from maskc.ir.nodes import And, Expr, Or, Where
from maskc.passes.support.apply_facts import apply_facts
from maskc.passes.support.facts import NOTHING, facts


def assume(expr: Expr) -> Expr | None:
    """Return ``expr`` with each operand simplified by what guards it."""
    match expr:
        case Where(cond, then, other):
            sides = apply_facts(then, facts(cond, True)), apply_facts(other, facts(cond, False))
            return None if sides == (then, other) else Where(cond, *sides)
        case And(args):
            return _connective(expr, args, True)
        case Or(args):
            return _connective(expr, args, False)
        case _:
            return None


def _connective(expr: And | Or, args: tuple[Expr, ...], value: bool) -> Expr | None:
    """An operand is evaluated only where those before it are all ``value``."""
    known = NOTHING
    operands: list[Expr] = []
    for arg in args:
        operands.append(apply_facts(arg, known))
        known = known.joined(facts(operands[-1], value))
    return None if tuple(operands) == args else type(expr)(tuple(operands))
