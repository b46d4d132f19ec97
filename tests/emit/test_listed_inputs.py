"""Emitted files take the inputs that the program lists, in any dtype that holds their values."""

from typing import Any

import pytest
import torch
from torch import Tensor

import maskc

UNREAD = [
    "input x: int; where(true, causal, x[q] > 0)",
    "input x: int; where(true, full, x[q] > 0)",
    "input x: float; full; score = score * 1.0 + where(false, x[q], 0.0)",
    "2 >= alibi & 0.125 == 0.5",
    "input x: int; same_doc & (x[k] == x[k])",
]
NARROW = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def run(program: maskc.Program, target: str) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(program.emit(target), scope)
    return scope


def qkv() -> list[Tensor]:
    return list(torch.randn(3, 1, 2, 6, 4, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_read_may_be_given_or_left_out(text: str) -> None:
    program = maskc.compile_mask(text)
    given = {one.name: torch.zeros(6, dtype=torch.int64) for one in program.inputs}
    given |= {"slopes": torch.ones(2)} if "slopes" in given else {}
    expected = program(*qkv(), **given, backend="reference")
    attention = run(program, "module")["attention"]
    torch.testing.assert_close(attention(*qkv(), **given), expected)
    kept = {name: given[name] for name in given if f"in_{name}" in program.emit("module")}
    torch.testing.assert_close(attention(*qkv(), **kept), expected)
    run(program, "flex")["flex_args"](*qkv()[:2], **given)


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_ints_are_widened(dtype: torch.dtype) -> None:
    text = "input i: int; input t: int; t[i[q]] <= i[k] * 100 + i[q] // -2; score = score + i[k]"
    program = maskc.compile_mask(text)
    given = {"i": torch.arange(6).to(dtype), "t": torch.arange(0, 120, 20).to(dtype)}
    expected = program(*qkv(), **given, backend="reference")
    found = run(program, "module")["attention"](*qkv(), **given)
    torch.testing.assert_close(found, expected)
