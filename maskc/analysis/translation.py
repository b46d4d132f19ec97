"""Whether a program asks only how far query and key are apart, and not where they are.

Such a program is the same from whatever token positions are counted: padding before the first
token, or earlier documents in the row, do not change it.
"""

from __future__ import annotations

from maskc.ir.nodes import (
    Arith,
    BoolConst,
    Call,
    Compare,
    Coord,
    Expr,
    FloatConst,
    Index,
    IntConst,
    TopK,
    children,
)
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.types import Ix


def is_translation_invariant(*roots: Expr) -> bool:
    """Tell whether terms stay the same when q and k grow by the same number."""
    return all(_growth(root) == 0 for root in roots)


def _growth(expr: Expr) -> int | None:
    """Return by how much a term grows when q and k grow by one; None: it may change otherwise."""
    match expr:
        case IntConst() | FloatConst() | BoolConst():
            return 0
        case Index(which):
            return 1 if which in (Ix.Q, Ix.K) else 0
        case Coord() | TopK():
            return None
        case Arith(ArithOp.ADD | ArithOp.SUB as op, left, right):
            first, second = _growth(left), _growth(right)
            if first is None or second is None:
                return None
            return first + second if op is ArithOp.ADD else first - second
        case Call(Fn.NEG, (arg,)):
            growth = _growth(arg)
            return None if growth is None else -growth
        case _:
            grown = {_growth(kid) for kid in children(expr)}
            return 0 if grown <= {0} or _compares(expr, grown) else None


def _compares(expr: Expr, grown: set[int | None]) -> bool:
    """Tell whether a term is a comparison whose sides grow by the same number."""
    return isinstance(expr, Compare) and len(grown) == 1 and None not in grown
