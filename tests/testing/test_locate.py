"""The place of an error names the query, the key whose weight is off, and their tokens."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from maskc import Program, compile_mask
from maskc.testing import Place, Report, diff, random_qkv


class Swapped:
    """A program whose sdpa backend runs another one."""

    def __init__(self, right: Program, wrong: Program, **other: Any) -> None:
        self._right = right
        self._wrong = wrong
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._right, name)

    def __call__(self, q: Any, k: Any, v: Any, backend: str, **keywords: Any) -> torch.Tensor:
        if backend != "sdpa":
            return self._right(q, k, v, backend=backend, **keywords)
        return self._wrong(q, k, v, backend=backend, **{**keywords, **self._other})


def sizes(q_len: int, kv_len: int, batch: int = 1, heads: int = 1) -> dict[str, int]:
    counts = {"batch_size": batch, "num_heads": heads, "num_kv_heads": heads}
    return {**counts, "q_len": q_len, "kv_len": kv_len}


def compared(right: str, wrong: str, shape: dict[str, int], **inputs: Any) -> Report:
    qkv = random_qkv(shape, 4, "float32", torch.Generator().manual_seed(0))
    pair = compile_mask(right), compile_mask(wrong)
    return diff(Swapped(*pair), *qkv, backends="sdpa", gradients=False, **inputs)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_a_flipped_pair_is_found(data: st.DataObject) -> None:
    counts = {name: data.draw(st.integers(1, most)) for name, most in (("B", 2), ("H", 2))}
    shape = sizes(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 11)), *counts.values())
    table = (counts["B"], counts["H"], shape["q_len"], shape["kv_len"])
    seed = data.draw(st.integers(0, 99))
    allowed = torch.rand(table, generator=torch.Generator().manual_seed(seed)) < 0.5
    at = tuple(data.draw(st.integers(0, size - 1)) for size in table)
    flipped = allowed.clone()
    flipped[at] = ~flipped[at]
    program = compile_mask("input allowed: bool; allowed[batch, head, q, k]")
    qkv = random_qkv(shape, 4, "float32", torch.Generator().manual_seed(seed))
    wrong = Swapped(program, program, allowed=flipped)
    report = diff(wrong, *qkv, backends=("sdpa", "reference"), gradients=False, allowed=allowed)
    place = report["sdpa"].worst
    assert (place.batch, place.head, place.q, place.k) == at
    assert (place.expected == 0) == (not allowed[at])
    assert (place.weight == 0) == (not flipped[at])
    right = report["reference"].worst
    if right is None:
        assert report["reference"].max_error == 0
        return
    assert right.weight is None
    assert (right.k is None) == (not allowed[right.batch, right.head, right.q].any())


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_tokens_are_named(dtype: torch.dtype) -> None:
    doc = torch.tensor([[0, 0, 0, 1, 1, 7], [0, 0, 0, 0, 0, 0]], dtype=dtype)
    shape = sizes(6, 6, batch=2)
    program = compile_mask("same_doc & valid_keys"), compile_mask("0 * doc[q] == 0 & valid_keys")
    qkv = random_qkv(shape, 4, "float32", torch.Generator().manual_seed(0))
    # only batch 0 has tokens of two documents
    valid = torch.tensor([True, True, True, True, True, False])
    report = diff(Swapped(*program), *qkv, backends="sdpa", gradients=False, doc=doc, valid=valid)
    place = report["sdpa"].worst
    assert place.batch == 0
    q_doc, k_doc = int(doc[0, place.q]), int(doc[0, place.k])
    assert q_doc != k_doc
    assert place.tokens == {"doc": (q_doc, k_doc), "valid": (None, True)}
    assert f"instead of 0, valid[k] true, doc {q_doc} / {k_doc}" in str(report)


def test_tokens_are_those_of_positions_and_pairs() -> None:
    doc = torch.tensor([5, 5, 6, 6, 7, 7])
    text, wrong = "doc[q] == doc[k]; input doc: int", "doc[q] - 1 <= doc[k]; input doc: int"
    whole = compared(text, wrong, sizes(2, 6), doc=doc, q_offset=4)["sdpa"].worst
    assert whole.tokens == {"doc": (7, 6)}
    assert doc[whole.k] == 6
    pair = compared(text, wrong, sizes(2, 6), doc=(doc[4:], doc))["sdpa"].worst
    assert pair == whole
    positions = torch.tensor([4, 5])
    assert compared(text, wrong, sizes(2, 6), doc=doc, q_positions=positions)["sdpa"].worst == whole


def test_an_input_of_another_kind_is_no_token() -> None:
    text = "q - k < n & t[q, k] > 0 & q < m[head]; input n: int; input t: int; input m: int"
    tables = {"n": torch.tensor(3), "t": torch.ones(4, 4).int(), "m": torch.tensor([9])}
    report = compared(text, text, sizes(4, 4), **tables)
    assert report["sdpa"].worst.tokens == {}


def test_the_weights_of_an_epilogue_do_not_show() -> None:
    right = "causal; out = out * 2.0"
    place = compared(right, "causal & window(1); out = out * 2.0", sizes(5, 5))["sdpa"].worst
    assert place.weight is None
    assert place.k is not None


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place(0, 1, 2), "batch 0, head 1, q 2, which has no key"),
        (Place(0, 1, 2, 3, expected=0.25), "batch 0, head 1, q 2, k 3 of weight 0.25"),
        (
            Place(0, 1, 2, 3, 0.5, 0.0, {"doc": (3, 2), "ok": (None, False), "n": (4, None)}),
            "batch 0, head 1, q 2, k 3 of weight 0.5 instead of 0, doc 3 / 2, ok[k] false, n[q] 4",
        ),
    ],
)
def test_a_place_as_text(place: Place, text: str) -> None:
    assert str(place) == text
