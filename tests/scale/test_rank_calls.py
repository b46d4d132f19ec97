"""What a rank binds: sizes of the whole, tensors of its own rows, heads and batches of its own."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from maskc import BindError, LoweringError, compile_mask
from maskc.scale.plan import Plan

LENGTH, BLOCK, RANKS, HEADS, BATCH = 64, 4, 4, 4, 3
SIZES = {"batch_size": BATCH, "num_heads": HEADS}
DOC = torch.repeat_interleave(torch.arange(4), torch.tensor([5, 30, 12, 17]))


@pytest.fixture
def qkv() -> tuple[Tensor, ...]:
    return tuple(torch.randn(BATCH, HEADS, LENGTH, 8, dtype=torch.float64) for _ in range(3))


def plan_of(text: str, balance: str = "headtail", **inputs: Tensor) -> Plan:
    program = compile_mask(text)
    return program.plan(LENGTH, RANKS, block_size=BLOCK, balance=balance, **SIZES, **inputs)


def parts(plan: Plan, qkv: tuple[Tensor, ...], rank: int) -> tuple[Tensor, ...]:
    """Return the rank's queries and everyone's keys and values, as torch gathers them."""
    rows, every = plan.positions[rank].long(), plan.positions.flatten().long()
    q, k, v = qkv
    return q[:, :, rows], k[:, :, every], v[:, :, every]


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "causal_lower_right & window(9)",
        "kv_idx <= q_idx & k < kv_len - 3",
        "causal & same_doc; score = score + x[q_idx] * (k - q); input x: float",
        "causal; score = score - abs(q - k) / q_len",
    ],
)
def test_rows_and_sizes_are_those_of_the_sequence(text: str, qkv: tuple[Tensor, ...]) -> None:
    program = compile_mask(text)
    given = {"doc": DOC, "x": torch.linspace(-1, 1, LENGTH, dtype=torch.float64)}
    inputs = {declared.name: given[declared.name] for declared in program.inputs}
    plan, whole = plan_of(text, **inputs), program(*qkv, **inputs)
    for rank in range(RANKS):
        bound = pickle.loads(pickle.dumps(program.shard(plan, rank, **SIZES, **inputs)))
        near(bound(*parts(plan, qkv, rank)), whole[:, :, plan.positions[rank].long()])


def test_what_a_layer_computes_is_of_its_own_rows(qkv: tuple[Tensor, ...]) -> None:
    text = "axis h = 8, w = 8; score = score + relpos(h, w)"
    program, plan = compile_mask(text), plan_of(text)
    tables = {
        name: torch.randn(BATCH, HEADS, LENGTH, 8, dtype=torch.float64)
        for name in ("rel_h", "rel_w")
    }
    whole = program(*qkv, **tables)
    for rank, rows in enumerate(plan.positions.long()):
        bound = program.shard(plan, rank, **SIZES)
        own = {name: table[:, :, rows] for name, table in tables.items()}
        near(bound(*parts(plan, qkv, rank), **own), whole[:, :, rows])
        bound = program.shard(plan, rank, **SIZES, **tables)
        near(bound(*parts(plan, qkv, rank)), whole[:, :, rows])


def test_a_rank_has_heads_and_batches_of_its_own(qkv: tuple[Tensor, ...]) -> None:
    text = "causal & same_doc; score = score + alibi"
    docs = torch.stack([DOC, DOC.flip(0), DOC // 2])
    slopes = torch.tensor([0.5, 0.25, 1.0, 2.0], dtype=torch.float64)
    program, plan = compile_mask(text), plan_of(text, doc=docs)
    whole = program(*qkv, doc=docs, slopes=slopes)
    for rank, rows in enumerate(plan.positions.long()):
        q, k, v = parts(plan, qkv, rank)
        for batches, heads in ((slice(0, 2), slice(0, 2)), (slice(1, 3), slice(2, 4))):
            bound = program.shard(
                *(plan, rank),
                batch_offset=batches.start,
                batch_size=2,
                num_heads=2,
                head_offset=heads.start,
                doc=docs,
                slopes=slopes,
            )
            found = bound(q[batches, heads], k[batches, heads], v[batches, heads])
            near(found, whole[batches, heads][:, :, rows])


def test_padded_tails_give_zeros(qkv: tuple[Tensor, ...]) -> None:
    text = "causal & q < 57 & k < 57"
    program, plan = compile_mask(text), plan_of(text, "lpt")
    whole = program(*(x[:, :, :57] for x in qkv))
    for rank, rows in enumerate(plan.positions.long()):
        out = program.shard(plan, rank, **SIZES)(*parts(plan, qkv, rank))
        near(out[:, :, rows < 57], whole[:, :, rows[rows < 57]])
        assert not out[:, :, rows >= 57].any()


def test_another_order_of_keys_gives_another_answer(qkv: tuple[Tensor, ...]) -> None:
    """The control: the tests above can fail."""
    text = "causal; score = score + 0.1 * (k - q)"
    program, plan = compile_mask(text), plan_of(text)
    other, whole = plan_of(text, "contiguous"), program(*qkv)
    rows = plan.positions[1].long()
    wrong = program.shard(plan, 1, **SIZES)(*parts(other, qkv, 1))
    assert (wrong - whole[:, :, rows]).abs().max() > 0.1
    only_mask = compile_mask("causal").shard(plan, 1, **SIZES)
    as_rows = torch.arange(LENGTH // RANKS)[:, None], torch.arange(LENGTH)
    bias = torch.where(only_mask.dense_mask(), 0.1 * (as_rows[1] - as_rows[0]), -torch.inf)
    wrong = torch.nn.functional.scaled_dot_product_attention(
        *parts(plan, qkv, 1), attn_mask=bias.double()
    )
    assert (wrong - whole[:, :, rows]).abs().max() > 0.1


def test_positions_have_32_bits() -> None:
    bound = compile_mask("causal").shard(plan_of("causal"), 1)
    assert {x.dtype for x in bound.spec.tensors.values()} == {torch.int32}
    assert "//" not in bound.mask_mod.source


def test_a_contiguous_part_has_an_offset_and_no_table() -> None:
    bound = compile_mask("causal").shard(plan_of("causal", "contiguous"), 1, permuted_kv=False)
    assert {x.dim() for x in bound.spec.tensors.values()} == {0}


def test_ties_are_broken_in_the_order_of_the_sequence() -> None:
    text = "causal & topk(x[k], 5); input x: float"
    program, x = compile_mask(text), (torch.arange(LENGTH) % 3).double()
    plan = plan_of(text, x=x)
    whole = program.bind(q_len=LENGTH, x=x).dense_mask()
    for rank, rows in enumerate(plan.positions.long()):
        bound = program.shard(plan, rank, permuted_kv=False, x=x)
        assert torch.equal(bound.dense_mask(), whole[:, :, rows])
    with pytest.raises(LoweringError) as error:
        program.shard(plan, 0, x=x)
    assert str(error.value) == (
        "error[M520]: `topk` breaks ties by the order of keys, which the plan changes\n"
        " --> <mask>:1:10\n"
        f"  1 | {text}\n"
        "    |          ^^^^^^^^^^^^^\n"
        "    = help: take keys and values in the sequence's order: `permuted_kv=False`"
    )
    in_order = plan_of(text, "contiguous", x=x)
    assert program.shard(in_order, 0, x=x).tiles


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        (
            {"rank": 4},
            "error[M443]: `rank` is an int from 0 to 3, found 4\n"
            "    = help: plan for as many ranks as there are",
        ),
        (
            {"batch_offset": 2},
            "error[M444]: input `doc` has 3 batches, this call reads 2 to 4\n"
            "    = help: give the inputs of all batches",
        ),
        (
            {"batch_offset": -1},
            "error[M444]: `batch_offset` is an int of at least 0, found -1\n"
            "    = help: batches count from 0",
        ),
        (
            {"doc": DOC[:60]},
            "error[M417]: input `doc` has 60 entries where `same_doc` reads up to 63: 4 too few\n"
            " --> <mask>:1:10\n"
            "  1 | causal & same_doc\n"
            "    |          ^^^^^^^^\n"
            "    = help: give one entry for each value of the subscript, or guard it with `where`",
        ),
    ],
)
def test_errors(keywords: dict[str, Any], expected: str) -> None:
    docs = DOC.expand(3, -1)
    given: dict[str, Any] = {"rank": 0, "batch_size": 2, "doc": docs, **keywords}
    with pytest.raises(BindError) as error:
        compile_mask("causal & same_doc").shard(plan_of("causal & same_doc", doc=docs), **given)
    assert str(error.value) == expected
