"""Warnings of calls: what they say, where, how often, and that nothing sensible has one."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import maskc
from maskc.errors import MaskcWarning

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from pieces import SECTIONS

DOC = torch.arange(64) // 8

WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "a decode step": (
        "causal & window(9)",
        {"q_len": 1, "kv_len": 64},
        "warning[M702]: `q` counts from 0 in a call of 64 keys and fewer queries, 1\n"
        " --> <mask>:1:1\n"
        "  1 | causal & window(9)\n"
        "    | ^^^^^^\n"
        "    = help: behind a cache they stand later: `q_offset=63`; where that is meant, "
        "say `q_offset=0`",
    ),
    "documents of a whole sequence": (
        "same_doc",
        {"q_len": 8, "kv_len": 64, "doc": DOC},
        "warning[M702]: `q` counts from 0 in a call of 64 keys and fewer queries, 8\n"
        " --> <mask>:1:1\n"
        "  1 | same_doc\n"
        "    | ^^^^^^^^\n"
        "    = help: behind a cache they stand later: `q_offset=56`; where that is meant, "
        "say `q_offset=0`",
    ),
    "a grid": (
        "axis h = 8, w = 7; natten(h, 3)",
        {"q_len": 64},
        "warning[M703]: the grid has 56 tokens, and `kv_len` is 64\n"
        " --> <mask>:1:20\n"
        "  1 | axis h = 8, w = 7; natten(h, 3)\n"
        "    |                    ^^^^^^^^^^^^\n"
        "    = help: give the axes the sizes of this sequence; where tokens beside the grid are "
        "meant, say what they see, by `k.h >= 0`",
    ),
    "the two halves of a sequence": (
        "block_diffusion(64, 8)",
        {"q_len": 100},
        "warning[M704]: `block_diffusion` takes `n: 1 <= int == kv_len / 2`, found 64, "
        "where `kv_len` is 100\n"
        " --> <mask>:1:17\n"
        "  1 | block_diffusion(64, 8)\n"
        "    |                 ^^\n"
        "    = help: it is `block_diffusion(n: 1 <= int == kv_len / 2, size: int >= 1)`; where the "
        "rows are a part of the sequence, say where they stand: `kv_offset=0`",
    ),
    "a window that a size makes empty": (
        "let near = window(left = kv_len - 9, right = 0); causal & near",
        {"q_len": 8},
        "warning[M704]: `window` takes `left: int >= 0`, found `kv_len - 9`, "
        "where `kv_len` is 8\n"
        " --> <mask>:1:26\n"
        "  1 | let near = window(left = kv_len - 9, right = 0); causal & near\n"
        "    |                          ^^^^^^^^^^\n"
        "    = help: it is `window(left: int >= 0, right: int >= 0)`; where the rows are a part of "
        "the sequence, say where they stand: `kv_offset=0`",
    ),
}

OWN = """
def pairs(n: 1 <= int == kv_len / 2, on: bool = true) = q // n == k // n if on else full
def inner(n: int) = pairs(n)
let near = inner(6)
"""
"""A library that says what it needs of the sizes of a call."""

SENSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("causal", {"q_len": 1, "kv_len": 64, "q_offset": 63}),
    ("causal", {"q_len": 1, "kv_len": 64, "q_offset": 0}),
    ("causal", {"q_len": 1, "kv_len": 64, "q_offset": torch.tensor(63)}),
    ("causal", {"q_len": 1, "kv_len": 64, "q_positions": torch.tensor([63])}),
    ("causal", {"q_len": 64, "kv_len": 64}),
    ("causal", {"q_len": 64, "kv_len": 8}),
    ("causal_lower_right", {"q_len": 1, "kv_len": 64}),
    ("valid_keys", {"q_len": 8, "kv_len": 64, "valid": DOC > 2}),
    ("same_doc", {"q_len": 8, "kv_len": 64, "doc": (DOC[:8], DOC)}),
    ("explicit", {"q_len": 8, "kv_len": 64, "allowed": torch.ones(1, 8, 64, dtype=torch.bool)}),
    ("full; score = softcap(score, 5)", {"q_len": 8, "kv_len": 64}),
    ("kv_idx <= q_idx", {"q_len": 8, "kv_len": 64}),
    ("axis h = 8, w = 8; natten(h, 3)", {"q_len": 64}),
    ("axis h = 9, w = 7 from 1; natten(h, 3)", {"q_len": 64}),
    ("axis h = 8, w = 7; natten(h, 3) | k.h < 0", {"q_len": 64}),
    ("axis h = 8, w = 8; natten(h, 3)", {"q_len": 16, "kv_len": 64, "q_offset": 48}),
    ("block_diffusion(64, 8)", {"q_len": 128}),
    ("block_diffusion(64, 8)", {"q_len": 8, "kv_len": 80, "q_offset": 64}),
    ("block_diffusion(64, 8)", {"q_len": 100, "kv_positions": torch.arange(100)}),
    ("block_diffusion(kv_len // 2, 8)", {"q_len": 100}),
    ("let unused = block_diffusion(64, 8); causal", {"q_len": 100}),
    ("where(kv_len == 128, block_diffusion(64, 8), causal)", {"q_len": 100}),
    ("causal if kv_len != 128 else block_diffusion(64, 8)", {"q_len": 100}),
    ("param on = false; where(on, block_diffusion(64, 8), causal)", {"q_len": 100}),
    ("input n: int; block_diffusion(n[batch], 8)", {"q_len": 100, "n": torch.tensor([64])}),
]


@pytest.mark.parametrize("title", WRONG)
def test_what_is_said_of_a_call(title: str) -> None:
    text, call, rendered = WRONG[title]
    with pytest.warns(MaskcWarning) as caught:
        maskc.compile_mask(text).bind(**call)
    assert [str(warning.message) for warning in caught] == [rendered]


@pytest.mark.parametrize(("text", "call"), SENSIBLE)
def test_what_is_meant_has_no_warning(text: str, call: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskcWarning)
        maskc.compile_mask(text).bind(**call).dense_mask()


@pytest.mark.parametrize("text", ["near & causal", "causal & inner(6)", "causal & pairs(6, true)"])
def test_what_a_library_needs_is_said_where_its_name_is_used(text: str) -> None:
    program = maskc.compile_mask(text, library=OWN)
    program.bind(q_len=12).dense_mask()
    with pytest.warns(MaskcWarning, match=r"M704.*`pairs` takes") as caught:
        program.bind(q_len=14).dense_mask()
    (warning,) = caught
    assert isinstance(warning.message, MaskcWarning)
    assert warning.message.span is not None
    assert warning.message.span.source.text == text


@pytest.mark.parametrize("n", range(-1, 8))
@pytest.mark.parametrize("kv_len", range(1, 9))
def test_a_need_is_its_bound_at_the_sizes_of_the_call(n: int, kv_len: int) -> None:
    text = "def f(n: 0 < int <= kv_len - 2 < q_len + 3, m: int >= kv_len % n) = q < n"
    program_text = f"{text}\nf({n}, 1)"
    if n < 1:
        with pytest.raises(maskc.MaskcError, match="M231"):
            maskc.compile_mask(program_text)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        maskc.compile_mask(program_text).bind(q_len=3, kv_len=kv_len).dense_mask()
    said = sum("M704" in str(one.message) for one in caught)
    assert said == (not n <= kv_len - 2 < 6) + (kv_len % n > 1)


def test_a_decode_loop_has_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskcWarning)
        step = maskc.compile_mask("causal & same_doc").bind(q_len=1, kv_len=1, doc=DOC)
        for n in range(20, 29):
            step = step.at(kv_len=n + 1, q_offset=n)
            step.dense_mask()


@pytest.mark.parametrize("section", SECTIONS)
def test_no_false_alarm_in_the_gallery(section: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskcWarning)
        for piece in SECTIONS[section]:
            program = maskc.compile_mask(piece.text, **piece.constants)
            sizes = {"q_len": piece.q_len, "kv_len": piece.kv_len, "num_heads": piece.num_heads}
            program.bind(**sizes, **piece.bind, **piece.inputs).dense_mask()


def test_python_shows_it_once_at_the_line_that_bound() -> None:
    program, q, k = maskc.compile_mask("causal"), torch.randn(1, 1, 1, 8), torch.randn(1, 1, 9, 8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            program(q, k, k)
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
