"""A plan counts what its ranks really do, and refuses what it cannot divide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from torch import Tensor

from maskc import BindError, compile_mask
from maskc.scale.order import ORDERS, lpt
from maskc.scale.plan import share_order

LENGTH, BLOCK = 96, 4
DOC = torch.repeat_interleave(torch.arange(5), torch.tensor([7, 50, 2, 30, 7]))
TEXTS = [
    "causal",
    "causal & same_doc",
    "window(9) | k < 5",
    "(q - k) % 7 == 0",
    "causal & (q - k < 8 * (head + 1))",
    "k < 0",
]


def inputs_of(text: str) -> dict[str, Tensor]:
    return {"doc": DOC} if "doc" in text else {}


@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("balance", [*ORDERS, "random"])
def test_costs_are_those_of_the_mask(text: str, balance: str) -> None:
    program, inputs = compile_mask(text), inputs_of(text)
    order = torch.randperm(LENGTH // BLOCK) if balance == "random" else balance
    plan = program.plan(LENGTH, 4, block_size=BLOCK, balance=order, num_heads=2, **inputs)
    mask = program.bind(q_len=LENGTH, num_heads=2, **inputs).dense_mask()[0]
    tiles = mask.unflatten(2, (-1, BLOCK)).unflatten(1, (-1, BLOCK)).any(4).any(2)
    assert plan.row_cost.tolist() == tiles.sum((0, 2)).tolist()
    ranks = tiles.any(0)[plan.order]
    assert plan.kv_needed == pytest.approx(ranks.any(1).double().mean(1).tolist())
    cost = torch.stack([tiles[:, rows.long()].sum() for rows in plan.order]).double()
    expected = (cost.max() / cost.mean()).item() if cost.any() else 1.0
    assert plan.imbalance == pytest.approx(expected)
    tokens = plan.positions
    assert tokens.dtype is torch.int32
    assert sorted(tokens.flatten().tolist()) == list(range(LENGTH))


@settings(max_examples=examples(100))
@given(st.integers(1, 5), st.integers(1, 6), st.data())
def test_longest_first_is_near_the_best(ranks: int, room: int, data: st.DataObject) -> None:
    size = ranks * room
    cost = np.array(data.draw(st.lists(st.integers(0, 50), min_size=size, max_size=size)))
    order = lpt(cost, ranks)
    assert order.shape == (ranks, room)
    assert sorted(order.reshape(-1).tolist()) == list(range(size))
    # No rank is above the mean by more than one block: the last that it was given.
    assert cost[order].sum(1).max() <= cost.sum() / ranks + cost.max() * (room > 0) + 1e-9


def test_orders_with_names() -> None:
    found = {name: order(np.arange(8), 2).tolist() for name, order in ORDERS.items()}
    assert found == {
        "contiguous": [[0, 1, 2, 3], [4, 5, 6, 7]],
        "headtail": [[0, 1, 6, 7], [2, 3, 4, 5]],
        "lpt": [[0, 3, 4, 7], [1, 2, 5, 6]],
    }
    assert ORDERS["headtail"](np.arange(6), 2).tolist() == [[0, 2, 5], [1, 3, 4]]


def test_packed_documents_are_balanced() -> None:
    program = compile_mask("causal & same_doc")
    found = {
        name: program.plan(LENGTH, 4, block_size=BLOCK, balance=name, doc=DOC).imbalance
        for name in ORDERS
    }
    assert found["lpt"] < 1.1
    assert min(found["headtail"], found["contiguous"]) > 1.3


def test_a_model_shares_the_order_of_its_heaviest_mask() -> None:
    masks = [compile_mask(text) for text in ("causal & window(8)", "causal", "causal & window(4)")]
    plans = [mask.plan(LENGTH, 4, block_size=BLOCK) for mask in masks]
    shared = share_order(plans)
    assert shared is plans[1]
    other = masks[0].plan(LENGTH, 4, block_size=BLOCK, balance=shared)
    assert torch.equal(other.order, shared.order)
    assert torch.equal(other.row_cost, plans[0].row_cost)


def test_the_size_of_the_whole_counts() -> None:
    """A rank has fewer rows than there are keys, and `q_len` is still the sequence's."""
    whole, local = (compile_mask(text) for text in ("causal", "causal_lower_right"))
    plans = [program.plan(LENGTH, 4, block_size=BLOCK) for program in (whole, local)]
    assert torch.equal(plans[0].row_cost, plans[1].row_cost)


def test_it_says_what_it_is() -> None:
    plan = compile_mask("causal").plan(LENGTH, 4, block_size=BLOCK, balance="contiguous")
    assert repr(plan) == (
        "<maskc plan: 96 tokens over 4 ranks, busiest 1.720 of the mean, 25% to 100% of the keys "
        "a rank>"
    )


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        (
            {"seq_len": 90},
            "error[M441]: seq_len=90 is no multiple of 4 ranks times blocks of 4\n"
            "    = help: pad to 96 tokens, with keys that the mask excludes: `& k < 90`",
        ),
        (
            {"ranks": 0},
            "error[M441]: `ranks` is an int of at least 1, found 0\n"
            "    = help: plan a sequence over at least one rank",
        ),
        (
            {"block_size": (4, 8)},
            "error[M440]: `block_size` of a plan is an int, or (queries, keys) with the first a "
            "multiple of the second, found (4, 8)\n"
            "    = help: keys move with their queries, in whole blocks of both",
        ),
        (
            {"balance": "lptt"},
            "error[M442]: `balance` names no order, found 'lptt'\n    = help: did you mean `lpt`?",
        ),
        (
            {"balance": [0, 0, 1]},
            "error[M442]: `balance` is an order's name or a permutation of the 24 blocks\n"
            "    = help: each block of queries once, rank after rank: `torch.randperm(blocks)`",
        ),
        (
            {"balance": torch.arange(24, device="meta")},
            "error[M442]: `balance` is an order's name or a permutation of the 24 blocks\n"
            "    = help: each block of queries once, rank after rank: `torch.randperm(blocks)`",
        ),
        (
            {"balance": None},
            "error[M442]: `balance` is an order's name or a permutation of the 24 blocks\n"
            "    = help: each block of queries once, rank after rank: `torch.randperm(blocks)`",
        ),
        (
            {"docs": DOC},
            "error[M401]: the program has no input `docs`\n    = help: did you mean `doc`?",
        ),
    ],
)
def test_errors(keywords: dict[str, Any], expected: str) -> None:
    given: dict[str, Any] = {"seq_len": LENGTH, "ranks": 4, "block_size": BLOCK, "doc": DOC}
    with pytest.raises(BindError) as error:
        compile_mask("causal & same_doc").plan(**{**given, **keywords})
    assert str(error.value) == expected
