"""A term as it may be written where facts hold: the shared part of ``assume`` and ``inherit``.

Where ``k <= q``, ``abs(q - k)`` is ``q - k``, ``q < k`` is false and ``max(q - k, 0)`` is
``q - k``. Nothing is put in under ``topk``, which looks at other keys, nor below a function that
leaves the finite numbers (``is_steep``). A subscript stays in the range that it was seen to have.
"""

from __future__ import annotations

from maskc.ir.linear import linear
from maskc.ir.nodes import (
    BoolConst,
    Expr,
    IntConst,
    Load,
    TopK,
    Where,
    children,
    with_children,
)
from maskc.ir.smooth import is_smooth, is_steep
from maskc.ir.types import Type
from maskc.limits import MAX_INT
from maskc.passes.numbers.divide import divide
from maskc.passes.numbers.drop_bounds import drop_bounds
from maskc.passes.numbers.drop_conversions import as_type
from maskc.passes.support.facts import NOTHING, Facts
from maskc.passes.support.is_total import is_total
from maskc.passes.support.keeps_meaning import keeps_meaning
from maskc.passes.support.ranges import range_of


def apply_facts(expr: Expr, facts: Facts) -> Expr:
    """Return ``expr`` simplified by the facts."""
    return expr if facts == NOTHING else _put(expr, facts, is_free=False)


def _put(expr: Expr, facts: Facts, is_free: bool) -> Expr:
    """Apply the facts; ``is_free`` where a term has no slope: an int, and all below it."""
    is_free = is_free or expr.type is not Type.FLOAT
    if expr.type is Type.BOOL and (known := facts.value(expr)) is not None:
        return known
    if isinstance(expr, TopK) or not (is_free or not is_steep(expr)):
        return expr
    rebuilt = _with_kids(expr, facts, is_free)
    is_bounded = expr.type is Type.INT and facts.bounds != ()
    return _narrowed(rebuilt, facts) if is_bounded else rebuilt


def _with_kids(expr: Expr, facts: Facts, is_free: bool) -> Expr:
    kids = tuple(_put(kid, facts, is_free) for kid in children(expr))
    match expr, kids:
        case Where(cond), (BoolConst(value), then, other):
            chosen = then if value else other
            if is_free or is_smooth(chosen):
                return as_type(chosen, expr.type)
            kids = cond, then, other
        case _:
            pass
    if kids == children(expr):
        return expr
    rebuilt = with_children(expr, kids)
    return rebuilt if keeps_meaning(expr, rebuilt) and _reads_no_more(expr, rebuilt) else expr


def _narrowed(expr: Expr, facts: Facts) -> Expr:
    """Return an int without the bounds that the facts imply."""
    form = linear(expr)
    low, below = facts.lowest(form), facts.lowest(-form)
    if low is not None and below == -low and abs(low) <= MAX_INT:
        return IntConst(low)
    for law in (drop_bounds, divide):
        result = law(expr, facts.lowest)
        if result is not None:
            return result
    return expr


def _reads_no_more(expr: Expr, rebuilt: Expr) -> bool:
    """Tell whether a subscript stays within its former range, wherever a kernel evaluates it.

    Nor may it become a plain index, which an input has to cover from end to end.
    """
    if not isinstance(expr, Load) or not isinstance(rebuilt, Load):
        return True
    pairs = zip(expr.indices, rebuilt.indices, strict=True)
    return is_total(rebuilt) <= is_total(expr) and all(_is_within(new, old) for old, new in pairs)


def _is_within(new: Expr, old: Expr) -> bool:
    (low, high), (least, most) = range_of(new), range_of(old)
    return (least is None or (low is not None and low >= least)) and (
        most is None or (high is not None and high <= most)
    )
