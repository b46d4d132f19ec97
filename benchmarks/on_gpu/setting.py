"""Sizes and programs: those of a GPU, or small ones where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from maskc import Bound, compile_mask

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
BACKEND = "flex" if ON_GPU else "sdpa"
LENGTHS = (8192, 32768) if ON_GPU else (256, 512)
SMALL = 1024 if ON_GPU else 256
HEADS, ROUNDS = (8, 50) if ON_GPU else (2, 3)
WINDOW = 512 if ON_GPU else 64
DOCUMENTS = 7

Row = dict[str, Any]
Run = Callable[[], Any]

PROGRAMS = {
    "causal": "causal",
    "window": f"causal & window({WINDOW})",
    "documents": "causal & same_doc",
    "softcap": "causal; score = softcap(score, 30)",
    "alibi": "causal; score = score + alibi",
    "prefix": f"causal | k < {WINDOW}",
}


def ids(length: int) -> Tensor:
    """Return the ids of packed documents."""
    return (torch.arange(length, device=DEVICE) * DOCUMENTS // length).int()


def inputs_of(name: str, length: int) -> dict[str, Tensor]:
    """Return the tensors that a program of ``PROGRAMS`` reads."""
    if name == "documents":
        return {"doc": ids(length)}
    if name == "alibi":
        return {"slopes": 2.0 ** -torch.arange(1, HEADS + 1, device=DEVICE)}
    return {}


def qkv_of(length: int, width: int = 64, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return random q, k and v that require a gradient."""
    shape = (1, HEADS, length, width)
    return [torch.randn(shape, device=DEVICE, dtype=dtype, requires_grad=True) for _ in range(3)]


def bound_to(text: str, length: int, **keywords: Any) -> Bound:
    """Return a program bound on the device."""
    sizes = {"q_len": length, "num_heads": HEADS, "device": DEVICE}
    return compile_mask(text).bind(**{**sizes, **keywords})


def program_over(name: str, length: int) -> Bound:
    """Return a program of ``PROGRAMS`` bound on the device."""
    return bound_to(PROGRAMS[name], length, **inputs_of(name, length))
