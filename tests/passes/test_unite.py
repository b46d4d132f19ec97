"""Ranges under `|`: the same keys as before, and one range wherever they are one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_driver import read

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Or, walk
from maskc.passes.support.driver import simplify

FAR = 6
POINTS = [(q, k) for q in (0, FAR) for k in range(FAR + 1)]
"""Every distance from -6 to 6."""

ends = st.none() | st.integers(-3, 3)
ranges = st.tuples(ends, ends).filter(lambda pair: pair != (None, None))


def written(pair: tuple[int | None, int | None]) -> str:
    first, last = pair
    parts = [f"{first} <= q - k"] * (first is not None) + [f"q - k <= {last}"] * (last is not None)
    return " & ".join(parts)


def holds(pair: tuple[int | None, int | None], distance: int) -> bool:
    first, last = pair
    return (first is None or first <= distance) and (last is None or distance <= last)


def is_one_range(found: list[bool]) -> bool:
    return sum(a != b for a, b in zip([False, *found], [*found, False], strict=True)) <= 2


@settings(max_examples=300)
@given(st.lists(ranges, min_size=2, max_size=3), st.booleans())
def test_ranges_unite_where_they_overlap_or_touch(
    pairs: list[tuple[int | None, int | None]], with_documents: bool
) -> None:
    demand = " & valid[k]" if with_documents else ""
    module = read(" | ".join(f"({written(pair)}{demand})" for pair in pairs))
    mask = simplify(module).module.mask
    env = Env({}, {"valid": np.ones(FAR + 1, dtype=bool)})
    for q, k in POINTS:
        expected = any(holds(pair, q - k) for pair in pairs)
        assert evaluate(mask, Point(q_idx=q, kv_idx=k), env) == expected
    seen = [any(holds(pair, distance) for pair in pairs) for distance in range(-FAR, FAR + 1)]
    assert not (is_one_range(seen) and any(isinstance(term, Or) for term in walk(mask)))
