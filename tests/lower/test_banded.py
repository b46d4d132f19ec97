"""Attention band by band gives what the formula gives, and work that follows the mask."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from environments import Case, environments
from formula import qkv_of
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import modules
from test_agreement import (
    NOT_FINITE,
    SCALE,
    assert_near,
    doubled,
    keywords,
    outputs,
    program_of,
)
from torch import Tensor

from maskc import compile_mask
from maskc.analysis import bands
from maskc.analysis.bands import Rest
from maskc.analysis.key_ranges.derive import key_ranges
from maskc.blocks import mask_blocks
from maskc.ir.nodes import Module
from maskc.lower import banded

DOCS = torch.arange(150) // 40


@contextmanager
def cut(rows: int = 2, gap: int = 1, call: int = 0, limit: int = 2**26) -> Iterator[None]:
    """Cut bands as short as the lengths of a test need."""
    with (
        mock.patch.multiple(bands, ROWS=rows, GAP=gap, CALL=call),
        mock.patch.object(banded, "LIMIT", limit),
    ):
        yield


@st.composite
def cuts(draw: st.DrawFn) -> Any:
    """Draw how bands are cut, and whether little memory is to be kept."""
    small = st.sampled_from([1, 2, 3])
    return cut(
        draw(small), draw(small), draw(st.sampled_from([0, 40])), draw(st.sampled_from([0, 2**26]))
    )


@settings(max_examples=examples(100))
@given(
    data=st.data(),
    module=modules(depth=2),
    empty_rows=st.sampled_from(["zero", "all"]),
    ranges=st.booleans(),
)
def test_banded_is_the_reference(
    data: st.DataObject, module: Module, empty_rows: str, ranges: bool
) -> None:
    case: Case = data.draw(environments(module, positions=True))
    program = program_of(module, empty_rows)
    truth = outputs(program, qkv_of(case), doubled(case), "reference")
    by_tiles = {"block_size": data.draw(st.sampled_from([1, 2, 4]))}
    search = key_ranges if ranges else lambda *args: None
    with data.draw(cuts()), mock.patch.object(mask_blocks, "key_ranges", search):
        exact = outputs(program, qkv_of(case), doubled(case) | by_tiles, "banded")
        assert_near(exact, truth, 1e-5)  # floats of ints are in torch's default dtype
        single = outputs(
            program, qkv_of(case, dtype=torch.float32), keywords(case) | by_tiles, "banded"
        )
        assert_near(single, truth, 1e-4)


@settings(max_examples=examples(40))
@given(
    data=st.data(),
    module=modules(depth=2),
    empty_rows=st.sampled_from(["zero", "all", "nan"]),
)
def test_the_log_sum_exp_is_the_reference(
    data: st.DataObject, module: Module, empty_rows: str
) -> None:
    case: Case = data.draw(environments(module, positions=True))
    program, qkv = program_of(module, empty_rows), qkv_of(case)
    options = {"scale": SCALE, "return_lse": True, **doubled(case)}
    out, lse = program(*qkv, backend="reference", **options)
    with data.draw(cuts()):
        found, found_lse = program(*qkv, backend="banded", **options)
        alone = program(*qkv, backend="banded", scale=SCALE, **doubled(case))
    torch.testing.assert_close(found, out, rtol=1e-5, atol=1e-5, equal_nan=True)
    torch.testing.assert_close(found_lse, lse, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone, out, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("text", NOT_FINITE)
def test_masked_scores_that_are_not_finite(text: str) -> None:
    program, case = compile_mask(text), Case(2, 4, 2, 7, 7)
    valid = torch.arange(7) != 3
    gate = torch.where(valid, 0.5, 0.0)
    gate = torch.tensor([0.5, 2, 1, 4]) if "gate[head]" in text else gate
    gate = gate.roll(-3) if "gate[q]" in text else gate
    tables = {"gate": gate, "valid": valid}
    inputs = {name: tables[name] for name in tables if name in {x.name for x in program.inputs}}
    with cut():
        found = outputs(program, qkv_of(case, dtype=torch.float32), inputs, "banded")
    double = {name: x.double() if name == "gate" else x for name, x in inputs.items()}
    truth = outputs(program, qkv_of(case), double, "reference")
    assert all(value.isfinite().all() for value in found.values())
    assert_near(found, truth, 1e-4)


MASKS: list[tuple[str, dict[str, Any], set[Rest]]] = [
    ("causal & same_doc", {"doc": DOCS}, {Rest.CAUSAL}),
    ("same_doc", {"doc": DOCS}, {Rest.NONE}),
    ("causal & same_doc", {"doc": torch.stack([DOCS, DOCS.flip(0)])}, {Rest.CAUSAL}),
    ("causal & window(9)", {}, {Rest.MASK}),
    ("causal & (window(9) | k < 2)", {}, {Rest.MASK}),
    ("causal & window(where(head < 3, 9, 30))", {}, {Rest.MASK}),
    ("(q // 32 + k // 32) % 2 == 0", {"block_size": 16}, {Rest.NONE, Rest.MASK}),
    ("q // 32 % 3 == k // 32 % 3", {}, {Rest.NONE}),
    ("valid_keys", {"valid": torch.arange(150) < torch.tensor([[70], [101]])}, {Rest.NONE}),
    ("k > q + 100", {}, {Rest.NONE, Rest.MASK}),
    ("causal", {}, {Rest.CAUSAL}),
    ("full", {}, {Rest.NONE}),
]
SCORES = ["score", "score + 0.1 * (q - k)", "softcap(score, 3)", "score * (1 + head)"]


@pytest.mark.parametrize(("text", "inputs", "rests"), MASKS, ids=[text for text, *_ in MASKS])
@pytest.mark.parametrize("score", SCORES)
def test_masks_of_many_bands(
    text: str, inputs: dict[str, Any], rests: set[Rest], score: str
) -> None:
    program, case = compile_mask(f"{text}; score = {score}"), Case(2, 6, 2, 150, 150)
    with cut(rows=32, gap=8):
        bound = program.bind(**case.sizes, **inputs)
        found = outputs(program, qkv_of(case), inputs, "banded")
        made = bound.bands()
    assert {band.rest for part in made for band in part.bands} == rests
    assert_near(found, outputs(program, qkv_of(case), inputs, "reference"), 1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("score", SCORES[:3])
def test_dtypes(dtype: torch.dtype, score: str) -> None:
    program, case = compile_mask(f"causal & window(9); score = {score}"), Case(1, 4, 2, 75, 75)
    found, qkv = {}, qkv_of(case, dtype=dtype)
    with cut(rows=16):
        found = outputs(program, qkv, {}, "banded")
    assert found["out"].dtype is dtype
    truth = outputs(program, tuple(x.double() for x in qkv), {}, "reference")
    assert_near(found, truth, {torch.bfloat16: 3e-2, torch.float16: 4e-3}.get(dtype, 1e-5))


def given_pairs(text: str, length: int, **inputs: Any) -> int:
    """Return how many pairs SDPA was given, forward."""
    seen: list[int] = []

    def attend(q: Tensor, k: Tensor, *args: Any, **options: Any) -> Tensor:
        seen.append(q.shape[2] * k.shape[2])
        return real(q, k, *args, **options)

    real, case = F.scaled_dot_product_attention, Case(1, 1, 1, length, length)
    with mock.patch.object(F, "scaled_dot_product_attention", attend):
        compile_mask(text)(*qkv_of(case, dtype=torch.float32), backend="banded", **inputs)
    return sum(seen)


@pytest.mark.parametrize(
    "text",
    [
        "causal & window(100)",
        "causal & (window(100) | k < 4)",
        "causal & same_doc",
        "q // 128 == k // 128 & (q + k) % 2 == 0",
    ],
)
def test_pairs_do_not_grow_with_the_square(text: str) -> None:
    many = [
        given_pairs(text, n, **({"doc": torch.arange(n) // 128} if "doc" in text else {}))
        for n in (1024, 4096)
    ]
    assert 0 < many[1] <= 4.5 * many[0]


@pytest.mark.parametrize("score", ["score", "softcap(score, 3)"])
def test_what_no_band_needs_does_not_reach_it(score: str) -> None:
    program, case = compile_mask(f"causal & same_doc; score = {score}"), Case(1, 2, 1, 150, 150)
    q, k, v = qkv_of(case, dtype=torch.float32)
    clean = program(q, k, v, backend="banded", doc=DOCS)
    k[:, :, 40:80], v[:, :, 40:80] = math.nan, math.inf
    with cut(rows=32):
        found = program(q, k, v, backend="banded", doc=DOCS)
    torch.testing.assert_close(found[:, :, :40], clean[:, :, :40])
    torch.testing.assert_close(found[:, :, 80:], clean[:, :, 80:])


def test_rows_without_keys_have_gradients_of_zero() -> None:
    found = outputs(compile_mask("k < 0"), qkv_of(Case(1, 2, 1, 5, 7)), {}, "banded")
    assert all(not value.any() for value in found.values())


@pytest.mark.parametrize("score", ["score", "score + 0.1 * k", "softcap(score, 3)"])
def test_dropout_keeps_the_mean(score: str) -> None:
    program, case = compile_mask(f"causal & same_doc; score = {score}"), Case(64, 8, 8, 40, 40)
    q, k, _ = qkv_of(case, dtype=torch.float32)
    torch.manual_seed(0)
    with cut(rows=16):
        out = program(q, k, torch.ones_like(k), dropout_p=0.5, backend="banded", doc=DOCS[:40] // 2)
    assert out.std() > 0.1
    assert abs(out.mean().item() - 1) < 0.01


def test_equal_bands_of_a_window_share_a_mask() -> None:
    bound = compile_mask("causal & window(9)").bind(q_len=150)
    with cut(rows=32):
        (part,) = bound.bands()
    inner = [band for band in part.bands[1:] if len(band.window.rows) == 32]
    assert len(inner) == 3
    assert len({band.seen for band in inner}) == 1


def test_kept_masks_follow_a_tensor_that_changes_in_place() -> None:
    doc = DOCS.clone()
    qkv = qkv_of(Case(1, 2, 2, 150, 150))
    bound = compile_mask("causal & same_doc & window(30)").bind(q_len=150, num_heads=2, doc=doc)
    with cut(rows=32):
        bound(*qkv, backend="banded")
        doc[20:] += 1
        found = bound(*qkv, backend="banded")
    torch.testing.assert_close(found, bound(*qkv, backend="reference"))


def test_explain_tells_bands_and_density() -> None:
    program = compile_mask("causal & same_doc; score = softcap(score, 3)")
    with cut(rows=256):
        lines = program.bind(q_len=150, doc=DOCS).explain().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("banded"))
    assert lines[at].endswith("bands: 4 causal; 25.3 % of all pairs")
    assert lines[at + 1].strip() == "dense scores of a band, at most 6.25 KiB"


@pytest.mark.parametrize("text", ["causal & window(5)", "causal & k // 8 == q // 8"])
def test_gradients_by_functions_are_those_of_autograd(text: str) -> None:
    """``torch.func`` takes an operation of ours only in the form that it knows."""
    bound = compile_mask(text).bind(q_len=90, num_heads=2)
    q, k, v = torch.randn(3, 1, 2, 90, 4, dtype=torch.float64)

    def loss(k: torch.Tensor) -> torch.Tensor:
        return bound(q, k, v, backend="banded").square().sum()

    leaf = k.clone().requires_grad_()
    loss(leaf).backward()
    torch.testing.assert_close(torch.func.grad(loss)(k), leaf.grad)
