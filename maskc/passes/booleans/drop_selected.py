"""Selections: keys that ``topk`` picks lie in its own ``where``, and of no key it picks none.

A mask before the selection stays where what stands between them may rely on it as its guard.
"""

from __future__ import annotations

from maskc.ir.nodes import FALSE, And, Expr, TopK
from maskc.passes.booleans.flatten import joined
from maskc.passes.support.is_total import needs_no_guard


def drop_selected(expr: Expr) -> Expr | None:
    """Return a selection without the mask that it already applies."""
    match expr:
        case TopK(_, _, where) if where == FALSE:
            return FALSE
        case And(args):
            kept = _kept(_kept(args, guards=False)[::-1], guards=True)[::-1]
            return None if kept == args else joined(And, kept)
        case _:
            return None


def _kept(args: tuple[Expr, ...], guards: bool) -> tuple[Expr, ...]:
    """Return operands without those that a selection before them applies.

    Args:
        args: the operands, from the last one back if ``guards``.
        guards: whether operands may rely on those that come after them here.

    """
    within: set[Expr] = set()
    kept: list[Expr] = []
    for arg in args:
        if isinstance(arg, TopK):
            within |= set(arg.where.args if isinstance(arg.where, And) else (arg.where,))
        elif arg in within:
            continue
        elif guards and not needs_no_guard(arg):
            within.clear()
        kept.append(arg)
    return tuple(kept)
