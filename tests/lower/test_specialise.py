"""What a call decides of its mask: true at the same pairs, and no mask where nothing is masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from environments import Case, environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples, find_fault
from row_programs import rows_of_case
from strategies import masks

from maskc import compile_mask
from maskc.analysis.intervals import domain as intervals
from maskc.analysis.intervals import whole_call
from maskc.ir.nodes import FALSE, TRUE, Expr
from maskc.ir.vectorize import Domain, dense
from maskc.lower import specialise as module
from maskc.lower.plan import CAUSAL
from maskc.lower.specialise import specialise


def ranges_of(domain: Domain) -> dict[str, tuple[int, int]]:
    return {
        name: (int(tensor.min()), int(tensor.max()))
        for name, tensor in domain.tensors.items()
        if not tensor.is_floating_point()
    }


def is_same(mask: Expr, case: Case) -> bool:
    """Tell whether what is left of a mask holds at exactly the pairs of the mask."""
    row, domain = rows_of_case(mask, case)
    expected = case.matrix(mask)
    for ranges in ({}, ranges_of(domain)):
        left = specialise(row, domain.sizes, ranges)
        if not torch.equal(dense(left, domain).expand_as(expected), expected):
            return False
    return True


@settings(max_examples=examples(300))
@given(st.data(), masks(depth=2))
def test_a_specialised_mask_is_true_at_the_same_pairs(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask, positions=True, pairs=True))
    assert is_same(mask, case)
    row, domain = rows_of_case(mask, case)
    left = specialise(row, domain.sizes, ranges_of(domain))
    event("causal" if left == CAUSAL else "decided" if left in (TRUE, FALSE) else "open")


BOUNDS = st.integers(-6, 9)


@st.composite
def bands(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw conjuncts and disjuncts that some sizes and offsets decide, and a call."""
    parts = [
        f"q - k < {draw(BOUNDS)}",
        f"k - q < {draw(BOUNDS)}",
        f"2 * k <= 2 * q + {draw(BOUNDS)}",
        f"q // {draw(st.integers(1, 9))} == k // {draw(st.integers(1, 9))}",
        "causal",
        "causal_lower_right",
        f"k < {draw(BOUNDS)}",
        "doc[q] == doc[k]",
        "valid[k]",
    ]
    chosen = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=4, unique=True))
    op = draw(st.sampled_from([" & ", " & ", " | "]))
    text = op.join(f"({part})" for part in chosen)
    q_len, kv_len = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    call: dict[str, Any] = {"q_len": q_len, "kv_len": kv_len}
    for name in ("q_offset", "kv_offset"):
        number = draw(st.integers(0, 9))
        call[name] = torch.tensor(number) if draw(st.booleans()) else number
    if "doc" in text:
        call["doc"] = torch.tensor([draw(st.integers(0, 1))] * 9 + [draw(st.integers(0, 1))] * 9)
    if "valid" in text:
        call["valid"] = torch.tensor([True] * 9 + [draw(st.booleans())] * 9)
    return text, call


def program_of(text: str) -> Any:
    declared = "input doc: int; " * ("doc" in text) + "input valid: bool; " * ("valid" in text)
    return compile_mask(declared + text)


def runs_alike(drawn: tuple[str, dict[str, Any]]) -> bool:
    """Tell whether SDPA gives what the reference gives, which decides nothing."""
    text, call = drawn
    random = torch.Generator().manual_seed(0)
    q = torch.randn(1, 1, call["q_len"], 8, generator=random)
    k, v = torch.randn(2, 1, 1, call["kv_len"], 8, generator=random)
    bound = program_of(text).bind(**call)
    found, expected = (bound(q, k, v, backend=name) for name in ("sdpa", "reference"))
    return torch.allclose(found, expected, atol=1e-5)


@settings(max_examples=examples(300))
@given(bands())
def test_sdpa_and_the_reference_agree(drawn: tuple[str, dict[str, Any]]) -> None:
    assert runs_alike(drawn)


IDS = torch.zeros(96, dtype=torch.int32)
TWO = torch.arange(96) // 48

DECIDED: list[tuple[str, dict[str, Any], Expr | None]] = [
    ("causal & window(4096)", {"q_len": 96}, CAUSAL),
    ("causal & window(64)", {"q_len": 96}, None),
    ("causal & chunked(8192)", {"q_len": 96}, CAUSAL),
    ("causal & chunked(64)", {"q_len": 96}, None),
    ("causal_lower_right", {"q_len": 96}, CAUSAL),
    ("causal_lower_right", {"q_len": 1, "kv_len": 96}, TRUE),
    ("causal_lower_right", {"q_len": 2, "kv_len": 96}, None),
    ("window(4096)", {"q_len": 96}, TRUE),
    ("causal & (window(512) | sinks(4))", {"q_len": 96}, CAUSAL),
    ("causal | k < n", {"q_len": 96, "n": 0}, CAUSAL),
    ("causal | k < n", {"q_len": 96, "n": 96}, TRUE),
    ("causal & k < n", {"q_len": 96, "n": 0}, FALSE),
    ("causal", {"q_len": 1, "kv_len": 96, "q_offset": 95}, TRUE),
    ("causal", {"q_len": 1, "kv_len": 96, "q_offset": torch.tensor(95)}, TRUE),
    ("causal", {"q_len": 1, "kv_len": 96, "q_positions": torch.tensor([95])}, TRUE),
    ("causal", {"q_len": 1, "kv_len": 96, "q_offset": 94}, None),
    ("causal", {"q_len": 96, "q_offset": 7, "kv_offset": 7}, CAUSAL),
    ("causal", {"q_len": 96, "q_offset": 7, "kv_offset": 6}, None),
    ("causal & window(4096)", {"q_len": 1, "kv_len": 96, "q_offset": 95}, TRUE),
    ("causal & window(64)", {"q_len": 1, "kv_len": 96, "q_offset": 95}, None),
    ("causal & same_doc", {"q_len": 96, "doc": IDS}, CAUSAL),
    ("causal & same_doc & window(4096)", {"q_len": 96, "doc": IDS}, CAUSAL),
    ("causal & same_doc", {"q_len": 96, "doc": TWO}, None),
    ("valid_keys", {"q_len": 96, "valid": IDS == 0}, TRUE),
]


@pytest.mark.parametrize(("text", "call", "expected"), DECIDED)
def test_what_a_call_decides(text: str, call: dict[str, Any], expected: Expr | None) -> None:
    declared = "input n: int; " if "n" in call else ""
    bound = compile_mask(declared + text).bind(**call)
    left = bound._current.mask_here
    assert left is expected if expected is not None else left not in (TRUE, FALSE, CAUSAL)
    args = bound.sdpa_args()
    assert args["is_causal"] is (expected is CAUSAL)
    assert (args["attn_mask"] is None) is (expected in (TRUE, CAUSAL))


def test_no_block_mask_where_sizes_and_numbers_show_every_key() -> None:
    program = compile_mask("causal & window(64)")
    assert program.bind(q_len=1, kv_len=50, q_offset=49).block_mask is None
    assert program.bind(q_len=1, kv_len=80, q_offset=79).block_mask is not None
    same = compile_mask("same_doc").bind(q_len=96, doc=IDS)
    assert same.block_mask is not None  # a graph may hold it for longer than the ids


def test_auto_takes_sdpa_where_the_call_needs_no_mask() -> None:
    q = torch.zeros(1, 1, 1, 8).expand(1, 1, 9000, 8)
    for n, backend in ((9000, "sdpa"), (512, "banded")):
        bound = compile_mask(f"causal & window({n})").bind(q_len=9000)
        assert bound.choice(q, q, q).backend == backend


def test_a_tensor_that_changes_decides_anew() -> None:
    doc = torch.zeros(6, dtype=torch.int64)
    q, k, v = torch.randn(3, 1, 1, 6, 8)
    bound = compile_mask("causal & same_doc").bind(q_len=6, doc=doc)
    assert bound.sdpa_args()["is_causal"]
    doc[3:] = 1
    assert not bound.sdpa_args()["is_causal"]
    expected = bound(q, k, v, backend="reference")
    torch.testing.assert_close(bound(q, k, v, backend="sdpa"), expected)


def test_what_torch_does_not_count_decides_nothing() -> None:
    with torch.inference_mode():
        doc = torch.zeros(6, dtype=torch.int64)
        bound = compile_mask("causal & same_doc").bind(q_len=6, doc=doc)
        assert not bound.sdpa_args()["is_causal"]
        q, k, v = torch.randn(3, 1, 1, 6, 8)
        bound(q, k, v)
        doc[3:] = 1
        torch.testing.assert_close(bound(q, k, v), bound(q, k, v, backend="reference"))
        step = compile_mask("causal").bind(q_len=1, kv_len=6, q_offset=5)
        assert step.sdpa_args()["attn_mask"] is None


@pytest.mark.parametrize("scale", [-0.5, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_causal_with_a_scale_that_is_not_positive(scale: float, dtype: torch.dtype) -> None:
    q, k, v = torch.randn(3, 1, 2, 7, 8, dtype=dtype)
    bound = compile_mask("causal & window(512)").bind(q_len=7, num_heads=2)
    found = bound(q, k, v, backend="sdpa", scale=scale)
    expected = bound(q, k, v, backend="reference", scale=scale)
    torch.testing.assert_close(
        found, expected, atol=1e-5 if dtype is torch.float32 else 0.01, rtol=0.02
    )
    assert bound.sdpa_args(scale=scale)["is_causal"] is False


def test_generated_mods_do_not_follow_the_sizes() -> None:
    program = compile_mask("causal & window(64)")
    mods = [program.bind(q_len=n).mask_mod.function for n in (9, 64, 65, 300)]
    assert len({mod.__code__ for mod in mods}) == 1


def _one_short(lo: int, hi: int) -> Any:
    return intervals.Bounds(lo, lo if lo == hi else hi - 1, max(abs(lo), abs(hi)))


def _any_offset(arg: Expr, call: Any) -> int | None:
    return None if (found := OFFSET(arg, call)) is None else max(found, 0)


def _forgetful(whole: Any, before: Any, after: list[Expr]) -> Expr:
    return next((arg for arg in after if arg not in (TRUE, FALSE)), TRUE)


OFFSET: Callable[[Expr, Any], int | None] = module._offset
FAULTS = [
    (whole_call, "between", _one_short),
    (module, "_offset", _any_offset),
    (module, "_joined", _forgetful),
]


@pytest.mark.planted
@pytest.mark.parametrize(("where", "name", "fault"), FAULTS)
def test_planted_faults_are_seen(where: Any, name: str, fault: Any) -> None:
    with mock.patch.object(where, name, fault):
        module._shared.cache_clear()
        find_fault(bands(), lambda drawn: not runs_alike(drawn))
