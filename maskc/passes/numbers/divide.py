"""Laws of floor division and modulo by a constant: ``(64 * q + k) // 64`` is ``q + k // 64``.

For ``n > 0`` and x = n·a + b: ``x // n = a + b // n`` and ``x % n = b % n``; both sides lose a
common factor; ``(x // m) // n = x // (m·n)``; ``(x % m) % n = x % n`` where n divides m; and a
value known to lie in ``[0, n)`` has the quotient 0 and is its own remainder.
(Graham, Knuth, Patashnik: Concrete Mathematics, 3.2 and 3.4.)
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

from maskc.ir.linear import Linear, fits, linear, to_expr
from maskc.ir.nodes import Arith, Expr, IntConst
from maskc.ir.operators import ArithOp
from maskc.ir.types import Type
from maskc.limits import MAX_INT
from maskc.passes.numbers.normalize_sums import rejoined
from maskc.passes.support.ranges import Lowest, lowest


def divide(expr: Expr, low: Lowest = lowest) -> Expr | None:
    """Return the quotient or the remainder of smaller numbers.

    Args:
        expr: any term.
        low: what is known of the least value of a sum where the term is evaluated.

    """
    match expr:
        case Arith(ArithOp.FLOORDIV, value, IntConst(n)) if n > 0 and value.type is Type.INT:
            form = _quotient(rejoined(linear(value)), n, low)
        case Arith(ArithOp.MOD, value, IntConst(n)) if n > 0 and value.type is Type.INT:
            form = _remainder(rejoined(linear(value)), n, low)
        case _:
            return None
    return to_expr(form) if fits(form) else None


def _quotient(form: Linear, n: int, low: Lowest) -> Linear:
    whole, rest = _split(form, n, _truncated)
    if not rest.terms:
        return whole.shifted(rest.constant // n)
    nested = _nested(rest, n, low)
    if nested is not None:
        return whole + nested
    block = _block(rest, n, low)
    if block is not None:
        return whole.shifted(block)
    common = gcd(rest.content, n)
    inner = Linear(tuple((t, c // common) for t, c in rest.terms), rest.constant // common)
    return whole + _atom(ArithOp.FLOORDIV, inner, n // common)


def _nested(rest: Linear, n: int, low: Lowest) -> Linear | None:
    """Return ``(x // m + c) // n`` as ``(x + m·c) // (m·n)``."""
    match rest.terms:
        case ((Arith(ArithOp.FLOORDIV, value, IntConst(m)), 1),) if 0 < m * n <= MAX_INT:
            return _quotient(linear(value).shifted(m * rest.constant), m * n, low)
        case _:
            return None


def _remainder(form: Linear, n: int, low: Lowest) -> Linear:
    block = _block(form, n, low)
    if block is not None:
        return form.shifted(-block * n)
    _, rest = _split(_unwrapped(form, n), n, _nearest)
    if not rest.terms:
        return Linear((), rest.constant % n)
    common = gcd(rest.content, n)
    inner = Linear(tuple((t, c // common) for t, c in rest.terms), rest.constant // common)
    left = rest.constant % common
    if _block(inner, n // common, low) == 0:
        return inner.times(common).shifted(left)
    return _atom(ArithOp.MOD, inner, n // common).times(common).shifted(left)


def _block(form: Linear, n: int, low: Lowest) -> int | None:
    """Return ``form // n`` where it is the same for every value that the form may have."""
    least, below = low(form), low(-form)
    if least is None or below is None or least // n != -below // n:
        return None
    return least // n


def _unwrapped(form: Linear, n: int) -> Linear:
    """Replace ``x % m`` by x where n divides ``m`` times its coefficient."""
    for term, factor in form.terms:
        match term:
            case Arith(ArithOp.MOD, value, IntConst(m)) if m > 0 and m * factor % n == 0:
                return _unwrapped(form.without(term).plus(linear(value), factor), n)
            case _:
                continue
    return form


def _split(form: Linear, n: int, residue: Callable[[int, int], int]) -> tuple[Linear, Linear]:
    """Return a and b of ``form = n·a + b``, with the coefficients of b chosen by ``residue``."""
    rest = Linear.of({t: residue(c, n) for t, c in form.terms}, form.constant % n)
    whole = form - rest
    return Linear(tuple((t, c // n) for t, c in whole.terms), whole.constant // n), rest


def _truncated(factor: int, n: int) -> int:
    """Return the residue of ``factor`` with its sign."""
    return factor % n if factor >= 0 else -(-factor % n)


def _nearest(factor: int, n: int) -> int:
    """Return the residue of ``factor`` nearest to 0, so that ``q - k`` stays a difference."""
    residue = factor % n
    return residue if 2 * residue <= n else residue - n


def _atom(op: ArithOp, form: Linear, n: int) -> Linear:
    return Linear(((Arith(op, to_expr(form), IntConst(n)), 1),), 0)
