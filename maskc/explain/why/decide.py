"""The values of a tree at one pair, and which of its nodes decide.

A node decides if it is on the way from the root to what settles it: of an `&` that is false, the
operands that are false; of one that is true, all. What is not marked may be anything: the answer
is the same.
"""

from __future__ import annotations

from maskc.explain.tree import Kind, Written
from maskc.explain.why.answer import Answer
from maskc.explain.why.numbers import UNREADABLE, numbers
from maskc.ir.evaluate import Env, Point, evaluate


def answer(node: Written, at: Point, env: Env, decides: bool = True) -> Answer:
    """Return a node and all below it with their values at one pair."""
    value = value_of(node, at, env)
    marks = [decides and mark for mark in _marks(node, value, at, env)]
    parts = tuple(answer(p, at, env, mark) for p, mark in zip(node.parts, marks, strict=True))
    told = (
        numbers(node.plain if node.has_parameters else node.expr, at, env)
        if node.kind is Kind.LEAF
        else ""
    )
    return Answer(node, value, decides, told, parts)


def value_of(node: Written, at: Point, env: Env) -> bool | None:
    """Return the value of a node, None where something that is guarded elsewhere has none."""
    try:
        return bool(evaluate(node.expr, at, env))
    except UNREADABLE:
        values = {value_of(part, at, env) for part in node.parts}
    match node.kind:
        case Kind.AND if False in values:
            return False
        case Kind.OR if True in values:
            return True
        case _:
            return None


def _marks(node: Written, value: bool | None, at: Point, env: Env) -> list[bool]:
    """Tell of each part whether it settles the value of the node."""
    match node.kind:
        case Kind.AND | Kind.OR if value is (node.kind is Kind.OR):
            return [value_of(part, at, env) is value for part in node.parts]
        case Kind.CHOICE:
            test = value_of(node.parts[0], at, env)
            return [True, test is not False, test is not True]
        case _:
            return [True] * len(node.parts)
