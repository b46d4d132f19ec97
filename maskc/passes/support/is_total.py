"""Which terms cannot fail: what may move ahead of the guard that stood before it.

``where(n > 0, q // n, 0)`` and ``k.h >= 0 & t[k.h]`` rely on evaluation from the left. A pass may
drop a term, but may not evaluate one that can fail where it was not evaluated before.
"""

from __future__ import annotations

from functools import lru_cache

from maskc.ir.nodes import Arith, Expr, Index, IntConst, Load, children, walk
from maskc.ir.operators import ArithOp
from maskc.ir.types import Type


@lru_cache(maxsize=8192)
def is_total(expr: Expr) -> bool:
    """Tell whether ``expr`` has a value everywhere: no division by zero, no subscript outside.

    A plain index as a subscript is checked for all its values when the input is bound.
    """
    match expr:
        case Load(_, indices) if not all(isinstance(index, Index) for index in indices):
            return False
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor) if expr.type is Type.INT:
            if not isinstance(divisor, IntConst) or divisor.value == 0:
                return False
        case _:
            pass
    return all(is_total(kid) for kid in children(expr))


def needs_no_guard(expr: Expr) -> bool:
    """Tell whether ``expr`` has a value at every position, below 0 too, where no input has one."""
    return is_total(expr) and not any(isinstance(term, Load) for term in walk(expr))
