"""Selections: keys that ``topk`` picks lie in its own ``where``, and of no key it picks none."""

from __future__ import annotations

from maskc.ir.nodes import FALSE, And, Expr, TopK
from maskc.passes.booleans.flatten import joined


def drop_selected(expr: Expr) -> Expr | None:
    """Return a selection without the mask that it already applies."""
    match expr:
        case TopK(_, _, where) if where == FALSE:
            return FALSE
        case And(args):
            within: set[Expr] = set()
            for arg in args:
                if isinstance(arg, TopK):
                    within |= set(arg.where.args if isinstance(arg.where, And) else (arg.where,))
            kept = tuple(arg for arg in args if arg not in within)
            return None if kept == args else joined(And, kept)
        case _:
            return None
