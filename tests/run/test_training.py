"""Bindings in training code: one graph for all steps, kept masks, pickles, microbatches."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils.checkpoint import checkpoint

import maskc

B, H, HKV, S, D = 2, 4, 2, 33, 24
LATE = "input table: float; input gain: float; causal & same_doc; "
LATE += "score = softcap(score * gain[head] + table[head, q - k + 32], 20)"


class Layers(torch.nn.Module):
    """Two layers of attention that share a binding; the tables are theirs."""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(H, 2 * S - 1))
        self.gain = torch.nn.Parameter(torch.rand(H))
        self.backend = backend

    def forward(self, q, k, v, bound):
        for _ in range(2):
            q = bound(q, k, v, table=self.table, gain=self.gain, backend=self.backend)
        return q


def _step(bound, layers, compiled, q, k, v):
    gradients = []
    for run in (compiled, layers):
        out = run(q, k, v, bound)
        gradients.append(torch.autograd.grad(out.square().sum(), [q, k, v, layers.table]))
    return zip(*gradients, strict=True)


@pytest.mark.compiled
def test_one_graph_serves_all_steps_forward_and_backward():
    program = maskc.compile_mask(LATE)
    layers = Layers("sdpa")
    compiled = torch.compile(layers, fullgraph=True, dynamic=False)
    before = counters["stats"]["unique_graphs"]
    for _ in range(3):
        doc = torch.randint(0, 3, (B, S))
        bound = program.bind(
            q_len=S, batch_size=B, num_heads=H, num_kv_heads=HKV, block_size=32, doc=doc
        )
        q, k, v = (torch.randn(B, h, S, D, requires_grad=True) for h in (H, HKV, HKV))
        for ours, theirs in _step(bound, layers, compiled, q, k, v):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] - before == 1


class Block(torch.nn.Module):
    """Grouped-query attention from a hidden state, its bias trained, checkpointed or not."""

    def __init__(self, checkpointed: bool) -> None:
        super().__init__()
        self.to_qkv = torch.nn.Linear(16, (H + 2 * HKV) * D)
        self.slopes = torch.nn.Parameter(torch.rand(H))
        self.checkpointed = checkpointed

    def forward(self, x, bound):
        if self.checkpointed:
            return checkpoint(self.attend, x, bound, use_reentrant=False)
        return self.attend(x, bound)

    def attend(self, x, bound):
        heads = self.to_qkv(x).unflatten(-1, (-1, D)).transpose(1, 2)
        q, k, v = (part.contiguous() for part in heads.split([H, HKV, HKV], dim=1))
        return bound(q, k, v, slopes=self.slopes, backend="sdpa")


BLOCK = "input n: int; input cap: float; causal & same_doc & q - k < n; "
BLOCK += "score = softcap(score + alibi, cap)"


def block_gradients(block, run, x, bound, autocast):
    block.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        run(x, bound).float().square().mean().backward()
    return [parameter.grad.clone() for parameter in block.parameters()]


@pytest.mark.parametrize(
    ("checkpointed", "autocast", "dtype"),
    [
        pytest.param(False, False, torch.float32, marks=pytest.mark.compiled),
        pytest.param(True, False, torch.float32, marks=pytest.mark.compiled),
        pytest.param(False, True, torch.float32, marks=pytest.mark.compiled),
        pytest.param(True, False, torch.bfloat16, marks=pytest.mark.compiled),
    ],
    ids=["plain", "checkpointed", "autocast", "bfloat16"],
)
def test_new_documents_and_numbers_each_step_compile_nothing(checkpointed, autocast, dtype):
    torch.manual_seed(0)
    torch.compiler.reset()
    block, program = Block(checkpointed).to(dtype), maskc.compile_mask(BLOCK)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    before = counters["stats"]["unique_graphs"]
    for step in range(3):
        numbers = {"n": 7 + step, "cap": 1.0 / (step + 1)}
        doc = torch.randint(0, 3, (B, S))
        bound = program.bind(
            q_len=S, batch_size=B, num_heads=H, num_kv_heads=HKV, doc=doc, **numbers
        )
        x = torch.randn(B, S, 16, dtype=dtype)
        ours = block_gradients(block, compiled, x, bound, autocast)
        theirs = block_gradients(block, block, x, bound, autocast)
        tolerance = 1e-5 if dtype is torch.float32 and not autocast else 2e-2
        for found, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
        assert all(gradient.abs().max() > 0 for gradient in ours)
    assert counters["stats"]["unique_graphs"] - before == 1


@pytest.mark.compiled
def test_each_length_compiles_once_with_inputs_of_the_call():
    torch.compiler.reset()
    block, program = Block(checkpointed=False), maskc.compile_mask(BLOCK)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    before = counters["stats"]["unique_graphs"]
    for length in (33, 20, 33):
        doc = torch.randint(0, 3, (B, length))
        bound = program.bind(
            q_len=length, batch_size=B, num_heads=H, num_kv_heads=HKV, doc=doc, n=9, cap=2.0
        )
        x = torch.randn(B, length, 16)
        ours = block_gradients(block, compiled, x, bound, autocast=False)
        theirs = block_gradients(block, block, x, bound, autocast=False)
        for found, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] - before == 2


def test_late_inputs_that_only_tensors_tell_to_be_safe_are_refused_in_a_trace():
    program = maskc.compile_mask("input t: float; input at: int; score = score + t[at[q]]")
    bound = program.bind(q_len=S, at=torch.arange(S))

    @torch.compile(fullgraph=True)
    def attend(q, t):
        return bound(q, q, q, t=t)

    with pytest.raises(Exception, match="M508"):
        attend(torch.randn(1, 1, S, D), torch.randn(S))


def test_structural_masks_are_kept_and_others_are_not():
    window = maskc.compile_mask("causal & window(5)")
    first, second = (window.bind(q_len=S, block_size=8) for _ in range(2))
    assert first.block_mask is second.block_mask
    documents = maskc.compile_mask("causal & same_doc")
    doc = torch.zeros(S, dtype=torch.int64)
    before = documents.bind(q_len=S, block_size=8, doc=doc).tiles
    doc[20:] = 1
    assert documents.bind(q_len=S, block_size=8, doc=doc).tiles != before


@pytest.mark.parametrize("text", ["causal & same_doc", "doc[q] == doc[k] | k < q - 9", "prefix"])
def test_a_block_mask_follows_its_tensors(text):
    program = maskc.compile_mask(text)
    inputs = {"doc": torch.arange(S) // 12, "prefix_len": torch.tensor([4])}
    given = {declared.name: inputs[declared.name] for declared in program.inputs}
    bound = program.bind(q_len=S, block_size=8, **given)
    kept = bound.block_mask
    assert bound.block_mask is kept
    for tensor in given.values():
        tensor.copy_(tensor.flip(0) * 3 % 7 + 5)
    fresh = program.bind(q_len=S, block_size=8, **given)
    assert bound.block_mask is not kept
    for table in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "q_num_blocks"):
        assert torch.equal(getattr(bound.block_mask, table), getattr(fresh.block_mask, table))
    assert bound.tiles == fresh.tiles
    q, k = torch.arange(S)[:, None], torch.arange(S)
    zero = torch.tensor(0)
    seen = bound.block_mask.mask_mod(zero, zero, q, k)
    assert torch.equal(seen.expand(S, S), bound.dense_mask()[0, 0])


def test_a_pickled_binding_keeps_the_block_mask_it_has_built():
    program = maskc.compile_mask("causal & same_doc")
    bound = program.bind(q_len=S, batch_size=B, doc=torch.randint(0, 3, (B, S)), block_size=8)
    built = bound.block_mask
    again = pickle.loads(pickle.dumps(bound))
    assert again._state.blocks.built is not None
    assert torch.equal(again.block_mask.kv_num_blocks, built.kv_num_blocks)
    assert torch.equal(again.dense_mask(), bound.dense_mask())


@pytest.mark.parametrize("text", ["causal & same_doc", "prefix", "doc[q] == doc[k] | k < q"])
def test_a_microbatch_is_the_same_as_those_batches(text):
    program = maskc.compile_mask(text)
    inputs = {"doc": torch.randint(0, 3, (4, S)), "prefix_len": torch.randint(0, S, (4,))}
    given = {declared.name: inputs[declared.name] for declared in program.inputs}
    bound = program.bind(q_len=S, batch_size=4, q_offset=torch.tensor([0, 0, 0, 0]), **given)
    part = bound.batches(1, 3)
    assert torch.equal(part.dense_mask().expand(2, -1, -1, -1), bound.dense_mask()[1:3])


def test_a_microbatch_of_a_program_that_computes_with_the_batch_is_refused():
    bound = maskc.compile_mask("batch == 1").bind(q_len=3, batch_size=2)
    with pytest.raises(maskc.LoweringError, match="M509"):
        bound.batches(0, 1)
    with pytest.raises(maskc.BindError, match="M432"):
        bound.batches(1, 3)
