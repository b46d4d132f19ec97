"""Constants of a program that are the callable's own ints and floats: its params.

The callable is traced again with one number changed. Where constants move exactly with it, as
``n + c`` or ``c - n``, and nothing else of the program moves, the number is a param. One that moves
anything otherwise (``n // 2``, the length of a loop) stays what it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from maskc.errors import MaskcError
from maskc.ir.nodes import (
    Arith,
    Call,
    Expr,
    FloatConst,
    Input,
    IntConst,
    Load,
    children,
    rewrite,
)
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.types import Type
from maskc.tracing.callables.captured import free_name
from maskc.tracing.callables.held_numbers import Held, held_numbers
from maskc.tracing.operations.terms import constant

STEPS = (1, 2, 7)
"""By how much a number is changed."""

Path = tuple[int, ...]
"""A place in a term: which sub-term, of which sub-term, and so on."""


@dataclass(frozen=True, slots=True)
class Param:
    """A param of the printed program.

    Attributes:
        name: its name.
        value: its value.
        uses: the constants that it stands for, and how each is written with it.

    """

    name: str
    value: int | float
    uses: Mapping[Path, Expr]


def params(
    mod: object, root: Expr, retrace: Callable[[object], Expr], taken: Mapping[str, object]
) -> list[Param]:
    """Return the numbers of a callable that are params of its program.

    Args:
        mod: the callable.
        root: its program.
        retrace: gives the program of a changed callable.
        taken: names that are not free.

    """
    found = [(held, _uses(held, root, retrace)) for held in held_numbers(mod)]
    names, result = dict(taken), []
    for held, uses in found:
        # A constant that is made of two numbers makes neither of them a param.
        if uses and not any(uses.keys() & other.keys() for _, other in found if other is not uses):
            name = free_name(held.name, names)
            names[name] = held
            result.append(Param(name, held.value, {path: use(name) for path, use in uses.items()}))
    return result


def _uses(
    held: Held, root: Expr, retrace: Callable[[object], Expr]
) -> dict[Path, Callable[[str], Expr]]:
    """Return the constants that a number stands in; none where it moves anything otherwise."""
    try:
        moved = [retrace(held.replaced(held.value + step)) for step in STEPS]
    except MaskcError:
        return {}
    if any(_without_constants(other) != _without_constants(root) for other in moved):
        return {}
    result = {}
    for places in zip(_constants(root), *map(_constants, moved), strict=True):
        (path, value), rest = places[0], [other for _, other in places[1:]]
        if any(other != value for other in rest):
            use = _use(held, value, rest)
            if use is None:
                return {}
            result[path] = use
    return result


def _use(held: Held, value: int | float, moved: list[int | float]) -> Callable[[str], Expr] | None:
    """Return how a constant is written with the number, None where it does not move with it."""
    for sign in (1, -1):
        rest = value - sign * held.value
        follows = [
            math.isclose(other, sign * (held.value + step) + rest, rel_tol=1e-12)
            for other, step in zip(moved, STEPS, strict=True)
        ]
        if all(follows) and isinstance(value, int) is isinstance(held.value, int):
            return functools.partial(_written, held.value, sign, rest)
    return None


def _written(value: int | float, sign: int, rest: int | float, name: str) -> Expr:
    named: Expr = Load(Input(name, Type.INT if isinstance(value, int) else Type.FLOAT), ())
    if sign < 0 and rest:
        return Arith(ArithOp.SUB, constant(rest), named)
    if sign < 0:
        return Call(Fn.NEG, (named,))
    if not rest:
        return named
    return Arith(ArithOp.ADD if rest > 0 else ArithOp.SUB, named, constant(abs(rest)))


def _constants(root: Expr, path: Path = ()) -> Iterator[tuple[Path, int | float]]:
    """Yield every number that is written in a term, with its place."""
    if isinstance(root, IntConst | FloatConst):
        yield path, root.value
    for index, child in enumerate(children(root)):
        yield from _constants(child, (*path, index))


def _without_constants(root: Expr) -> Expr:
    def rule(term: Expr) -> Expr | None:
        match term:
            case IntConst():
                return IntConst(0)
            case FloatConst():
                return FloatConst(0.0)
            case _:
                return None

    return rewrite(root, rule)
