"""Attached programs under padding and packing, against a mask by hand for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from profiles import examples

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

COUNT = 11
GATE = [True, False, True, True, False, True, True, True, False, True, True]
RANK = [3, 9, 1, 7, 5, 8, 2, 6, 0, 4, 10]

Pair = Callable[[int, int, list[int]], bool]
"""Whether a query may see a key, by their positions; and the positions that a query may see."""

PROGRAMS: dict[str, Pair] = {
    "causal & window(3)": lambda q, k, _: 0 <= q - k < 3,
    "causal & (window(2) | sinks(2))": lambda q, k, _: k <= q and (q - k < 2 or k < 2),
    "causal & chunked(3)": lambda q, k, _: k <= q and q // 3 == k // 3,
    "window(3)": lambda q, k, _: abs(q - k) < 3,
    "dilated(7, 2)": lambda q, k, _: abs(q - k) < 7 and (q - k) % 2 == 0,
    "causal & (k % 3 == 0 | k == q)": lambda q, k, _: k <= q and (k % 3 == 0 or k == q),
    "input gate: bool\ncausal & (gate[k] | k == q)": lambda q, k, _: k <= q and (GATE[k] or k == q),
    "input gate: bool\nk <= q | (gate[q] & gate[k])": lambda q, k, _: (
        k <= q or (GATE[q] and GATE[k])
    ),
    "axis h = 4, w = 3\nabs(q.h - k.h) <= 1 & abs(q.w - k.w) <= 1": lambda q, k, _: (
        abs(q // 3 - k // 3) <= 1 and abs(q % 3 - k % 3) <= 1
    ),
    "input rank: float\ncausal & topk(rank[k], 2, where = causal)": lambda q, k, seen: (
        k in sorted((one for one in seen if one <= q), key=lambda one: -RANK[one])[:2]
    ),
    "input rank: float\ntopk(rank[k], 3)": lambda q, k, seen: (
        k in sorted(seen, key=lambda one: -RANK[one])[:3]
    ),
}
INPUTS = {"gate": torch.tensor(GATE), "rank": torch.tensor(RANK, dtype=torch.float32)}


def attended(
    text: str, tokens: torch.Tensor, queries: int, positions: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which values reach which query ``[batch, queries, keys]``, with a program attached.

    With zeros for q and k, and a unit vector for each value, an output is the weights themselves.
    """
    from torch import nn
    from transformers.masking_utils import causal_mask_function

    import maskc
    from maskc.integrations.transformers.forward.attached import put
    from maskc.integrations.transformers.forward.attention import attend
    from maskc.integrations.transformers.forward.mask_maker import make_context

    batch, keys = tokens.shape
    known = None if positions is not None or bool(tokens.all()) else tokens
    context = make_context(batch, queries, keys, keys - queries, 0, causal_mask_function, known)
    layer = nn.Identity()
    put(layer, maskc.compile_mask(text), INPUTS)
    query, key = torch.zeros(batch, 1, queries, 4), torch.zeros(batch, 1, keys, 4)
    value = torch.eye(keys).expand(batch, 1, keys, keys)
    out, _ = attend(layer, query, key, value, context, position_ids=positions)
    return out[:, :, 0] > 0, tokens[:, keys - queries :]


def by_hand(pair: Pair, places: list[int | None], row: list[int], at: int) -> list[bool]:
    """Return what the query in slot ``at`` sees of slots with these positions and documents."""
    here = [slot for slot, place in enumerate(places) if place is not None and row[slot] == row[at]]
    seen = [places[slot] for slot in here]
    result = [False] * len(places)
    for slot in here:
        result[slot] = bool(pair(places[at], places[slot], seen))  # type: ignore[arg-type]
    return result


@given(
    text=st.sampled_from(list(PROGRAMS)),
    padding=st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)),
    queries=st.sampled_from([COUNT, COUNT, 1, 3]),
)
@example("input rank: float\ntopk(rank[k], 3)", (0, 6), COUNT)
@example("axis h = 4, w = 3\nabs(q.h - k.h) <= 1 & abs(q.w - k.w) <= 1", (2, 5), COUNT)
@example("causal & chunked(3)", (4, 0), 1)
@settings(max_examples=examples(60), deadline=None)
def test_positions_count_from_the_first_token(
    text: str, padding: tuple[int, int], queries: int
) -> None:
    tokens = torch.arange(COUNT) >= torch.tensor(padding)[:, None]
    found, is_token = attended(text, tokens, queries)
    for row, pad in enumerate(padding):
        places = [None if slot < pad else slot - pad for slot in range(COUNT)]
        for query in range(queries):
            if is_token[row, query]:
                expected = by_hand(PROGRAMS[text], places, [0] * COUNT, COUNT - queries + query)
                assert found[row, query].tolist() == expected, (row, query)


@given(
    text=st.sampled_from(list(PROGRAMS)),
    first=st.integers(1, COUNT - 1),
    second=st.integers(1, COUNT - 1),
)
@example("input rank: float\ntopk(rank[k], 3)", 4, 6)
@settings(max_examples=examples(60), deadline=None)
def test_positions_count_within_a_document(text: str, first: int, second: int) -> None:
    positions = torch.stack([count_from(0, first), count_from(0, second)])
    tokens = torch.ones(2, COUNT, dtype=torch.bool)
    found, _ = attended(text, tokens, COUNT, positions)
    for row, start in enumerate((first, second)):
        documents = [int(slot >= start) for slot in range(COUNT)]
        for query in range(COUNT):
            expected = by_hand(PROGRAMS[text], positions[row].tolist(), documents, query)
            assert found[row, query].tolist() == expected, (row, query)


def count_from(*starts: int) -> Any:
    """Return positions of a row that count from 0 at each start."""
    slots = torch.arange(COUNT)
    return slots - torch.tensor(starts)[(slots[:, None] >= torch.tensor(starts)).sum(1) - 1]
