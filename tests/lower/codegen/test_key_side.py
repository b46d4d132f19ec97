"""Comparisons of a difference and 0 are written as one of two sides, and mean the same."""

import pytest
import torch
from calls import rows_of
from environments import Case, environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import Words, masks

from maskc import compile_mask
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import everywhere, vectorize
from maskc.lower.codegen.key_side import sides


@given(data=st.data(), mask=masks(words=Words()))
def test_sides_keep_the_meaning(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask))
    rows, domain = rows_of(mask, case)
    found = vectorize(sides(rows), everywhere(domain), domain)
    assert torch.equal(*torch.broadcast_tensors(found, case.matrix(mask)))


def test_a_band_compares_indices() -> None:
    source = compile_mask("causal & window(512)").emit()
    assert "kv_idx <= q_idx" in source
    assert "q_idx - kv_idx < 512" in source
    assert "0 <=" not in source


QUOTIENTS = ["==", "!=", "<=", "<", ">=", ">"]


@pytest.mark.parametrize("op", QUOTIENTS)
@pytest.mark.parametrize("step", [1, 3, 64])
def test_quotients_bound_the_key(op: str, step: int) -> None:
    texts = [f"q // {step} {op} k // {step}", f"(k - 5) // {step} {op} (2 * q - 7) // {step}"]
    for text in texts:
        mask = compile_mask(text).bind(q_len=9, kv_len=11).mask_mod
        q, k = torch.arange(9)[:, None], torch.arange(11)
        expected = eval(text)
        found = mask(q.new_zeros(()), q.new_zeros(()), q, k)
        assert torch.equal(found.expand(9, 11), expected)
        assert "kv_idx //" not in mask.source
        assert "kv_idx - 5) //" not in mask.source


def test_a_divisor_that_could_leave_32_bits_stays() -> None:
    assert "kv_idx >> 21" in compile_mask("q // 2**21 == k // 2**21").emit()


def test_inputs_keep_their_order() -> None:
    program = compile_mask("input one: int; input two: int; 0 <= one[q] - two[k]")
    one, two = torch.tensor([3, 0, 2]), torch.tensor([1, 2, 3])
    mask_mod = program.bind(q_len=3, one=one, two=two).mask_mod
    index = torch.arange(3)
    found = mask_mod(index.new_zeros(()), index.new_zeros(()), index[:, None], index[None])
    assert torch.equal(found, two[None] <= one[:, None])
