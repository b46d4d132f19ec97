"""Emitted files, which must do alone what the program does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from oracle.case import Case, differs


def emitted_module(case: Case) -> str | None:
    """Run an emitted file that does it all."""
    attention = emitted(case, "module")["attention"]
    given = _read(case, attention)
    found = attention(*case.qkv, **given, **case.options)
    return differs(case, found, case.expected.out)


def emitted_mask(case: Case) -> str | None:
    """Run an emitted file that gives the mask of SDPA."""
    q, k, v = case.qkv
    build = emitted(case, "sdpa").get("attn_mask")
    mask = None
    if build is not None:
        options = case.options if "scale" in (build.__kwdefaults__ or {}) else {}
        mask = build(q, k, **_read(case, build), **options)
    found = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1], **case.options
    )
    return differs(case, found, case.expected.plain_out)


def emitted_flex(case: Case) -> str | None:
    """Run an emitted file that gives the keywords of FlexAttention."""
    from torch.nn.attention.flex_attention import flex_attention

    q, k, v = case.qkv
    build = emitted(case, "flex")["flex_args"]
    args = build(q, k, **case.program.inputs)
    with torch._dynamo.config.patch(recompile_limit=4096, accumulated_recompile_limit=4096):
        found = flex_attention(q, k, v, **args, **case.options)
    return differs(case, found, case.expected.plain_out)


def emitted(case: Case, target: str) -> dict[str, Any]:
    """Return the names of an emitted file."""
    scope: dict[str, Any] = {}
    exec(compile(case.compiled.emit(target), "<emitted>", "exec"), scope)
    return scope


def _read(case: Case, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the inputs for an emitted function; one that reads none takes none."""
    takes_any = function.__code__.co_flags & 0x08
    return case.program.inputs if takes_any else {}
