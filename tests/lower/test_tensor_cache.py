"""Kept masks are those that would be made again, whatever happened to what they read."""

from __future__ import annotations

import pytest
import torch
from calls import module_rows_of
from environments import environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import Words, modules
from torch import Tensor

import maskc
from maskc.ir.nodes import Module
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower import sdpa
from maskc.lower.plan import Plan, facts
from maskc.lower.tensor_cache import TensorCache

S = 9
DOCUMENTS = maskc.compile_mask("causal & same_doc")
ALIBI = maskc.compile_mask("causal & same_doc; score = score + alibi")


def plan_of(module: Module, domain: Domain, kept: TensorCache) -> Plan:
    return Plan(module, domain, facts(module.score, module.out), kept=kept)


def change(data: st.DataObject, tensor: Tensor) -> None:
    """Change elements in place, by one of the ways that torch counts."""
    other = ~tensor if tensor.dtype is torch.bool else tensor + data.draw(st.sampled_from([1, -2]))
    match data.draw(st.sampled_from(["whole", "alias", "element"])):
        case "whole":
            tensor.copy_(other)
        case "alias":
            tensor.detach()[...] = other
        case _:
            place = tuple(data.draw(st.integers(0, size - 1)) for size in tensor.shape)
            tensor[place] = other[place]


@given(st.data(), modules(depth=2, words=Words(axes=())))
def test_a_kept_mask_is_never_stale(data: st.DataObject, module: Module) -> None:
    case = data.draw(environments(module, positions=True))
    rows, domain = module_rows_of(module, case)
    kept = TensorCache(tuple(domain.tensors.values()))
    sizes = domain.sizes
    q = torch.randn(sizes[Sz.BATCH_SIZE], sizes[Sz.NUM_HEADS], sizes[Sz.Q_LEN], 3)
    k = torch.randn(sizes[Sz.BATCH_SIZE], sizes[Sz.NUM_KV_HEADS], sizes[Sz.KV_LEN], 3)
    for _ in range(3):
        found = sdpa.attn_mask(plan_of(rows, domain, kept), q, k)
        expected = sdpa.attn_mask(plan_of(rows, domain, TensorCache()), q, k)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert torch.equal(found.nan_to_num(7), expected.nan_to_num(7))
        for tensor in domain.tensors.values():
            if data.draw(st.booleans()):
                change(data, tensor)


def mask_of(bound: maskc.Bound) -> Tensor:
    mask = bound.sdpa_args()["attn_mask"]
    assert mask is not None
    return mask


@pytest.mark.parametrize("text", ["causal & same_doc", "causal & same_doc; score = score + alibi"])
def test_layers_share_a_mask_until_its_tensors_change(text: str) -> None:
    program = maskc.compile_mask(text)
    inputs = {"doc": torch.arange(S) // 3, "slopes": torch.ones(2)}
    given = {declared.name: inputs[declared.name] for declared in program.inputs}
    bound = program.bind(q_len=S, num_heads=2, **given)
    first = mask_of(bound)
    assert mask_of(bound) is first
    inputs["doc"][4:] = 7
    second = mask_of(bound)
    assert not torch.equal(first, second)
    assert torch.equal(second, mask_of(program.bind(q_len=S, num_heads=2, **given)))


def test_a_mask_that_its_taker_changed_is_made_again() -> None:
    bound = DOCUMENTS.bind(q_len=S, doc=torch.arange(S) // 3)
    mask = mask_of(bound)
    expected = mask.clone()
    mask.logical_not_()
    assert torch.equal(mask_of(bound), expected)


def test_a_gradient_flows_to_a_bias_in_every_layer() -> None:
    slopes = torch.ones(2, requires_grad=True)
    bound = ALIBI.bind(q_len=S, num_heads=2, doc=torch.arange(S) // 3, slopes=slopes)
    with torch.no_grad():
        mask_of(bound)
    for _ in range(2):
        masked = mask_of(bound)
        (gradient,) = torch.autograd.grad(masked[masked.isfinite()].sum(), slopes)
        assert gradient.abs().min() > 0


def test_what_the_call_gives_is_not_kept() -> None:
    bound = ALIBI.bind(q_len=S, num_heads=2, doc=torch.arange(S) // 3)
    slopes = torch.ones(2)
    first = bound.sdpa_args(slopes=slopes)["attn_mask"]
    slopes.data.mul_(2)  # as sharded training does, past torch's count
    assert not torch.equal(bound.sdpa_args(slopes=slopes)["attn_mask"], first)


def test_no_mode_reads_the_mask_of_another() -> None:
    bound = DOCUMENTS.bind(q_len=S, doc=torch.arange(S) // 3)
    with torch.inference_mode():
        assert mask_of(bound).is_inference()
    assert not mask_of(bound).is_inference()
    with torch.inference_mode():
        doc = torch.arange(S) // 3
        bound = DOCUMENTS.bind(q_len=S, doc=doc)
        first = mask_of(bound)
        doc[4:] = 1  # torch counts no change of an inference tensor
        assert not torch.equal(mask_of(bound), first)


def test_other_dtypes_of_q_get_masks_of_their_own() -> None:
    bound = ALIBI.bind(q_len=S, num_heads=2, doc=torch.arange(S) // 3, slopes=[1, 2])
    for dtype in (torch.float64, torch.float32, torch.float64):
        q = torch.zeros(1, 2, S, 4, dtype=dtype)
        assert bound.sdpa_args(q, q)["attn_mask"].dtype is dtype
