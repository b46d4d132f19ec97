"""A mask in one call: what its sizes, offsets and tensors decide is left out.

A conjunct that holds at every pair of the call is dropped, and what remains is compared with
``causal``: ``causal & window(4096)`` at 2048 tokens is what SDPA calls ``is_causal``, and a decode
step whose one query sees every key masks nothing. What is left out may differ in the next call, so
generated functions never take such a mask: they have one code object a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from maskc.analysis.intervals.evaluate import Evaluation
from maskc.analysis.intervals.whole_call import Range, whole_call
from maskc.ir.nodes import FALSE, TRUE, And, Expr, Index, Not, Or, Where
from maskc.ir.types import Ix, Sz
from maskc.lower.plan import CAUSAL
from maskc.passes.support.constraint import Kind, constraint


def specialise(mask: Expr, sizes: Mapping[Sz, int], ranges: Mapping[str, Range]) -> Expr:
    """Return a mask that is true at the same pairs of a call, without what the call decides.

    Args:
        mask: the boolean row expression.
        sizes: of the call.
        ranges: the least and the largest element of inputs, as far as they are known.

    """
    call = whole_call(sizes, ranges)
    rest = _rest(mask, call)
    conjuncts = rest.args if isinstance(rest, And) else (rest,)
    return CAUSAL if _is_causal(conjuncts, call) else _shared(rest)


def _rest(expr: Expr, call: Evaluation) -> Expr:
    """Return a boolean without the parts that are the same at every pair."""
    match expr:
        case Not(arg):
            return _denied(expr, _rest(arg, call))
        case And(args) | Or(args):
            return _joined(expr, args, [_rest(arg, call) for arg in args])
        case Where(cond, then, other) if (chosen := _known(cond, call)) is not None:
            return _rest(then if chosen is TRUE else other, call)
        case _:
            return expr if (known := _known(expr, call)) is None else known


def _known(expr: Expr, call: Evaluation) -> Expr | None:
    """Return the value of a boolean that is the same at every pair, else None."""
    known = call.truth(expr)
    if known.always is True:
        return TRUE
    return FALSE if known.never is True else None


def _denied(whole: Not, rest: Expr) -> Expr:
    if rest is TRUE or rest is FALSE:
        return FALSE if rest is TRUE else TRUE
    return whole if rest is whole.arg else Not(rest)


def _joined(whole: And | Or, before: tuple[Expr, ...], after: list[Expr]) -> Expr:
    """Return operands without the neutral one; the same object where nothing was left out."""
    if all(a is b for a, b in zip(before, after, strict=True)):
        return whole
    neutral, other = (TRUE, FALSE) if isinstance(whole, And) else (FALSE, TRUE)
    kept: list[Expr] = []
    for arg in after:
        if arg is other:
            return other
        if arg is not neutral:
            kept += arg.args if isinstance(arg, And | Or) and type(arg) is type(whole) else (arg,)
    if len(kept) < 2:
        return kept[0] if kept else neutral
    return type(whole)(tuple(kept))


def _is_causal(conjuncts: Iterable[Expr], call: Evaluation) -> bool:
    """Tell whether conjuncts come to ``k <= q`` over rows, once known offsets are put in."""
    nearest: int | None = None
    for arg in conjuncts:
        offset = _offset(arg, call)
        if offset is None:
            return False
        nearest = offset if nearest is None else min(nearest, offset)
    return nearest == 0


def _offset(arg: Expr, call: Evaluation) -> int | None:
    """Return n where a comparison is ``k <= q + n`` over rows, None where it is another."""
    result = constraint(arg)
    if result is None or result.kind is not Kind.GE:
        return None
    rows = {Ix.Q_IDX: 0, Ix.KV_IDX: 0}
    constant = result.form.constant
    for term, factor in result.form.terms:
        if isinstance(term, Index) and term.which in rows:
            rows[term.which] += factor
        elif (value := call.number(term)).exact:
            constant += factor * value.lo
        else:
            return None
    factor = rows[Ix.Q_IDX]
    return constant // factor if factor > 0 and rows[Ix.KV_IDX] == -factor else None


@lru_cache(maxsize=1024)
def _shared(mask: Expr) -> Expr:
    """Return the first of equal masks: what is kept by a mask is then found by one look."""
    return mask
