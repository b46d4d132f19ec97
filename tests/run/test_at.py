"""``bound.at``: the next step of a decode loop is what binding anew would give."""

from __future__ import annotations

import functools
from typing import Any
from unittest import mock

import pytest
import torch
from _pytest.outcomes import Failed
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples, unshrunk
from torch import Tensor

from maskc import BindError, compile_mask
from maskc.binding import call, check_int32, signature

LENGTH = 40
DOC = torch.arange(LENGTH) // 11
TEXTS: dict[str, dict[str, Any]] = {
    "full": {},
    "causal": {},
    "causal & window(7)": {},
    "causal_lower_right & window(9)": {},
    "causal & same_doc": {"doc": DOC},
    "causal & chunked(16); score = softcap(score, 3)": {},
    "valid_keys & causal": {"valid": DOC != 1},
    "causal; score = score + alibi": {"slopes": torch.tensor([0.5, 0.25])},
    "input t: float; causal; score = score * t[q]": {"t": torch.linspace(0.1, 2, LENGTH)},
}


def qkv(q_len: int, kv_len: int) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(q_len + kv_len)
    q = torch.randn(2, 2, q_len, 8, generator=random)
    k, v = torch.randn(2, 2, 1, kv_len, 8, generator=random)
    return q, k, v


SIZES = {"batch_size": 2, "num_heads": 2, "num_kv_heads": 1}


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    """Draw lengths and positions of one step."""
    q_len, kv_len = draw(st.integers(1, 5)), draw(st.integers(1, LENGTH))
    step: dict[str, Any] = {"q_len": q_len, "kv_len": kv_len}
    number = st.integers(0, LENGTH - q_len)
    offset = number | st.builds(torch.tensor, number)
    each = st.builds(torch.tensor, st.lists(number, min_size=2, max_size=2))
    table = st.builds(lambda n: {"q_positions": torch.arange(q_len) + n}, number)
    step |= draw(st.builds(lambda x: {"q_offset": x}, offset | each) | table)
    return step


@settings(max_examples=examples(150))
@given(st.data(), st.sampled_from(sorted(TEXTS)), st.lists(steps(), min_size=1, max_size=4))
def test_a_step_is_what_binding_anew_gives(
    data: st.DataObject, text: str, drawn: list[dict[str, Any]]
) -> None:
    policy = data.draw(st.sampled_from(["zero", "all", "nan"]))
    program = compile_mask(text, empty_rows=policy)
    bound = program.bind(q_len=1, kv_len=1, **SIZES, **TEXTS[text])
    for step in drawn:
        bound = bound.at(**step)
        anew = program.bind(**step, **SIZES, **TEXTS[text])
        assert torch.equal(bound.dense_mask(), anew.dense_mask())
        assert bound._current.mask_here == anew._current.mask_here
        tensors = qkv(step["q_len"], step["kv_len"])
        expected = anew(*tensors, backend="reference")
        for backend in ("auto", "sdpa"):
            torch.testing.assert_close(bound(*tensors, backend=backend), expected, equal_nan=True)


def test_what_is_not_given_stays() -> None:
    bound = compile_mask("causal").bind(q_len=2, kv_len=9, q_offset=7, block_size=16, **SIZES)
    longer = bound.at(kv_len=12)
    assert longer.spec.numbers == {"q_positions": 7}
    assert longer.spec.block_size == (16, 16)
    assert {size.value: count for size, count in longer.spec.sizes.items()} == {
        **SIZES,
        "q_len": 2,
        "kv_len": 12,
    }
    at_start = longer.at(q_offset=0)
    assert at_start.dense_mask().int().sum() == 3


def test_longer_tensors_may_be_given() -> None:
    bound = compile_mask("same_doc").bind(q_len=1, kv_len=3, q_offset=2, doc=DOC[:3])
    with pytest.raises(BindError, match="`doc` has 3 entries where `same_doc` reads up to 3"):
        bound.at(kv_len=4)
    with pytest.raises(BindError, match="`doc` has 3 entries where `same_doc` reads up to 12"):
        bound.at(q_offset=12)
    longer = bound.at(kv_len=13, q_offset=12, doc=DOC[:13])
    assert longer.dense_mask().flatten().tolist() == [False] * 11 + [True] * 2


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"q_len": 0}, "`q_len` is at least 1"),
        ({"kv_len": "9"}, "`kv_len` is an int"),
        ({"q_offset": 0.5}, "`q_offset` holds ints"),
        ({"q_offset": 2**80}, "`q_offset` is an int or a tensor of ints"),
        ({"q_offset": 4, "q_positions": [4]}, "are both given"),
        ({"q_len": 2}, r"`q_positions` has shape \[1\]"),
        ({"dok": 1}, "no input `dok`"),
    ],
)
def test_a_bad_step_is_refused(step: dict[str, Any], message: str) -> None:
    bound = compile_mask("causal").bind(q_len=1, kv_len=9, q_positions=torch.tensor([8]))
    with pytest.raises(BindError, match=message):
        bound.at(**step)


def test_ints_that_leave_32_bits_at_a_later_step_are_refused() -> None:
    bound = compile_mask("k < q * q").bind(q_len=1, kv_len=9, q_offset=8)
    assert bound.at(q_offset=46340).dense_mask().all()
    with pytest.raises(BindError, match="may leave 32 bits"):
        bound.at(q_offset=46341)


def _clear() -> None:
    for cached in (signature.row_program, signature._rows, check_int32._all_fit):
        cached.cache_clear()


def _stale_numbers(self: Any, form: Any, *rest: Any) -> Any:
    before = dict(self.numbers)
    found = MOVED(self, form, *rest)
    self.numbers.update(before)
    return found


MOVED = call._Rows.moved
FAULTS: list[tuple[str, Any, str, Any, Any]] = [
    (
        "the offset of the step before",
        call._Rows,
        "moved",
        _stale_numbers,
        test_a_step_is_what_binding_anew_gives,
    ),
    (
        "every int fits",
        check_int32,
        "_all_fit",
        functools.lru_cache(lambda *known: True),
        test_ints_that_leave_32_bits_at_a_later_step_are_refused,
    ),
    (
        "no read leaves its input",
        signature,
        "possible_dangers",
        lambda expr, shapes: (),
        test_longer_tensors_may_be_given,
    ),
]


@pytest.mark.planted
@pytest.mark.parametrize(
    ("where", "name", "fault", "test"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0] for fault in FAULTS],
)
def test_planted_faults_are_seen(where: Any, name: str, fault: Any, test: Any) -> None:
    _clear()
    caught = pytest.raises((AssertionError, Failed))
    with mock.patch.object(where, name, fault), unshrunk(test), caught:
        test()
    _clear()
