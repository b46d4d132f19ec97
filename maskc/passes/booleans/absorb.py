"""Absorption: ``a & (a | b)`` becomes ``a``; ``a | (a & b)`` becomes ``a``.

Inlining named masks often repeats a test in both arms; dropping the copy saves a comparison
per score. Runs after ``flatten``: an ``And`` never directly holds an ``And``. An operand that may
guard what stands before its copy stays.
"""

from __future__ import annotations

from maskc.ir.nodes import And, Expr, Or
from maskc.passes.booleans.flatten import joined
from maskc.passes.support.is_total import needs_no_guard


def absorb(expr: Expr) -> Expr | None:
    """Return ``expr`` without its absorbed operands, or None where there are none."""
    match expr:
        case And(args):
            dual: type[And | Or] = Or
        case Or(args):
            dual = And
        case _:
            return None
    kept = tuple(arg for arg in args if not _is_absorbed(arg, args, dual))
    return None if kept == args else joined(type(expr), kept)


def _is_absorbed(arg: Expr, args: tuple[Expr, ...], dual: type[And | Or]) -> bool:
    """Tell whether another operand, or all parts of one, are among the parts of ``arg``."""
    if not isinstance(arg, dual):
        return False
    parts = set(arg.args)
    place = args.index(arg)
    for number, other in enumerate(args):
        if other == arg or not all(map(needs_no_guard, args[place + 1 : number])):
            continue
        if other in parts:
            return True
        if isinstance(other, dual) and set(other.args) < parts:
            return True
    return False
