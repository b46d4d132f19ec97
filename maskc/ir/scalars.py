"""The scalar meanings of functions and operators, on Python numbers.

``//`` and ``%`` floor, as in Python. Floats follow IEEE 754 instead of raising: ``log(0)`` is
``-inf``, ``1 / 0.0`` is ``inf``, ``sqrt(-1)`` is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from maskc.limits import MAX_ROUNDED

Number = bool | int | float


def ieee(
    function: Callable[[float], float], poles: Mapping[float, float] | None = None
) -> Callable[[Number], float]:
    """Return a function of ``math`` as IEEE 754 has it: no error, but an infinity or NaN.

    Args:
        function: one that rises where it overflows.
        poles: the finite numbers at which it is infinite, with what it is there.

    """
    known = poles or {}

    def apply(x: Number) -> float:
        try:
            return function(float(x))
        except OverflowError:
            return math.inf
        except ValueError:
            return known.get(float(x), math.nan)

    return apply


def divide(left: Number, right: Number) -> float:
    """Return the quotient; by zero it is an infinity, or NaN."""
    left, right = float(left), float(right)
    if right:
        return left / right
    if not left or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def floor_divide(left: Number, right: Number) -> Number:
    """Return the floored quotient.

    Raises:
        ZeroDivisionError: of ints, by zero.

    """
    if isinstance(left, float) or isinstance(right, float):
        quotient = divide(left, right)
        return float(math.floor(quotient)) if math.isfinite(quotient) else quotient
    return left // right


def modulo(left: Number, right: Number) -> Number:
    """Return what the floored quotient leaves; it has the sign of ``right``.

    Raises:
        ZeroDivisionError: of ints, by zero.

    """
    if (isinstance(left, float) or isinstance(right, float)) and right == 0:
        return math.nan
    return left % right


def power(left: Number, right: Number) -> Number:
    """Return ``left ** right`` as IEEE 754 has it; NaN where it is no real number."""
    try:
        result = left**right
    except (ZeroDivisionError, OverflowError):
        is_odd = right % 2 == 1
        return math.copysign(math.inf, left) if is_odd else math.inf
    return math.nan if isinstance(result, complex) else result


def propagating(choose: Callable[..., Number]) -> Callable[..., Number]:
    """Return ``min``, ``max`` or the like with NaN wherever an argument is NaN."""
    return lambda *args: math.nan if any(map(math.isnan, args)) else choose(*args)


def clamp(x: Number, least: Number, most: Number) -> Number:
    """Return ``x``, raised to ``least`` and then lowered to ``most``."""
    return min(max(x, least), most)


def rounded(rounding: Callable[[float], int]) -> Callable[[Number], int]:
    """Return a rounding of floats that saturates at 32 bits and gives 0 for NaN."""

    def apply(x: Number) -> int:
        if isinstance(x, int):
            return int(x)
        if math.isnan(x):
            return 0
        if math.isfinite(x):
            return max(-MAX_ROUNDED, min(MAX_ROUNDED, rounding(x)))
        return int(math.copysign(MAX_ROUNDED, x))

    return apply


def sign(x: Number) -> Number:
    """Return -1, 0 or 1, of the type of ``x``; 0 for NaN."""
    return type(x)((x > 0) - (x < 0))


def relu(x: Number) -> Number:
    """Return ``x`` where it is above 0, else 0; NaN for NaN."""
    return x if x > 0 or math.isnan(x) else type(x)(0)


exp = ieee(math.exp)
sqrt = ieee(math.sqrt)


def sigmoid(x: Number) -> float:
    """Return ``1 / (1 + exp(-x))``."""
    return 1 / (1 + exp(-x))


def bits(*args: Number) -> int:
    """Return the largest absolute value that combining the bits of ints can give."""
    return 1 << max(int(arg).bit_length() for arg in args)


def largest(*args: int) -> int:
    """Return the largest of one or more ints."""
    return max(args)
