"""What a mask lets a query see: a key ahead of it, or no key at all.

Decided by the laws of the passes and by bounds of the distance between a key and its query, and
else by trying small calls; where nothing answers, the answer is unknown. None of it depends on what
is installed beside maskc.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import product

from maskc.analysis.distance import max_distance
from maskc.analysis.equiv.compare import compare_at_points
from maskc.analysis.equiv.result import Different
from maskc.analysis.equiv.sampled_inputs import Table, elements, ranks, sampled_tables
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    FALSE,
    OUT,
    SCORE,
    TRUE,
    And,
    Compare,
    Coord,
    Expr,
    Index,
    IntConst,
    Module,
    Or,
    Size,
    TopK,
    rewrite,
    walk,
)
from maskc.ir.operators import CompareOp
from maskc.ir.scalars import Number
from maskc.ir.types import Dim, Ix, Sz
from maskc.passes.support.driver import simplify

TOKENS = (1, 2, 3, 5, 8)
DRAWS = 3
MOST_TOKENS = 4096

Q, K = Index(Ix.Q), Index(Ix.K)


def looks_ahead(mask: Expr) -> str:
    """Tell whether some query sees a key after it: never, possible (and where), or unknown."""
    later = Compare(CompareOp.LT, Q, K)
    ahead = _simple(And((mask, later)))
    if FALSE in (ahead, _simple(And((_before_selection(mask), later)))):
        return "never"
    if max_distance(mask).ahead == 0:
        return "never"
    match compare_at_points(_module(ahead), _module(FALSE)):
        case Different(at=at, read=read, sizes=sizes):
            matter = {t.which.value: sizes[t.which] for t in walk(mask) if isinstance(t, Size)}
            return f"possible: q = {at.q_idx} sees k = {at.kv_idx}{_with({**matter, **read})}"
        case found:
            return f"unknown: at {found.points} pairs up to position {found.furthest} it does not"


_BEFORE = Compare(CompareOp.LT, Q, IntConst(0))
"""Padding on the left, of which no rows are asked for keys."""


def empty_rows(mask: Expr) -> str:
    """Tell whether a query may have no key: never, always, possible (and where), or unknown."""
    if isinstance(mask, TopK):
        return empty_rows(mask.where)  # the best of some keys are some keys
    if mask in (TRUE, FALSE):
        return "never" if mask == TRUE else "always: no query has a key"
    if _always(Or((_BEFORE, _at_key(mask, IntConst(0))))):
        return "never: every query sees key 0"
    if _always(_alone(_at_key(mask, Q))):
        return "never in self-attention: every query sees itself"
    return _search(mask)


def _before_selection(mask: Expr) -> Expr:
    """Return a mask that allows at least as much: a selection picks among the keys it is given."""
    match mask:
        case TopK(_, _, where):
            return where
        case And(args):
            return And(tuple(map(_before_selection, args)))
        case _:
            return mask


def _at_key(mask: Expr, key: Expr) -> Expr:
    """Return whether every query sees this key; a selection depends on other keys too."""
    if any(isinstance(term, TopK) for term in walk(mask)):
        return FALSE
    return rewrite(mask, lambda term: key if term in (K, Index(Ix.KV_IDX)) else None)


def _alone(mask: Expr) -> Expr:
    """Return the mask where queries and keys are the same tokens, without offsets."""
    same: dict[Expr, Expr] = {Index(Ix.Q_IDX): Q, Size(Sz.KV_LEN): Size(Sz.Q_LEN)}
    return rewrite(mask, same.get)


def _always(mask: Expr) -> bool:
    return _simple(mask) == TRUE


def _search(mask: Expr) -> str:
    """Look for a query without a key in small self-attention, and at the ends of a token grid."""
    read = ranks(mask)
    heads = range(2 if Dim.HEAD in mask.deps else 1)
    calls = [*((tokens, range(tokens)) for tokens in TOKENS), *_ends(mask)]
    for (tokens, rows), draw, head in product(calls, range(DRAWS if read else 1), heads):
        env = _env(tokens, sampled_tables(read, random.Random(f"{tokens} {draw}")))
        for row in rows:
            if _is_empty(mask, Point(0, head, row), env):
                where = f"q = {row}" + (f", head = {head}" if len(heads) > 1 else "")
                return f"possible: {where} of {tokens} tokens has no key{_with(elements(env))}"
    return f"unknown: none in self-attention of up to {TOKENS[-1]} tokens"


def _ends(mask: Expr) -> list[tuple[int, range]]:
    """Return calls of one token more than a grid has, and their last two rows."""
    axes = {term.axis for term in walk(mask) if isinstance(term, Coord)}
    ends = sorted({axis.start + axis.count for axis in axes})
    return [(end + 1, range(end - 1, end + 1)) for end in ends if end < MOST_TOKENS]


def _is_empty(mask: Expr, at: Point, env: Env) -> bool:
    """Tell whether a row is empty; one that cannot be evaluated tells nothing."""
    keys = range(env.sizes[Sz.KV_LEN])
    try:
        return not any(evaluate(mask, Point(at.batch, at.head, at.q_idx, k), env) for k in keys)
    except (IndexError, ZeroDivisionError, OverflowError):
        return False


def _env(tokens: int, inputs: Mapping[str, Table]) -> Env:
    sizes = {Sz.BATCH_SIZE: 1, Sz.NUM_HEADS: 2, Sz.NUM_KV_HEADS: 2}
    return Env({**sizes, Sz.Q_LEN: tokens, Sz.KV_LEN: tokens}, inputs)


def _with(read: Mapping[str, Number]) -> str:
    """Tell the first few elements of inputs that were read."""
    if not read:
        return ""
    listed = [f"{name} = {str(value).lower()}" for name, value in list(read.items())[:4]]
    return f" ({', '.join(listed)}{', ...' if len(read) > 4 else ''})"


def _simple(mask: Expr) -> Expr:
    return simplify(_module(mask)).module.mask


def _module(mask: Expr) -> Module:
    return Module(mask, SCORE, OUT)
