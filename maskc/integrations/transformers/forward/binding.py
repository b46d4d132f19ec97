"""The program that a layer runs, bound once a forward: its mask, what hides keys, its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from maskc.analysis.translation import is_translation_invariant
from maskc.errors import ModelError
from maskc.integrations.transformers.forward.attached import inputs_of, program_of
from maskc.integrations.transformers.forward.context import Context
from maskc.integrations.transformers.forward.derive import is_causal
from maskc.integrations.transformers.forward.packing import Packed, packed_of
from maskc.integrations.transformers.forward.scores import Scores
from maskc.ir.nodes import OUT, SCORE
from maskc.program import Program, compile_mask
from maskc.run.bound import Bound


@dataclass(frozen=True, slots=True)
class Request:
    """What a layer asks to have bound; layers that ask for the same share a binding."""

    attached: Program | None
    inputs: Mapping[str, Tensor]
    heads: tuple[int, int]
    score: tuple[str, ...]
    out: tuple[str, ...]

    def is_like(self, other: Request) -> bool:
        """Tell whether another layer asks for the same."""
        return (
            self.attached is other.attached
            and self.heads == other.heads
            and self.score == other.score
            and self.out == other.out
            and len(self.inputs) == len(other.inputs)
            and all(self.inputs[name] is other.inputs.get(name) for name in self.inputs)
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """What a layer had bound, and the tensors that its mask reads."""

    request: Request
    program: Program
    bound: Bound
    inputs: Mapping[str, Any]


def bound_for(
    layer: nn.Module,
    context: Context,
    query: Tensor,
    key: Tensor,
    scores: Scores,
    position_ids: Tensor | None,
) -> Binding:
    """Return the binding of a layer, which the first layer that asks for it makes.

    Args:
        layer: the module that attends.
        context: of the forward.
        query: ``[batch, heads, queries, width]``.
        key: ``[batch, key heads, keys, width]``.
        scores: what the layer does to its scores.
        position_ids: the position of each token in its document.

    Raises:
        MaskcError: an attached program does not fit the call, or needs keys that a cache dropped.

    """
    heads = (query.shape[1], key.shape[1])
    request = Request(program_of(layer), inputs_of(layer), heads, scores.score, scores.out)
    for known in context.bindings:
        if known.request.is_like(request):
            return cast(Binding, known)
    packed = packed_of(context, position_ids)
    if request.attached is None:
        parts = _of_own(context, packed)
    else:
        _check_cache(request.attached, context)
        parts = _of_attached(request.attached, request.inputs, context, packed)
    program = _composed(parts.program, parts.clauses, request.score, request.out)
    bound = program.bind_to(query, key, **parts.positions, **parts.inputs)
    binding = Binding(request, program, bound, parts.inputs)
    context.bindings.append(binding)
    return binding


@dataclass(frozen=True, slots=True)
class _Parts:
    program: Program
    clauses: tuple[str, ...]
    positions: Mapping[str, Any]
    inputs: Mapping[str, Any]


IS_TOKEN = "input attention_mask: bool\nattention_mask[k]"
IS_TOKEN_IN_ROW = "input attention_mask: bool\nattention_mask[kv_idx]"
SAME_DOCUMENT = "input document: int\ndocument[q] == document[k]"
SAME_DOCUMENT_IN_ROW = "input document: int\ndocument[q_idx] == document[kv_idx]"
IS_WRITTEN = "input written: int\nkv_idx < written"


def _of_own(context: Context, packed: Packed | None) -> _Parts:
    """Return the model's own mask; documents are added where it was told of none."""
    assert context.own is not None
    program, inputs = context.own.program, dict(context.own.inputs)
    clauses = []
    if context.attention_mask is not None:
        clauses.append(IS_TOKEN)
        inputs["attention_mask"] = context.attention_mask
    if packed is not None and not packed.was_told and is_causal(program) and not inputs:
        clauses.append(SAME_DOCUMENT)
        inputs["document"] = packed.document
    return _Parts(program, tuple(clauses), _slots(context), inputs)


def _of_attached(
    program: Program, given: Mapping[str, Tensor], context: Context, packed: Packed | None
) -> _Parts:
    """Return an attached program, over positions from the first token of a row or a document."""
    anywhere = _is_translation_invariant(program)
    inputs: dict[str, Any] = dict(given)
    tokens = context.attention_mask
    if packed is not None:
        inputs["document"] = packed.document
        if anywhere:
            return _Parts(program, (SAME_DOCUMENT,), _slots(context), inputs)
        positions = {"q_positions": packed.position, "kv_positions": packed.position}
        return _Parts(program, (SAME_DOCUMENT_IN_ROW,), positions, inputs)
    if tokens is not None:
        inputs["attention_mask"] = tokens
        shifted = None if anywhere else _from_first_token(context, tokens)
        if shifted is None:
            return _Parts(program, (IS_TOKEN,), _slots(context), inputs)
        first = context.offsets[1]
        inputs["attention_mask"] = tokens[:, first : first + context.sizes[2]]
        return _Parts(program, (IS_TOKEN_IN_ROW,), shifted, inputs)
    written = context.offsets[0] + context.sizes[1] - context.offsets[1]
    has_future = isinstance(written, Tensor) or written < context.sizes[2]
    if has_future and not is_causal(program):
        inputs["written"] = written
        return _Parts(program, (IS_WRITTEN,), _slots(context), inputs)
    return _Parts(program, (), _slots(context), inputs)


def _slots(context: Context) -> dict[str, Any]:
    return {"q_offset": context.offsets[0], "kv_offset": context.offsets[1]}


def _from_first_token(context: Context, tokens: Tensor) -> dict[str, Any] | None:
    """Return positions from the first token of each row; None where no row is padded there."""
    padding = (tokens.cumsum(-1) == 0).sum(-1)
    if not torch.compiler.is_compiling() and not bool(padding.any()):
        return None
    rows = []
    for offset, length in zip(context.offsets, context.sizes[1:], strict=True):
        slots = torch.arange(length, device=tokens.device) + offset
        rows.append((slots - padding[:, None]).clamp_min(0))
    return {"q_positions": rows[0], "kv_positions": rows[1]}


def _check_cache(program: Program, context: Context) -> None:
    """Refuse a program that needs keys which a sliding cache has dropped.

    Raises:
        ModelError: it says how far the program looks back, and what to do.

    """
    q_offset, kv_offset = context.offsets
    if isinstance(kv_offset, Tensor) or kv_offset == 0:
        return
    behind = program.max_distance().behind
    if behind is not None and q_offset - behind >= kv_offset:
        return
    far = "any number of tokens" if behind is None else f"{behind} tokens"
    kept = q_offset - kv_offset
    raise ModelError(
        "M905",
        f"the program looks back {far}, and the cache of this layer keeps {kept}",
        help="pass a cache that keeps all keys: `past_key_values=DynamicCache()`; "
        "`program.max_distance()` tells how far a program looks",
    )


@lru_cache(maxsize=1024)
def _is_translation_invariant(program: Program) -> bool:
    return is_translation_invariant(*program.module.roots)


@torch._dynamo.assume_constant_result  # type: ignore[untyped-decorator]
@lru_cache(maxsize=1024)
def _composed(
    program: Program, clauses: tuple[str, ...], score: tuple[str, ...], out: tuple[str, ...]
) -> Program:
    """Return a program with more to its mask; its own score or epilogue replaces the layer's."""
    for clause in clauses:
        program = program.masked_by(clause)
    module = program.module
    kept = [*(score if module.score == SCORE else ()), *(out if module.out == OUT else ())]
    if not kept:
        return program
    return compile_mask("\n".join([program.text, *kept]), empty_rows=program.empty_rows)
