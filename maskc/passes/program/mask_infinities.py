"""Hidden scores: ``where(cond, score, -inf)`` becomes the mask ``cond`` and the score ``score``.

A key with the score -inf takes no part in the softmax, so it is masked; as a mask it lets kernels
skip whole tiles (22 times faster, window 512 at 8k tokens). A condition that reads the score stays.

Exact for a choice. In ``f + where(c, 0, -inf)`` it assumes that f is less than inf where c fails:
``inf - inf`` would be NaN and spoil its row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from maskc.ir.nodes import (
    FALSE,
    SCORE,
    TRUE,
    And,
    Arith,
    Call,
    Expr,
    FloatConst,
    IntConst,
    Module,
    Not,
    Value,
    Where,
    walk,
)
from maskc.ir.operators import ArithOp, Fn
from maskc.passes.numbers.drop_conversions import as_type
from maskc.passes.support.is_total import is_total


class Split(NamedTuple):
    """A score that is ``rest`` where ``cond`` holds and -inf elsewhere."""

    cond: Expr
    rest: Expr


NOTHING = Split(FALSE, FloatConst(0.0))
"""What -inf splits into: no pair, where it adds nothing to a sum."""


def mask_infinities(module: Module) -> Module | None:
    """Move -inf branches of the score into the mask; None if there are none."""
    return _masked(module, guarded=True)


def mask_infinities_at_every_pair(module: Module) -> Module | None:
    """Do the same, and leave the score as it was written where the mask is false.

    A row without keys that sees all of them attends with it. What cannot be read there is refused
    when it is bound.
    """
    return _masked(module, guarded=False)


def _masked(module: Module, guarded: bool) -> Module | None:
    split = _split(module.score)
    if split == NOTHING:
        split = Split(FALSE, SCORE)
    if split is None:
        score = _unshifted(module.score)
        return None if score == module.score else Module(module.mask, score, module.out)
    rest = as_type(split.rest, module.score.type)
    if guarded and not is_total(rest):
        rest = Where(split.cond, rest, FloatConst(0.0))
    return Module(And((module.mask, split.cond)), _unshifted(rest), module.out)


def _split(score: Expr) -> Split | None:
    match score:
        case FloatConst(value) if value == -math.inf:
            return NOTHING
        case Where(cond, then, other) if not _reads_score(cond):
            return _of_choice(score, _split(then), _split(other))
        case Arith(ArithOp.ADD, left, right):
            return _of_sum(score, _split(left), _split(right))
        case Arith(ArithOp.SUB, left, right):
            return _of_sum(score, _split(left), _negated(_split(_minus(right))))
        case Arith(ArithOp.DIV | ArithOp.MUL, left, right) if _is_positive(right):
            split = _split(left)
            return None if split is None else Split(split.cond, Arith(score.op, split.rest, right))
        case Call(Fn.NEG, (Where() as arg,)):
            return _split(_minus(arg))
        case Call(Fn.MIN, args):
            return _of_least(args)
        case _:
            return None


def _of_choice(score: Where, then: Split | None, other: Split | None) -> Split | None:
    if then is None and other is None:
        return None
    if then == NOTHING:
        return _guarded(Not(score.cond), score.other, other)
    if other == NOTHING:
        return _guarded(score.cond, score.then, then)
    one, two = then or Split(TRUE, score.then), other or Split(TRUE, score.other)
    cond = Where(score.cond, one.cond, two.cond)
    return Split(cond, Where(score.cond, one.rest, two.rest))


def _guarded(cond: Expr, whole: Expr, split: Split | None) -> Split:
    if split is None:
        return Split(cond, whole)
    return Split(And((cond, split.cond)), split.rest)


def _of_sum(score: Arith, left: Split | None, right: Split | None) -> Split | None:
    if left is None and right is None:
        return None
    one, two = left or Split(TRUE, score.left), right or Split(TRUE, score.right)
    return Split(And((one.cond, two.cond)), Arith(score.op, one.rest, two.rest))


def _minus(expr: Expr) -> Expr:
    """Return ``-expr``, with the minus inside choices, before what they choose."""
    match expr:
        case Where(cond, then, other):
            return Where(cond, _minus(then), _minus(other))
        case FloatConst(value):
            return FloatConst(-value)
        case Call(Fn.NEG, (arg,)):
            return arg
        case _:
            return Call(Fn.NEG, (expr,))


def _negated(split: Split | None) -> Split | None:
    return None if split is None else Split(split.cond, _minus(split.rest))


def _of_least(args: tuple[Expr, ...]) -> Split | None:
    splits = [_split(arg) for arg in args]
    if all(split is None for split in splits):
        return None
    parts = [split or Split(TRUE, arg) for split, arg in zip(splits, args, strict=True)]
    rests = tuple(part.rest for part in parts if part != NOTHING)
    least = Call(Fn.MIN, rests) if len(rests) > 1 else (*rests, NOTHING.rest)[0]
    return Split(And(tuple(p.cond for p in parts)), least)


def _unshifted(score: Expr) -> Expr:
    """Drop ``+ 0`` at the top, where the sign of a zero has no effect: exp takes both to 1."""
    match score:
        case Arith(ArithOp.ADD, rest, IntConst(0) | FloatConst(0.0)):
            return as_type(rest, score.type)
        case Arith(ArithOp.ADD, IntConst(0) | FloatConst(0.0), rest):
            return as_type(rest, score.type)
        case _:
            return score


def _is_positive(expr: Expr) -> bool:
    return isinstance(expr, IntConst | FloatConst) and 0 < expr.value < math.inf


def _reads_score(expr: Expr) -> bool:
    return any(isinstance(term, Value) for term in walk(expr))
