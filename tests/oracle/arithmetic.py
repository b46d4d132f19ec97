"""Arithmetic on ints and floats, and choices: what several kinds of terms are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from oracle.draw import Draw
from oracle.terms import Level, Term, apply, call_of, constant, float_of, infix


def plus(left: Term, right: Term) -> Term:
    """Return the sum."""
    return _wider(infix("+", torch.add, left, right, Level.SUM), left, right)


def minus(left: Term, right: Term) -> Term:
    """Return the difference."""
    return _wider(infix("-", torch.sub, left, right, Level.SUM), left, right)


def _wider(result: Term, left: Term, right: Term) -> Term:
    return result.sized(max(left.whole, right.whole) + 1, max(left.part, right.part))


def floored(draw: Draw, symbol: str, left: Term, right: Term) -> Term:
    """Return ``left // right`` or ``left % right``, which floor."""

    def quotient(a: Tensor, b: Tensor) -> Tensor:
        return torch.div(a, b, rounding_mode="floor")

    meaning = quotient if symbol == "//" else torch.remainder
    bits = left.whole if symbol == "//" else right.whole
    return infix(symbol, meaning, left, right, Level.PRODUCT).sized(bits + 1, 0)


def clamped(value: Term, low: Term, high: Term) -> Term:
    """Return ``clamp(value, low, high)``."""

    def meaning(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, a), b)

    return call_of("clamp", meaning, value, low, high).sized(max(low.whole, high.whole), value.part)


def choice(draw: Draw, kind: str, depth: int) -> Term:
    """Draw ``where(test, then, other)`` or ``then if test else other``."""
    test = draw.term("bool", depth - 1)
    then, other = draw.term(kind, depth - 1), draw.term(kind, depth - 1)
    text = f"where({test.text}, {then.text}, {other.text})"
    level = Level.ATOM
    if draw.chance(0.4):
        text = f"{then.at(Level.OR)} if {test.at(Level.OR)} else {other.at(Level.CHOICE)}"
        level = Level.CHOICE
    found = apply(text, torch.where, test, then, other, level=level)
    return found.sized(max(then.whole, other.whole), max(then.part, other.part))


def divided(left: Term, right: Term) -> Term:
    """Return ``left / right`` in doubles."""

    def meaning(a: Tensor, b: Tensor) -> Tensor:
        return float_of(a) / float_of(b)

    return infix("/", meaning, left, right, Level.PRODUCT).sized(left.whole)


def times(left: Term, right: Term) -> Term:
    """Return ``left * right`` in doubles."""

    def meaning(a: Tensor, b: Tensor) -> Tensor:
        return float_of(a) * float_of(b)

    found = infix("*", meaning, left, right, Level.PRODUCT)
    return found.sized(left.whole + right.whole, left.part + right.part)


def bounded(term: Term, bound: int) -> Term:
    """Return ``clamp(term, -bound, bound)``."""
    ends = constant(-bound), constant(bound)

    def meaning(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return x.clamp(-bound, bound)

    return call_of("clamp", meaning, term, *ends).sized(bound.bit_length(), term.part)
