"""What a program makes of a score at one pair, a statement at a time."""

from __future__ import annotations

import math
from dataclasses import replace

from maskc.explain.tree import Written
from maskc.explain.why.answer import Step
from maskc.explain.why.numbers import UNREADABLE
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    Arith,
    Expr,
    FloatConst,
    IntConst,
    Value,
    children,
    inputs,
    literal,
    walk,
    with_children,
)
from maskc.ir.operators import ArithOp
from maskc.ir.text import expr_text
from maskc.ir.types import Given


def steps(
    written: tuple[Written, ...], at: Point, env: Env, start: float | None
) -> tuple[Step, ...]:
    """Return what each statement makes of the score.

    Args:
        written: the statements.
        at: the pair.
        env: with the inputs that are given.
        start: ``q . k * scale``; None where it is not known.

    """
    result: list[Step] = []
    score = start
    for node in written:
        score = _value(node.expr, score, at, env)
        result.append(Step(node.text, _filled_text(node.expr, at, env), score))
    return tuple(result)


def _value(expr: Expr, score: float | None, at: Point, env: Env) -> float | None:
    """Return the score after a statement; one that does not need the score has a value too."""
    given = {} if score is None else {Given.SCORE: score}
    try:
        return float(evaluate(expr, at, replace(env, given=given)))
    except UNREADABLE:
        return None


def _filled_text(expr: Expr, at: Point, env: Env) -> str:
    lacking = [one.name for one in inputs(expr) if one.name not in env.inputs]
    if lacking:
        return f"needs {', '.join(lacking)}"
    try:
        return expr_text(_filled(expr, at, env))
    except UNREADABLE:
        return "not read here"


def _filled(expr: Expr, at: Point, env: Env) -> Expr:
    """Return a term whose parts without a score are numbers, rounded as a person reads them."""
    if not any(isinstance(term, Value) for term in walk(expr)):
        value = evaluate(expr, at, env)
        is_float = isinstance(value, float) and math.isfinite(value)
        return literal(float(f"{value:.6g}") if is_float else value)
    match with_children(expr, tuple(_filled(kid, at, env) for kid in children(expr))):
        case Arith(ArithOp.ADD, left, FloatConst(value)) if value < 0:
            return Arith(ArithOp.SUB, left, FloatConst(-value))
        case Arith(ArithOp.ADD, left, IntConst(whole)) if whole < 0:
            return Arith(ArithOp.SUB, left, IntConst(-whole))
        case filled:
            return filled
