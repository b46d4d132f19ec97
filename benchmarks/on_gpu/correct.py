"""Whether what a GPU computes is right: outputs and gradients against the reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from maskc import Bound, MaskcError, compile_mask
from on_gpu.setting import (
    BACKEND,
    DEVICE,
    HEADS,
    PROGRAMS,
    SMALL,
    Row,
    bound_to,
    program_over,
    qkv_of,
)
from on_gpu.speed import seconds

EXAMPLES = Path(__file__).parents[2] / "examples"
TOLERANCE = {torch.float32: 2e-2, torch.bfloat16: 6e-2}
"""Of a GPU's products, which torch may run in tf32, for outputs and gradients near 1."""


def error_of(bound: Bound, tensors: list[Tensor], trained: list[Tensor] = ()) -> float:
    """Return the largest error of the output and of all gradients, against float64."""
    leaves = [*tensors, *trained]
    out = bound(*tensors, backend=BACKEND)
    slope = torch.randn_like(out)
    found = torch.autograd.grad(out, leaves, slope)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    true = bound(*exact, backend="reference")
    expected = torch.autograd.grad(true, [*exact, *trained], slope.double())
    pairs = zip((out, *found), (true, *expected), strict=True)
    return max(float((a.double() - b.double()).abs().max() / b.abs().max()) for a, b in pairs)


def smoke() -> Iterator[Row]:
    """Yield the errors of six programs; stop at one that is too large."""
    for name in PROGRAMS:
        for dtype, most in TOLERANCE.items():
            bound = program_over(name, SMALL)
            error = error_of(bound, qkv_of(SMALL, dtype=dtype))
            yield {"program": name, "dtype": str(dtype), "error": error}
            if not error < most:
                raise SystemExit(f"{name} in {dtype} is wrong by {error:.2g}: nothing else runs")


def gallery() -> Iterator[Row]:
    """Yield the error of every piece of the gallery, forward."""
    sys.path.append(str(EXAMPLES))
    from pieces import SECTIONS

    for piece in (piece for section in SECTIONS.values() for piece in section):
        sizes = {"q_len": piece.q_len, "kv_len": piece.kv_len, "num_heads": piece.num_heads}
        program = compile_mask(piece.text, **piece.constants)
        bound = program.bind(**sizes, block_size=32, **piece.bind, **piece.inputs).to(DEVICE)
        q = torch.randn(1, piece.num_heads, piece.q_len, 64, device=DEVICE)
        k = torch.randn(1, piece.num_heads, piece.kv_len or piece.q_len, 64, device=DEVICE)
        out = bound(q, k, k, backend=BACKEND)
        true = bound(q, k, k, backend="reference")
        yield {"piece": piece.title, "error": float((out - true).abs().max())}


def tables() -> Iterator[Row]:
    """Yield the errors of the gradients of trained tables."""
    forms = {
        "by distance": ("t[head, clamp(q - k, 0, 63)]", (HEADS, 64)),
        "by head": ("t[head] * (k - q) * 0.01", (HEADS,)),
        "by key": ("t[k]", (SMALL,)),
    }
    for name, (term, shape) in forms.items():
        table = torch.randn(shape, device=DEVICE, requires_grad=True)
        bound = bound_to(f"input t: float; causal; score = score + {term}", SMALL, t=table)
        yield {"table": name, "error": error_of(bound, qkv_of(SMALL), [table])}


def lengths() -> Iterator[Row]:
    """Yield the seconds of the first and the second call at three lengths."""
    torch.compiler.reset()
    for length in (SMALL, SMALL + 128, SMALL + 256):
        bound, tensors = program_over("window", length), qkv_of(length)
        first, second = (seconds(lambda: bound(*tensors, backend=BACKEND)) for _ in range(2))  # noqa: B023
        yield {"length": length, "first": first, "second": second}


def blocks() -> Iterator[Row]:
    """Yield errors by block size, or the refusal."""
    for block in (32, 64, 128, 256, (64, 128)):
        for dtype in TOLERANCE:
            row: Row = {"block": str(block), "dtype": str(dtype)}
            bound = bound_to(PROGRAMS["window"], SMALL, block_size=block)
            try:
                yield {**row, "error": error_of(bound, qkv_of(SMALL, dtype=dtype))}
            except MaskcError as error:
                yield {**row, "refused": error.message}


def decode() -> Iterator[Row]:
    """Yield the errors of short calls against a longer cache."""
    for q_len, kv_heads in ((1, HEADS), (1, 1), (20, 1), (100, 1)):
        bound = compile_mask(PROGRAMS["window"]).bind(
            q_len=q_len,
            kv_len=SMALL,
            q_offset=SMALL - q_len,
            num_heads=HEADS,
            num_kv_heads=kv_heads,
            device=DEVICE,
        )
        q = torch.randn(1, HEADS, q_len, 64, device=DEVICE)
        k, v = torch.randn(2, 1, kv_heads, SMALL, 64, device=DEVICE)
        out, true = (bound(q, k, v, backend=name) for name in (BACKEND, "reference"))
        row = {"queries": q_len, "kv_heads": kv_heads}
        yield {**row, "error": float((out - true).abs().max())}
