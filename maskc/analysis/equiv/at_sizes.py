"""Whether two programs mean the same in calls of given sizes.

NATTEN's formula for a grid is another mask off the grid: equal at the sizes that are run, and
different in general. Without inputs every pair is looked at; with inputs, pairs at random, with
elements drawn small.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import islice, product

from maskc.analysis.equiv.compare import GIVEN, MOST_POINTS, difference
from maskc.analysis.equiv.result import Different, Equal, Unknown
from maskc.analysis.equiv.sampled_inputs import ranks, sampled_tables
from maskc.errors import BindError, did_you_mean
from maskc.ir.evaluate import Env, Point
from maskc.ir.nodes import Module, TopK, walk
from maskc.ir.rows import Layout, to_rows
from maskc.ir.types import Dim, Sz
from maskc.ir.vectorize import Domain, dense

MOST_PAIRS = 2**26
"""Pairs that are looked at all."""


def call_sizes(given: Mapping[str, int]) -> dict[Sz, int]:
    """Return the sizes of a call; those not given are 1, as many keys as queries, and so on.

    Raises:
        BindError: a name is unknown, a size is no positive int, or ``q_len`` is missing.

    """
    names = [size.value for size in Sz]
    if not isinstance(given, Mapping):
        message = f"`sizes` is a mapping of names to ints, found {type(given).__name__}"
        raise BindError("M403", message, help="for example `{'q_len': 64}`")
    for name, size in given.items():
        if name not in names:
            help = did_you_mean(name, names) or f"expected some of {', '.join(names)}"
            raise BindError("M401", f"`sizes` has no `{name}`", help=help)
        if type(size) is not int or size < 1:
            message = f"{name}={size!r} is no positive int"
            raise BindError("M403", message, help="for example `{'q_len': 64}`")
    if "q_len" not in given:
        raise BindError("M402", "`sizes` needs `q_len`", help="for example `{'q_len': 64}`")
    filled = {"kv_len": given["q_len"], "batch_size": 1, "num_heads": 1, **given}
    filled.setdefault("num_kv_heads", filled["num_heads"])
    return {size: filled[size.value] for size in Sz}


def compare_at(
    first: Module, second: Module, sizes: Mapping[Sz, int]
) -> Equal | Different | Unknown:
    """Compare two programs in calls of these sizes, where position ``i`` is row ``i``."""
    if first == second:
        return Equal(sizes)
    roots = (*first.roots, *second.roots)
    plain = not ranks(*roots) and not any(isinstance(term, TopK) for term in walk(*roots))
    few = sizes[Sz.Q_LEN] * sizes[Sz.KV_LEN] * _others(first, second, sizes) <= MOST_PAIRS
    if plain and few:
        return _at_suspects(first, second, sizes)
    checked = furthest = 0
    for at in islice(_drawn(sizes), MOST_POINTS):
        checked += 1
        furthest = max(furthest, at.q_idx, at.kv_idx)
        result = difference(first, second, at, _env(first, second, at, sizes))
        if result is not None:
            return result
    return Unknown(checked, furthest)


def _at_suspects(
    first: Module, second: Module, sizes: Mapping[Sz, int]
) -> Equal | Different | Unknown:
    """Compare at the pairs where tensors of all pairs differ: they may round, the evaluator not."""
    suspects = list(_suspects(first, second, sizes))
    for at in suspects[:MOST_POINTS]:
        result = difference(first, second, at, _env(first, second, at, sizes))
        if result is not None:
            return result
    if len(suspects) > MOST_POINTS:
        return Unknown(MOST_POINTS, max(at.q_idx for at in suspects[:MOST_POINTS]))
    return Equal(sizes)


def _suspects(first: Module, second: Module, sizes: Mapping[Sz, int]) -> Iterator[Point]:
    import torch

    domain = Domain(sizes, {}, torch.device("cpu"))
    given = {which: torch.tensor(value) for which, value in GIVEN.items()}
    for one, two in zip(first.roots, second.roots, strict=True):
        values = [dense(to_rows(root, Layout()), domain, given) for root in (one, two)]
        # NaN differs from itself here, and is found equal by the evaluator.
        for place in (values[0] != values[1]).nonzero().tolist():
            yield Point(*place)


def _drawn(sizes: Mapping[Sz, int]) -> Iterator[Point]:
    """Yield the points of the call: all of a small one, others at random."""
    counts = [sizes[size] for size in (Sz.BATCH_SIZE, Sz.NUM_HEADS, Sz.Q_LEN, Sz.KV_LEN)]
    total = counts[0] * counts[1] * counts[2] * counts[3]
    if total <= MOST_POINTS:
        yield from (Point(*place) for place in product(*map(range, counts)))
        return
    seeds = random.Random(0)
    while True:
        yield Point(*(seeds.randrange(count) for count in counts))


def _env(first: Module, second: Module, at: Point, sizes: Mapping[Sz, int]) -> Env:
    read = ranks(*first.roots, *second.roots)
    return Env(sizes, sampled_tables(read, random.Random(f"{at}")), given=GIVEN)


def _others(first: Module, second: Module, sizes: Mapping[Sz, int]) -> int:
    """Return how many batches and heads the programs can tell apart."""
    deps = Dim.NONE
    for root in (*first.roots, *second.roots):
        deps |= root.deps
    batches = sizes[Sz.BATCH_SIZE] if Dim.BATCH in deps else 1
    return batches * (sizes[Sz.NUM_HEADS] if Dim.HEAD in deps else 1)
