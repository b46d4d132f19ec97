"""Context: in ``a & f(a)`` the second ``a`` is ``true``; likewise in the sides of a choice.

Named masks repeat tests deep inside each other, where absorption does not see them. The copy that
is replaced is evaluated after the one that decides it, so no guard is lost.
"""

from __future__ import annotations

from maskc.ir.nodes import (
    FALSE,
    TRUE,
    And,
    BoolConst,
    Expr,
    Not,
    Or,
    TopK,
    Where,
    children,
    with_children,
)
from maskc.passes.compare import compare
from maskc.passes.negate import negated


def assume(expr: Expr) -> Expr | None:
    """Return ``expr`` with what is known where an operand is evaluated put in."""
    match expr:
        case Where(cond, then, other):
            facts, opposite = _facts(cond, True), _facts(cond, False)
            kids = cond, _put(then, facts), _put(other, opposite)
            return None if kids == (cond, then, other) else Where(*kids)
        case And(args):
            return _connective(expr, args, True)
        case Or(args):
            return _connective(expr, args, False)
        case _:
            return None


Facts = dict[Expr, BoolConst]


def _connective(expr: And | Or, args: tuple[Expr, ...], value: bool) -> Expr | None:
    """An operand is evaluated only where those before it are all ``value``."""
    facts: Facts = {}
    operands: list[Expr] = []
    for arg in args:
        operands.append(_put(arg, facts))
        facts.update(_facts(operands[-1], value))
    return None if tuple(operands) == args else type(expr)(tuple(operands))


def _facts(cond: Expr, value: bool) -> Facts:
    """Return the terms that are known where ``cond`` is ``value``."""
    match cond, value:
        case (And(args), True) | (Or(args), False):
            known: Facts = {}
            for arg in args:
                known.update(_facts(arg, value))
        case Not(arg), _:
            return _facts(arg, not value)
        case BoolConst(), _:
            return {}
        case _:
            known = {}
    known[cond] = TRUE if value else FALSE
    opposite = negated(cond)
    if opposite is not None:
        shown = compare(opposite)
        known[opposite if shown is None else shown] = FALSE if value else TRUE
    return known


def _put(expr: Expr, facts: Facts) -> Expr:
    """Replace the facts in ``expr``, but not under ``topk``, which looks at other keys."""
    if not facts:
        return expr
    if expr in facts:
        return facts[expr]
    if isinstance(expr, TopK):
        return expr
    kids = children(expr)
    return with_children(expr, tuple(_put(kid, facts) for kid in kids)) if kids else expr
