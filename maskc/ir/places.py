"""Caches of what carries places: found again only for an equal term that stands where it stood.

Terms are equal wherever they were written, so a cache by equality would hand the places of one
program to the errors and explanations of another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

from maskc.ir.nodes import Expr, children

Result = TypeVar("Result")


class Placed:
    """A term as a key: equal to an equal term whose every part has the same place."""

    __slots__ = ("_hash", "expr")

    def __init__(self, expr: Expr) -> None:
        self.expr = expr
        span = expr.span
        place = None if span is None else (span.start, span.end, span.source.text)
        self._hash = hash((hash(expr), place))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placed):
            return NotImplemented
        return self.expr == other.expr and _stand_alike(self.expr, other.expr)


def _stand_alike(one: Expr, other: Expr) -> bool:
    """Tell whether equal terms have the same places throughout."""
    if one is other:
        return True
    if one.span != other.span:
        return False
    return all(map(_stand_alike, children(one), children(other)))


def cached_by_place(size: int) -> Callable[[Callable[[Expr], Result]], Callable[[Expr], Result]]:
    """Keep the last ``size`` results of a function of a term, each for one place."""

    def decorate(function: Callable[[Expr], Result]) -> Callable[[Expr], Result]:
        kept = lru_cache(size)(lambda key: function(key.expr))

        @wraps(function)
        def cached(expr: Expr) -> Result:
            return kept(Placed(expr))

        return cached

    return decorate
