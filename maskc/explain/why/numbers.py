"""A comparison with its numbers in place: ``57 - 12 = 45, not < 30``."""

from __future__ import annotations

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    And,
    BoolConst,
    Call,
    Compare,
    Coord,
    Expr,
    Index,
    Load,
    Size,
    TopK,
    children,
    literal,
    with_children,
)
from maskc.ir.operators import CompareOp, Fn
from maskc.ir.scalars import Number
from maskc.ir.text import expr_text
from maskc.ir.types import Sz, Type

LONGEST = 60
"""Characters of a term that is written out; of a longer one stands the value alone."""

MIRRORED = {CompareOp.LT: ">", CompareOp.LE: ">="}
"""How a comparison reads from its right."""

UNREADABLE = (IndexError, ZeroDivisionError, OverflowError, KeyError)
"""What the evaluator raises where something else of the mask guards a read, or an input is
missing."""


def numbers(expr: Expr, at: Point, env: Env) -> str:
    """Return a boolean with its numbers at one pair; empty where there is nothing to add."""
    try:
        return _numbers(expr, at, env)
    except UNREADABLE:
        return "not read here"


def number(value: Number) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def filled(expr: Expr, at: Point, env: Env) -> str:
    """Return a term with the values of what it reads in place: ``57 - 12``."""
    return expr_text(_filled(expr, at, env))


def _numbers(expr: Expr, at: Point, env: Env) -> str:
    match expr:
        case Compare(_, left, _) if left.type is not Type.BOOL:
            return _comparison(expr, at, env)
        case And(args) if all(isinstance(arg, Compare) for arg in args):
            return _chain([arg for arg in args if isinstance(arg, Compare)], at, env)
        case TopK():
            return _selection(expr, at, env)
        case BoolConst():
            return ""
        case Load():
            return _shown(expr, at, env)
        case _:
            return filled(expr, at, env)


def _comparison(expr: Compare, at: Point, env: Env) -> str:
    """Return both sides with their values; the side that is worked out comes first."""
    left, right, sign = expr.left, expr.right, expr.op.symbol
    if _work(left) < _work(right):
        left, right, sign = right, left, MIRRORED.get(expr.op, sign)
    if isinstance(left, Load | Coord) and isinstance(right, Load | Coord):
        return f"{_shown(left, at, env)}, {_shown(right, at, env)}"
    verdict = f" {sign} " if evaluate(expr, at, env) else f", not {sign} "
    return f"{_shown(left, at, env)}{verdict}{_shown(right, at, env)}"


def _chain(links: list[Compare], at: Point, env: Env) -> str:
    """Return the links that fail; of a chain that holds, its ends around the middle."""
    failing = [link for link in links if not evaluate(link, at, env)]
    if failing:
        return "; ".join(_comparison(link, at, env) for link in failing)
    first, last = links[0], links[-1]
    joined = len(links) == 2 and first.right == last.left and first.op.symbol[0] == "<"
    if not joined:
        return "; ".join(_comparison(link, at, env) for link in links)
    ends = number(evaluate(first.left, at, env)), number(evaluate(last.right, at, env))
    middle = _shown(first.right, at, env)
    return f"{ends[0]} {first.op.symbol} {middle} {last.op.symbol} {ends[1]}"


def _selection(expr: TopK, at: Point, env: Env) -> str:
    """Return which place a key takes among those that a selection may pick."""
    if not evaluate(expr.where, at, env):
        return "not among the keys to pick from"
    row = [Point(at.batch, at.head, at.q_idx, k) for k in range(env.sizes[Sz.KV_LEN])]
    allowed = [point for point in row if evaluate(expr.where, point, env)]
    own = evaluate(expr.value, at, env)
    before = sum(
        evaluate(expr.value, point, env) > own
        or (evaluate(expr.value, point, env) == own and point.kv_idx < at.kv_idx)
        for point in allowed
    )
    place = f"number {before + 1} of {len(allowed)} keys by {_shown(expr.value, at, env)}"
    return f"{place}; the first {expr.count} are picked"


def _shown(expr: Expr, at: Point, env: Env) -> str:
    """Return a term, filled in, with its value; of a constant or an index the value alone."""
    value = number(evaluate(expr, at, env))
    match expr:
        case Call(Fn.ABS, (inner,)) if not _is_plain(inner) and evaluate(inner, at, env) >= 0:
            return _shown(inner, at, env)
        case Load(source, indices):
            places = ", ".join(number(evaluate(index, at, env)) for index in indices)
            return f"{source.name}[{places}] = {value}" if indices else f"{source.name} = {value}"
        case Coord():
            return f"{expr_text(expr)} = {value}"
        case _ if _is_plain(expr):
            return value
    text = filled(expr, at, env)
    return f"{text} = {value}" if len(text) <= LONGEST and text != value else value


def _is_plain(expr: Expr) -> bool:
    """Tell whether a term is a constant, a size or an index: there is nothing to work out."""
    return not children(expr) and not isinstance(expr, Load)


def _work(expr: Expr) -> int:
    """Return how much there is to tell of a term: nothing of a constant, little of an index."""
    return 0 if not expr.deps and _is_plain(expr) else 1 if _is_plain(expr) else 2


def _filled(expr: Expr, at: Point, env: Env) -> Expr:
    match expr:
        case Index() | Size() | Coord() | Load():
            return literal(evaluate(expr, at, env))
        case _:
            return with_children(expr, tuple(_filled(kid, at, env) for kid in children(expr)))
