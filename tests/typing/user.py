"""A user's file, for checkers of types: what it says of types is what maskc says."""

from typing import assert_type

import torch
from torch import Tensor

import maskc
from maskc.explain.why.answer import Why, WhyRow
from maskc.options import BackendName, EmptyRows


def attend(
    program: maskc.Program, q: Tensor, k: Tensor, v: Tensor, doc: Tensor, *, wants_lse: bool
) -> Tensor:
    bound = program.bind(q_len=q.shape[2], block_size="auto", doc=doc)
    assert_type(bound, maskc.Bound)
    assert_type(bound(q, k, v), Tensor)
    assert_type(bound(q, k, v, backend="banded", scale=0.5), Tensor)
    assert_type(bound(q, k, v, return_lse=True), tuple[Tensor, Tensor])
    assert_type(bound(q, k, v, return_lse=wants_lse), Tensor | tuple[Tensor, Tensor])
    assert_type(program(q, k, v, doc=doc), Tensor)
    out, lse = program(q, k, v, return_lse=True, doc=doc)
    assert_type(lse, Tensor)
    assert_type(bound.why(q=3, k=1), Why)
    assert_type(bound.why(3, 1, head=1), Why)
    assert_type(bound.why(q_idx=3, kv_idx=1), Why)
    assert_type(bound.why(q=3), WhyRow)
    mask = bound.attn_mask()
    assert_type(mask, Tensor | None)
    return out


def named(backend: BackendName, policy: EmptyRows) -> maskc.Program:
    program = maskc.compile_mask("causal & same_doc", empty_rows=policy)
    q = torch.zeros(1, 1, 4, 8)
    program(q, q, q, backend=backend, doc=torch.zeros(4, dtype=torch.int32))
    assert_type(str(program), str)
    assert_type(program.emit("sdpa"), str)
    assert_type(program & maskc.compile_mask("window(8)"), maskc.Program)
    assert_type(maskc.__version__, str)
    return program


WRONG = maskc.compile_mask("causal", empty_rows="zeros")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
WRONG.emit("triton")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
