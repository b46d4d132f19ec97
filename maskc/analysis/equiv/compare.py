"""Whether two programs mean the same: equal, different with a counterexample, or unknown.

The search tries the positions at which a comparison can change, near the constants of both
programs, from small to large; inputs are drawn small, so that equal ids and ties come up.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import product

from maskc.analysis.equiv import prove
from maskc.analysis.equiv.result import Different, Equal, Unknown
from maskc.analysis.equiv.sampled_inputs import elements, ranks, sampled_tables
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Coord, IntConst, Module, walk
from maskc.ir.scalars import Number
from maskc.ir.types import Dim, Given, Sz
from maskc.limits import MAX_INT

__all__ = ["Different", "Equal", "Unknown", "compare_programs"]

MOST_POINTS = 20_000
MOST_POSITIONS = 24
SCORE, OUT, LSE = 0.75, 1.5, -0.25


def compare_programs(
    first: Module, second: Module, timeout_ms: int = 2_000
) -> Equal | Different | Unknown:
    """Compare two programs; simplify both before, equal canonical forms need no proof.

    Without z3 (the extra ``prove``) programs are equal only if their nodes are.
    """
    if first == second:
        return Equal()
    proved = _proved(first, second, timeout_ms)
    return Equal() if proved else compare_at_points(first, second, proved is not None)


def compare_at_points(
    first: Module, second: Module, tried_proof: bool = False
) -> Different | Unknown:
    """Compare two programs at small and critical positions, without a proof."""
    checked = furthest = 0
    for at, env in _calls(first, second):
        checked += 1
        furthest = max(furthest, at.q_idx, at.kv_idx)
        result = difference(first, second, at, env)
        if result is not None:
            return result
        if checked == MOST_POINTS:
            break
    return Unknown(checked, furthest, tried_proof)


def _proved(first: Module, second: Module, timeout_ms: int) -> bool | None:
    """Tell whether z3 proves it; None without z3."""
    try:
        return prove.prove(first, second, timeout_ms) is prove.Proof.PROVED
    except ImportError:
        return None


def difference(first: Module, second: Module, at: Point, env: Env) -> Different | None:
    """Return how the programs differ at a point; one where either fails tells nothing."""
    parts = [("mask", first.mask, second.mask), ("score", first.score, second.score)]
    if at.kv_idx == 0:
        parts.append(("out", first.out, second.out))
    try:
        for what, one, two in parts:
            values = evaluate(one, at, env), evaluate(two, at, env)
            if not _same(*values):
                return Different(what, at, env.sizes, elements(env), env.given, *values)
            if what == "mask" and not values[0]:
                return None
    except (IndexError, ZeroDivisionError, OverflowError):
        pass
    return None


def _same(first: Number, second: Number) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def _calls(first: Module, second: Module) -> Iterator[tuple[Point, Env]]:
    """Yield points, small ones first, each with inputs of its own."""
    roots = (*first.roots, *second.roots)
    deps = Dim.NONE
    for root in roots:
        deps |= root.deps
    positions = _positions(first, second)
    heads = range(4) if Dim.HEAD in deps else range(1)
    places = sorted(product(positions, positions), key=lambda place: (sum(place), place))
    read = ranks(*roots)
    for (q, k), head in product(places, heads):
        for turn in range(6 if read else 1):
            at = Point(turn % 2 if Dim.BATCH in deps else 0, head, q, k)
            seeds = random.Random(f"{turn} {at}")
            yield at, Env(_sizes(at, turn), sampled_tables(read, seeds), given=GIVEN)


GIVEN = {Given.SCORE: SCORE, Given.OUT: OUT, Given.LSE: LSE}


def _sizes(at: Point, turn: int) -> dict[Sz, int]:
    heads = max(at.head + 1, 4) // 2 * 2
    return {
        Sz.BATCH_SIZE: 2,
        Sz.NUM_HEADS: heads,
        Sz.NUM_KV_HEADS: heads // (1 + turn % 2),
        Sz.Q_LEN: at.q_idx + 1 + turn % 3,
        Sz.KV_LEN: at.kv_idx + 1 + turn // 2 % 3,
    }


def _positions(first: Module, second: Module) -> list[int]:
    """Return the positions around the constants of the programs, from 0 on."""
    result = {0, 1, 2, 3, 5}
    for term in walk(*first.roots, *second.roots):
        if isinstance(term, IntConst):
            result |= {abs(term.value) + step for step in (-1, 0, 1)}
        if isinstance(term, Coord):
            result |= {term.axis.start + term.axis.count + step for step in (-1, 0)}
    return sorted(value for value in result if 0 <= value < MAX_INT)[:MOST_POSITIONS]
