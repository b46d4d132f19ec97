"""Bindings in training code: one graph for all steps, kept masks, pickles, microbatches."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch._dynamo.utils import counters

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


def test_a_pickled_binding_keeps_the_block_mask_it_has_built():
    program = maskc.compile_mask("causal & same_doc")
    bound = program.bind(q_len=S, batch_size=B, doc=torch.randint(0, 3, (B, S)), block_size=8)
    built = bound.block_mask
    again = pickle.loads(pickle.dumps(bound))
    assert "block_mask" in vars(again)
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
    with pytest.raises(maskc.BindError, match="M427"):
        bound.batches(1, 3)
