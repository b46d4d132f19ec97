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
from maskc.lower.codegen.mods import MaskMod


@given(data=st.data(), mask=masks(words=Words()))
def test_sides_keep_the_meaning(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask, positions=True))
    rows, domain = rows_of(mask, case)
    found = vectorize(sides(rows), everywhere(domain), domain)
    assert torch.equal(*torch.broadcast_tensors(found, case.matrix(mask)))


def test_a_band_compares_indices() -> None:
    source = compile_mask("causal & window(512)").emit()
    assert "kv_idx <= q_idx" in source
    assert "q_idx - 512 < kv_idx" in source
    assert "0 <=" not in source


COMPARISONS = ["==", "!=", "<=", "<", ">=", ">"]


def matrix(mask: MaskMod, q_len: int, kv_len: int) -> torch.Tensor:
    zero, q, k = torch.zeros((), dtype=int), torch.arange(q_len)[:, None], torch.arange(kv_len)
    return mask(zero, zero, q, k).expand(q_len, kv_len)


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("step", [1, 3, 64])
def test_quotients_bound_the_key(op: str, step: int) -> None:
    texts = [f"q // {step} {op} k // {step}", f"(k - 5) // {step} {op} (q - 7) // {step}"]
    for text in texts:
        mask = compile_mask(text).bind(q_len=9, kv_len=11).mask_mod
        rows = {"q": torch.arange(9)[:, None], "k": torch.arange(11)}
        assert torch.equal(matrix(mask, 9, 11), eval(text, rows))
        assert "kv_idx //" not in mask.source
        assert "kv_idx - 5) //" not in mask.source


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("text", ["q - k {} 3", "k - q {} 3", "-3 {} q - k", "2 {} k - q"])
@pytest.mark.parametrize("positions", ["rows", "offset", "table"])
def test_a_distance_moves_the_query(op: str, text: str, positions: str) -> None:
    text = text.format(op)
    q, k = torch.tensor([4, 5, 6, 7]), torch.arange(9)
    given = {"rows": {}, "offset": {"q_offset": 4}, "table": {"q_positions": q.int()}}[positions]
    mask = compile_mask(text).bind(q_len=4, kv_len=9, **given).mask_mod
    q = torch.arange(4) if positions == "rows" else q
    assert torch.equal(matrix(mask, 4, 9), eval(text, {"q": q[:, None], "k": k}))
    assert positions == "table" or "- kv_idx" not in mask.source


NO_LIMIT = 2**31 - 1


@pytest.mark.parametrize("op", COMPARISONS)
@pytest.mark.parametrize("text", ["k // 10 {} n[q] // 10", "k // 64 {} n[q] // 64"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_the_largest_int_does_not_wrap(op: str, text: str, dtype: torch.dtype) -> None:
    text = text.format(op)
    n = torch.tensor([3, NO_LIMIT, 70])
    mask = compile_mask(f"input n: int; {text}").bind(q_len=3, kv_len=99, n=n.to(dtype)).mask_mod
    expected = eval(text, {"n": n, "q": torch.arange(3)[:, None], "k": torch.arange(99)})
    assert torch.equal(matrix(mask, 3, 99), expected)


@pytest.mark.parametrize("text", ["k - q < 5", "k // 10 <= q // 10", "q - k < 5"])
def test_the_largest_position_does_not_wrap(text: str) -> None:
    q, k = torch.tensor([3, NO_LIMIT, 70]), torch.arange(99)
    mask = compile_mask(text).bind(q_len=3, kv_len=99, q_positions=q.int()).mask_mod
    assert torch.equal(matrix(mask, 3, 99), eval(text, {"q": q[:, None], "k": k}))


def test_a_divisor_that_could_leave_32_bits_stays() -> None:
    assert "kv_idx >> 21" in compile_mask("q // 2**21 == k // 2**21").emit()


def test_inputs_keep_their_order() -> None:
    program = compile_mask("input one: int; input two: int; 0 <= one[q] - two[k]")
    one, two = torch.tensor([3, 0, 2]), torch.tensor([1, 2, 3])
    mask_mod = program.bind(q_len=3, one=one, two=two).mask_mod
    assert torch.equal(matrix(mask_mod, 3, 3), two[None] <= one[:, None])
