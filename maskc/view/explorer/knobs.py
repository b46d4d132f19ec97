"""The numbers of a program that a reader can change in its page, and what each may be.

A param, or a number that the text writes out, is a knob if it stands in the typed program as it is:
another value then changes that constant and nothing else. One that decides more (an axis, a count
of ``topk``, the type of a power) is found by compiling the program with another value, and left
alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from maskc.compiled import Compiled, Recipe
from maskc.elaborate.module import Constant, elaborate
from maskc.elaborate.open_layer import LAYER
from maskc.ir.nodes import BoolConst, Expr, FloatConst, IntConst, children, with_children
from maskc.source import Source, Span
from maskc.syntax import ast
from maskc.syntax.parse import parse

MOST = 12
"""Knobs of one page; more are more than a reader tells apart."""

LAYERS = 96
"""Of the slider of ``param layer``."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A constant that a page can change.

    Attributes:
        name: of the param; of a number the text around it.
        span: where the constants it stands for were written: the param's name or the number.
        value: what it is now.
        least: the least value of its slider; likewise ``most``.
        doc: of a param.
        is_param: whether it has a name of its own.

    """

    name: str
    span: Span
    value: Constant
    least: float
    most: float
    doc: str
    is_param: bool


def knobs(program: Compiled) -> list[Knob]:
    """Return the knobs of a program in the order of its text."""
    tree, _ = parse(program.recipe.source)
    found = (
        knob
        for knob in _candidates(program, tree)
        if any(_stands_alone(program, knob, other) for other in _others(knob.value))
    )
    return list(islice(found, MOST))


def _candidates(program: Compiled, tree: ast.Tree) -> Iterator[Knob]:
    constants = {term.span for root in program.written.roots for term in _constants(root)}
    for statement in tree.statements:
        if isinstance(statement, ast.Param) and statement.name.span in constants:
            name, span = statement.name.text, statement.name.span
            value = program.params[name]
            yield Knob(name, span, value, *_range(name, value), statement.doc, is_param=True)
        for literal, owner in _literals(statement):
            if literal.span in constants and _matters(literal.value):
                ends = _range("", literal.value)
                yield Knob(owner, literal.span, literal.value, *ends, "", is_param=False)


def _constants(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, BoolConst | IntConst | FloatConst) and expr.span is not None:
        yield expr
    for kid in children(expr):
        yield from _constants(kid)


def _matters(value: Constant) -> bool:
    """Tell whether a number is one to turn: 0 and 1 are mostly part of a formula."""
    return not isinstance(value, bool) and math.isfinite(value) and abs(value) not in (0, 1)


def _literals(statement: ast.Statement) -> Iterator[tuple[ast.Literal, str]]:
    """Yield the numbers of a statement, and the smallest text around each."""
    match statement:
        case ast.Assignment(_, value) | ast.Let(_, value) | ast.Define(_, _, value):
            yield from _numbers(value, value)
        case _:
            return


def _numbers(node: ast.Expr, owner: ast.Expr) -> Iterator[tuple[ast.Literal, str]]:
    match node:
        case ast.Literal():
            yield node, owner.span.text
        case _:
            for part in ast.parts(node):
                yield from _numbers(part, node)


def _range(name: str, value: Constant) -> tuple[float, float]:
    """Return the ends of a slider: up to four times the value, and some room where it is small."""
    if isinstance(value, bool):
        return 0, 1
    if name == LAYER:
        return 0, max(LAYERS - 1, value)
    most = max(8, 4 * abs(value)) if isinstance(value, int) else 4 * abs(value) or 8.0
    return _least(name, value), most


def _least(name: str, value: float) -> float:
    """Return the least value of a slider; a number that is written out is seldom turned to 0."""
    if value < 0:
        return -4 * abs(value)
    if isinstance(value, int):
        return 0 if name else 1
    return value / 20


def _others(value: Constant) -> Iterator[Constant]:
    """Yield other values of the same type, one of which is likely to be allowed."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1)
        case _:
            yield from (value + 0.5, value / 2)


def _stands_alone(program: Compiled, knob: Knob, other: Constant) -> bool:
    """Tell whether another value changes the constants of the knob's span, and nothing else."""
    recipe = _changed(program.recipe, knob, other)
    tree, errors = parse(recipe.source)
    constants: Mapping[str, Constant] = recipe.values
    if program.open_layer is not None:
        constants = {LAYER: 0, **constants}
    typed, more = elaborate(tree, constants, recipe.libraries, assumed=True)
    if errors or more:
        return False
    expected = program.written.map(lambda root: _with_value(root, knob.span, other))
    return typed.module == expected


def _changed(recipe: Recipe, knob: Knob, other: Constant) -> Recipe:
    """Return the recipe of the same program with another value."""
    if knob.is_param:
        return recipe.with_constants({knob.name: other})
    text, span = recipe.source.text, knob.span
    changed = f"{text[: span.start]}{other!r}{text[span.end :]}"
    return replace(recipe, source=Source(changed, recipe.source.name))


def _with_value(expr: Expr, span: Span, value: Constant) -> Expr:
    match expr:
        case IntConst() | FloatConst() | BoolConst() if expr.span == span:
            return type(expr)(value, span=span)  # type: ignore[arg-type]
        case _:
            kids = children(expr)
            return with_children(expr, tuple(_with_value(kid, span, value) for kid in kids))
