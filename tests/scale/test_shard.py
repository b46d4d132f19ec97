"""The ranks of a plan together are one process: masks, tiles, outputs and gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
import torch
from environments import Case, environments
from formula import qkv_of
from hypothesis import event, given, reject, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from profiles import examples, find_fault
from strategies import modules
from table_walk import backward, forward
from torch import Tensor

from maskc import BindError, Bound, LoweringError, Program, compile_mask
from maskc.analysis.tiles.runs import Runs
from maskc.ir.nodes import Expr, TopK, walk
from maskc.ir.text import to_text
from maskc.scale.plan import Plan

LENGTH = 8
BALANCES = ("lpt", "contiguous", "headtail", "random")


CUTS = [(2, 1), (2, 2), (2, 4), (4, 1), (4, 2), (1, 4), (8, 1)]
"""Ranks and block sizes that divide the length."""


@dataclass(frozen=True)
class Sharded:
    """A program, what it is bound to, and who has which rows."""

    program: Program
    case: Case
    plan: Plan
    permuted: bool

    @property
    def sizes(self) -> dict[str, int]:
        names = ("batch_size", "num_heads", "num_kv_heads")
        return {name: getattr(self.case, name) for name in names}

    def bounds(self) -> list[Bound]:
        more: dict[str, Any] = {**self.sizes, **self.case.inputs, "permuted_kv": self.permuted}
        return [self.program.shard(self.plan, rank, **more) for rank in range(self.plan.ranks)]

    def alone(self) -> Bound:
        return self.program.bind(q_len=LENGTH, **self.sizes, **self.case.inputs)


@st.composite
def sharded(draw: DrawFn) -> Sharded:
    """Draw a program, inputs of a whole sequence and a plan."""
    module = draw(modules(depth=2))
    case: Case = draw(environments(module, length=LENGTH))
    try:
        program = compile_mask(to_text(module))
    except LoweringError:
        reject()
    ranks, block = draw(st.sampled_from(CUTS))
    name = draw(st.sampled_from(BALANCES))
    blocks = st.permutations(range(LENGTH // block))
    balance = torch.tensor(draw(blocks)) if name == "random" else name
    sizes = {"batch_size": case.batch_size, "num_heads": case.num_heads}
    sizes["num_kv_heads"] = case.num_kv_heads
    plan = program.plan(LENGTH, ranks, block_size=block, balance=balance, **sizes, **case.inputs)
    permuted = not selects(program) and draw(st.booleans())
    return Sharded(program, case, plan, permuted)


def selects(program: Program) -> bool:
    return any(isinstance(term, TopK) for term in walk(*program.module.roots))


def keys_of(plan: Plan, permuted: bool) -> Tensor:
    return plan.positions.flatten().long() if permuted else torch.arange(plan.seq_len)


@settings(max_examples=examples(80))
@given(sharded())
def test_masks_and_tables_are_parts_of_the_whole(one: Sharded) -> None:
    event(f"permuted: {one.permuted}")
    assert_parts(one)


def assert_parts(one: Sharded) -> None:
    whole = one.case.matrix(one.program.module.mask)
    keys = keys_of(one.plan, one.permuted)
    for rank, bound in enumerate(one.bounds()):
        mask = whole[:, :, one.plan.positions[rank].long()][..., keys]
        assert torch.equal(bound.dense_mask().expand_as(mask), mask)
        assert_tables(bound, mask)


def assert_tables(bound: Bound, mask: Tensor) -> None:
    """Hold full and partial tiles, by rows and by columns, against the mask itself."""
    if (blocks := bound.block_mask) is None:
        assert mask.all()
        return
    high, wide = blocks.BLOCK_SIZE
    tiles = mask.unflatten(3, (-1, wide)).unflatten(2, (-1, high))
    full, some = tiles.all(5).all(3), tiles.any(5).any(3)
    groups = blocks.kv_num_blocks.shape[:2]
    for prefix, wanted in (("full_", full), ("", some & ~full)):
        for side, expected in (("kv", wanted), ("q", wanted.mT)):
            counts = getattr(blocks, f"{prefix}{side}_num_blocks")
            indices = getattr(blocks, f"{prefix}{side}_indices")
            found = listed(counts, indices).expand(*expected.shape)
            assert torch.equal(found, expected), (prefix, side, groups)


def listed(counts: Tensor, indices: Tensor) -> Tensor:
    """Return the columns that a table lists as booleans."""
    used = torch.arange(indices.shape[-1]) < counts[..., None]
    found = torch.zeros_like(used)
    for at in used.nonzero().tolist():
        column = int(indices[tuple(at)])
        assert not found[(*at[:3], column)], "a column is listed twice"
        found[(*at[:3], column)] = True
    return found


@settings(max_examples=examples(25))
@given(sharded(), st.sampled_from(["sdpa", "banded", "reference"]))
def test_ranks_together_are_one_process(one: Sharded, backend: str) -> None:
    assert_union(one, backend)


def assert_union(one: Sharded, backend: str = "reference") -> None:
    qkv, alone, bounds = qkv_of(one.case), one.alone(), one.bounds()
    expected = trained(lambda q, k, v: alone(q, k, v, backend="reference"), *qkv)
    found = trained(lambda *x: united(bounds, one.plan, one.permuted, backend, *x), *qkv)
    for one_process, ranks in zip(expected, found, strict=True):
        torch.testing.assert_close(ranks, one_process, rtol=1e-4, atol=1e-4)


def fails(check: Any, one: Sharded) -> bool:
    try:
        check(one)
    except (AssertionError, BindError):
        return True
    return False


def as_it_is(expr: Expr, seq_len: int, bound: Any) -> Expr:
    return expr


def not_moved(runs: Runs, moved: Any, columns: int) -> Runs:
    return runs


@pytest.mark.planted
@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("maskc.scale.whole.of_whole_sequence", as_it_is),
        ("maskc.blocks.moved_keys._relabeled", not_moved),
    ],
)
def test_a_fault_is_caught(target: str, fault: Any) -> None:
    def is_caught(one: Sharded) -> bool:
        with mock.patch(target, fault):
            return fails(assert_parts, one)

    find_fault(sharded(), is_caught)


def united(
    bounds: list[Bound], plan: Plan, permuted: bool, backend: str, q: Tensor, k: Tensor, v: Tensor
) -> Tensor:
    """Return what all ranks give, in the sequence's order."""
    keys = keys_of(plan, permuted)
    parts = [
        bound(q[:, :, rows.long()], k[:, :, keys], v[:, :, keys], backend=backend)
        for bound, rows in zip(bounds, plan.positions, strict=True)
    ]
    return torch.cat(parts, 2)[:, :, plan.positions.flatten().argsort()]


def trained(attend: Any, *qkv: Tensor) -> list[Tensor]:
    """Return the output and the gradients of q, k and v."""
    leaves = [x.clone().requires_grad_() for x in qkv]
    out = attend(*leaves)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    grads = torch.autograd.grad((out * weight).sum(), leaves, materialize_grads=True)
    return [out.detach(), *grads]


@pytest.mark.parametrize("compact", [False, True])
def test_a_walk_over_the_tables_of_all_ranks_trains_as_one_process(compact: bool) -> None:
    """The walk reads the tables by rows of keys, too, which nothing on a CPU does."""
    length, ranks = 96, 4
    doc = torch.repeat_interleave(torch.arange(4), torch.tensor([5, 50, 12, 29]))
    program = compile_mask("causal & same_doc & window(40) & k < 91")
    plan = program.plan(length, ranks, block_size=8, doc=doc)
    every = plan.positions.flatten().long()
    random = torch.Generator().manual_seed(0)
    q, k, v, grad = torch.randn(4, 1, 2, length, 8, dtype=torch.float64, generator=random)
    k, v = (x[:, :, every].requires_grad_() for x in (k, v))
    grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
    for rank, rows in enumerate(plan.positions.long()):
        bound = program.shard(plan, rank, num_heads=2, compact=compact, doc=doc)
        tables, true = bound.block_mask.as_tuple()[2:10], bound.dense_mask()[0]
        own, onto = q[:, :, rows], grad[:, :, rows]
        (bound(own, k, v, backend="reference") * onto).sum().backward()
        with torch.no_grad():
            size = own.shape[-1] ** -0.5
            call = own * size, k, v, true.expand(1, 2, -1, -1), tables, (8, 8)
            out, total = forward(*call)
            torch.testing.assert_close(out, bound(own, k, v, backend="reference"))
            more = backward(*call[:3], out, total, onto, *call[3:])
            grad_k, grad_v = grad_k + more[0], grad_v + more[1]
    torch.testing.assert_close(grad_k, k.grad)
    torch.testing.assert_close(grad_v, v.grad)
