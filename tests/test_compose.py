"""Masks made of masks, and equality at given sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from environments import environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import Words, masks

import maskc
from maskc import compose
from maskc.ir.nodes import OUT, SCORE, Expr, Module

compile_mask = maskc.compile_mask
PLAIN = Words(loads=True, topk=False)


@given(st.data(), masks(2, PLAIN), masks(2, PLAIN))
def test_composed_masks_mean_what_their_parts_mean(
    data: st.DataObject, one: Expr, two: Expr
) -> None:
    case = data.draw(environments(one, two))
    first, second = Module(one, SCORE, OUT), Module(two, SCORE, OUT)
    values = case.matrix(one), case.matrix(two)
    assert torch.equal(case.matrix(compose.both(first, second).mask), values[0] & values[1])
    assert torch.equal(case.matrix(compose.either(first, second).mask), values[0] | values[1])
    assert torch.equal(case.matrix(compose.opposite(first).mask), ~values[0])


def test_programs_compose() -> None:
    causal, near = compile_mask("causal"), compile_mask("window(5)")
    assert causal & near == compile_mask("causal & window(5)")
    assert causal | near == compile_mask("causal | window(5)")
    assert ~causal == compile_mask("q < k")
    capped = compile_mask("causal; score = softcap(score, 30); out = out * 2.0")
    assert capped.masked_by("valid[k]") == compile_mask(
        "causal & valid[k]; score = softcap(score, 30); out = out * 2.0"
    )
    assert capped.masked_by(near).masked_by("full") == capped.masked_by("window(5)")
    both = compile_mask("causal", empty_rows="all").masked_by("window(5)")
    assert both.empty_rows == "all"


def test_a_text_stands_for_its_program() -> None:
    causal = compile_mask("causal")
    assert causal & "window(5)" == causal & compile_mask("window(5)")
    assert causal | "window(5)" == causal | compile_mask("window(5)")
    assert causal.equivalent("k <= q").equal is True
    with pytest.raises(maskc.MaskSyntaxError):
        causal.equivalent("k <=")


@pytest.mark.parametrize("other", [3, None, lambda b, h, q, k: q >= k])
def test_what_is_no_program_is_refused(other: Any) -> None:
    causal = compile_mask("causal")
    for use in (causal.equivalent, causal.__and__, causal.__or__, causal.masked_by):
        with pytest.raises(maskc.MaskTypeError, match=r"M232.*expected a program or its text"):
            use(other)


GRID = "axis h = 4, w = 4; same_line(h)"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("score = score * 2.0", "causal", "error[M232]: `&` takes masks, found a program with a s"),
        ("causal", "out = out * 2.0", "error[M232]: `&` takes masks, found a program with an epi"),
        (GRID, "axis h = 8, w = 4; same_line(h)", "error[M313]: the programs declare two"),
        (GRID, "axis h = 4, w = 4 from 1; same_line(w)", "error[M313]: the programs declare two"),
        ("input x: int; x[q] == 3", "input x: bool; x[q]", "error[M313]: input `x` has two types"),
    ],
)  # fmt: skip
def test_what_does_not_compose(first: str, second: str, message: str) -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        _ = compile_mask(first) & compile_mask(second)
    assert str(caught.value).startswith(message)
    assert caught.value.help


def test_policies_of_empty_rows_do_not_mix() -> None:
    with pytest.raises(maskc.MaskNameError, match="M314"):
        _ = compile_mask("causal", empty_rows="all") & compile_mask("window(5)")


def test_equality_at_sizes() -> None:
    window = compile_mask("window(8)")
    narrow = compile_mask("abs(q - k) <= 6")
    assert window.equivalent(narrow, sizes={"q_len": 7}).equal is True
    assert str(window.equivalent(narrow, sizes={"q_len": 7})) == (
        "equal: at every pair of calls with batch_size = 1, num_heads = 1, num_kv_heads = 1, "
        "q_len = 7, kv_len = 7"
    )
    found = window.equivalent(narrow, sizes={"q_len": 8})
    assert found.equal is False
    assert {found.at.q_idx, found.at.kv_idx} == {0, 7}
    assert window.equivalent(narrow).equal is False


def test_equality_at_sizes_with_inputs_is_never_claimed() -> None:
    one = compile_mask("doc[q] == doc[k]")
    assert one.equivalent(compile_mask("same_doc"), sizes={"q_len": 9}).equal is True
    other = compile_mask("doc[q] == doc[k] & doc[q] < 4000")
    assert one.equivalent(other, sizes={"q_len": 9}).equal is None
    assert one.equivalent(compile_mask("doc[q] > doc[k]"), sizes={"q_len": 9}).equal is False


def test_equality_at_sizes_of_scores() -> None:
    one, two = (compile_mask(f"score = score + {what}") for what in ("q // 4", "0 * q"))
    assert one.equivalent(two, sizes={"q_len": 4}).equal is True
    assert one.equivalent(two, sizes={"q_len": 5}).equal is False


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"kv_len": 4}, "needs `q_len`"), ({"q": 4}, "has no `q`"), ({"q_len": 0}, "no positive int")],
)
def test_sizes_that_are_none(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(maskc.BindError, match=message):
        compile_mask("causal").equivalent(compile_mask("full"), sizes=sizes)
