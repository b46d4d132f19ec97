"""Selections are what the evaluator says they are, in whatever form they are kept."""

from __future__ import annotations

import pytest
import torch
from environments import Case
from hypothesis import given
from hypothesis import strategies as st

import maskc
from maskc.program import Program
from maskc.run.bound import Bound

DECLARED = """
input key: float
input deep: float
input table: float
input valid: bool
input doc: int
input lengths: int
"""
VALUES = [
    "key[kv_head, k]",
    "key[kv_head, k] * (1 + head)",
    "deep[head, q, k]",
    "table[q // 3, k // 3]",
    "table[0, k // 3]",
    "doc[k]",
    "-k",
    "1.0",
]
WHERES = [
    "true",
    "false",
    "causal",
    "causal_lower_right",
    "window(3)",
    "valid[k]",
    "causal & valid[k]",
    "causal & doc[q] == doc[k]",
    "doc[q] == doc[k]",
    "k < lengths[batch]",
    "chunked(4) & head % 2 == 0",
    "(q - k) % 2 == 0",
    "causal & (k < 2 | q - k < 3) & valid[k]",
    "deep[head, q, k] > 0",
]
SIZES = [1, 2, 3, 5, 7, 9, 13]


@st.composite
def calls(draw: st.DrawFn) -> tuple[Program, Case]:
    """Draw a selection, and tensors for it whose values tie often."""
    where = " & ".join(draw(st.lists(st.sampled_from(WHERES), min_size=1, max_size=2)))
    selection = (
        f"topk({draw(st.sampled_from(VALUES))}, {draw(st.integers(1, 15))}, where = {where})"
    )
    around = draw(st.sampled_from(["{}", "{} & causal", "!{}", "{} | k == 0"]))
    program = maskc.compile_mask(DECLARED + around.format(selection))
    batch, heads, groups = draw(st.tuples(*(st.sampled_from([1, 2]) for _ in range(3))))
    queries, keys = draw(st.tuples(st.sampled_from(SIZES), st.sampled_from(SIZES)))
    long = max(queries, keys)
    torch.manual_seed(draw(st.integers(0, 2**16)))
    values = {
        "key": torch.randint(-2, 3, (batch, heads, long)).to(torch.bfloat16),
        "deep": torch.randint(-1, 2, (batch, heads * groups, queries, keys)).to(torch.float16),
        "table": torch.randint(-2, 3, (long, long)).float(),
        "valid": torch.rand(batch, long) < 0.7,
        "doc": torch.randint(0, 3, (batch, long)).sort().values,
        "lengths": torch.randint(0, long + 1, (batch,)),
    }
    inputs = {declared.name: values[declared.name] for declared in program.inputs}
    return program, Case(batch, heads * groups, heads, queries, keys, inputs)


@given(calls())
def test_a_selection_is_what_the_evaluator_selects(call: tuple[Program, Case]) -> None:
    program, case = call
    found = program.bind(**case.sizes, **case.inputs).dense_mask()
    expected = case.matrix(program.written.mask)
    assert torch.equal(found.expand_as(expected), expected)


@pytest.mark.parametrize(
    "where",
    [
        "causal & doc[q] == doc[k]",
        "doc[q] == doc[k]",
        "causal & (k < 20 | q - k < 30)",
        "dilated(99, 3)",
    ],
)
@pytest.mark.parametrize("count", [1, 40, 97, 200])
def test_many_keys_are_looked_at_some_at_a_time(
    where: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Odd chunks of every step, against a stable sort of each row."""
    monkeypatch.setattr("maskc.topk.query_rows.LEAST_BYTES", 20_000)
    monkeypatch.setattr("maskc.topk.query_rows.MOST_BYTES", 20_000)
    size, heads = 131, 6
    torch.manual_seed(0)
    bias = torch.randn(2, 3, size).to(torch.bfloat16)
    doc = torch.randint(0, 2, (2, size)).sort().values
    program = maskc.compile_mask(
        f"input doc: int\ninput bias: float\ntopk(bias[kv_head, k], {count}, where = {where})"
    )
    bound = program.bind(**_sizes(size, heads, 3), **_used(program, doc=doc, bias=bias))
    allowed = maskc.compile_mask(f"input doc: int\n{where}")
    inside = allowed.bind(**_sizes(size, heads, 3), **_used(allowed, doc=doc)).dense_mask()
    values = bias.repeat_interleave(2, dim=1)[:, :, None].float().expand(2, heads, size, size)
    order = values.masked_fill(~inside, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    expected = torch.zeros(2, heads, size, size, dtype=torch.bool)
    expected.scatter_(-1, order[..., :count], value=True)
    assert torch.equal(bound.dense_mask(), expected & inside)


def test_a_selection_without_where_keeps_one_boolean_for_each_key() -> None:
    bound = _bias_bound("topk(bias[kv_head, k], 5)")
    assert _kept(bound) == {"keep": ((2, 4, 32), torch.bool)}
    assert bound.attn_mask().shape == (2, 4, 1, 32)


def test_a_selection_for_each_query_keeps_a_rank_for_each_key_and_a_limit_for_each_query() -> None:
    bound = _bias_bound("topk(bias[kv_head, k], 5, where = causal)")
    assert _kept(bound) == {
        "rank": ((2, 4, 32), torch.int32),
        "last": ((2, 4, 32), torch.int32),
    }


def test_a_comparison_of_a_bias_selects_without_any_tensor_of_its_own() -> None:
    bound = _bias_bound("bias[kv_head, k] > 0 & causal")
    assert _kept(bound) == {}
    assert bound.attn_mask().shape == (2, 4, 32, 32)


def test_blocks_are_selected_by_their_scores() -> None:
    """Each block of queries takes the two best blocks of keys; a block's keys tie."""
    torch.manual_seed(0)
    scores = torch.randn(2, 4, 4)
    program = maskc.compile_mask("input t: float\ntopk(t[q // 64, k // 64], 128)")
    bound = program.bind(q_len=256, batch_size=2, t=scores)
    best = torch.zeros(2, 4, 4, dtype=torch.bool)
    best.scatter_(-1, scores.topk(2, dim=-1).indices, value=True)
    expected = best.repeat_interleave(64, dim=1).repeat_interleave(64, dim=2)
    assert torch.equal(bound.dense_mask()[:, 0], expected)
    bound = program.bind(q_len=256, batch_size=2, block_size=64, t=scores)
    assert (bound.tiles.full, bound.tiles.partial) == (2 * 4 * 2, 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_gradients_are_finite_and_reach_the_bias_through_the_score_alone(
    dtype: torch.dtype, backend: str
) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 33, 16, dtype=dtype).unbind()
    bias = torch.randn(2, 4, 33).to(dtype).requires_grad_()
    selection = "input bias: float\ntopk(bias[kv_head, k], 7, where = causal) & causal"
    both = maskc.compile_mask(f"{selection}; score = score + bias[kv_head, k]")
    both(q, k, v, bias=bias, backend=backend).square().sum().backward()
    assert bias.grad.isfinite().all()
    assert bias.grad.any()
    score_only = maskc.compile_mask(
        "input keep: bool; input bias: float; keep[head, q, k]; score = score + bias[kv_head, k]"
    )
    keep = maskc.compile_mask(selection).bind(**_sizes(33, 4, 4), bias=bias.detach()).dense_mask()
    other = bias.detach().requires_grad_()
    score_only(q, k, v, bias=other, keep=keep, backend=backend).square().sum().backward()
    assert torch.equal(bias.grad, other.grad)


def test_a_selection_alone_gives_its_values_no_gradient() -> None:
    bias = torch.randn(2, 4, 33, requires_grad=True)
    q = torch.randn(2, 4, 33, 16, requires_grad=True)
    program = maskc.compile_mask("input bias: float\ntopk(bias[kv_head, k], 7, where = causal)")
    out = program(q, q, q, bias=bias)
    assert torch.autograd.grad(out.sum(), bias, allow_unused=True) == (None,)


@pytest.mark.compiled
@pytest.mark.parametrize("where", ["true", "causal"])
def test_compiled_flex_selects_the_same_keys(where: str) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, heads, 160, 32, dtype=torch.bfloat16) for heads in (4, 2, 2))
    bias = torch.randint(-3, 4, (2, 2, 160)).to(torch.bfloat16)
    program = maskc.compile_mask(
        f"input bias: float\ntopk(bias[kv_head, k], 33, where = {where}) & causal\n"
        "score = score + bias[kv_head, k]"
    )
    flex = program(q, k, v, bias=bias, backend="flex")
    expected = program(*(x.double() for x in (q, k, v)), bias=bias, backend="reference")
    torch.testing.assert_close(flex.double(), expected, atol=2e-2, rtol=0)


def _bias_bound(text: str) -> Bound:
    program = maskc.compile_mask(f"input bias: float\n{text}")
    return program.bind(**_sizes(32, 4, 2), bias=torch.randn(2, 2, 32))


def _sizes(length: int, heads: int, kv_heads: int) -> dict[str, int]:
    return {"q_len": length, "batch_size": 2, "num_heads": heads, "num_kv_heads": kv_heads}


def _used(program: Program, **values: torch.Tensor) -> dict[str, torch.Tensor]:
    return {one.name: values[one.name] for one in program.inputs}


def _kept(bound: Bound) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and type of the tensors that selections made."""
    tensors = bound._state.mask.domain.tensors
    made = {name.partition("@")[2]: x for name, x in tensors.items() if "@" in name}
    return {name: (tuple(x.shape), x.dtype) for name, x in made.items()}
