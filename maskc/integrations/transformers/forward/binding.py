"""The program that a layer runs, bound once a forward: its mask, what hides keys, its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from maskc.errors import ModelError
from maskc.integrations.transformers.forward.attached import Attached, attached_to
from maskc.integrations.transformers.forward.context import IS_TOKEN, Context
from maskc.integrations.transformers.forward.derive import DENSE
from maskc.integrations.transformers.forward.packing import Packed, packed_of
from maskc.integrations.transformers.forward.scores import Scores
from maskc.integrations.transformers.forward.texts import (
    composed,
    is_causal,
    is_same_anywhere,
    looks_back,
    reads_by_position,
    reads_query,
    shows_all,
    shows_nothing,
)
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import OUT, SCORE
from maskc.ir.types import Sz
from maskc.lower.one_query.attend import Seen
from maskc.options import EmptyRows
from maskc.program import Program
from maskc.run.bound import Bound


@dataclass(frozen=True, slots=True)
class Request:
    """What a layer asks to have bound; layers that ask for the same share a binding."""

    attached: Attached | None
    heads: tuple[int, int]
    score: tuple[str, ...]
    added: tuple[str, ...]
    out: tuple[str, ...]
    chosen: Tensor | None

    def is_like(self, other: Request) -> bool:
        """Tell whether another layer asks for the same."""
        ours = (self.heads, self.score, self.added, self.out)
        if ours != (other.heads, other.score, other.added, other.out):
            return False
        if self.chosen is not other.chosen:
            return False
        if self.attached is None or other.attached is None:
            return self.attached is other.attached
        mine, theirs = self.attached, other.attached
        if (mine.text, mine.empty_rows) != (theirs.text, theirs.empty_rows):
            return False
        return all(tensor is theirs.inputs[name] for name, tensor in mine.inputs.items())


@dataclass(frozen=True, slots=True)
class Parts:
    """What the program of a layer is composed of, and what it is bound with.

    Attributes:
        text: a program.
        empty_rows: what its rows without a key give.
        clauses: masks besides its own.
        positions: offsets or positions.
        inputs: the tensors that the mask reads.

    """

    text: str
    empty_rows: EmptyRows
    clauses: tuple[str, ...]
    positions: Mapping[str, Any]
    inputs: Mapping[str, Any]


class Sizes(NamedTuple):
    """The sizes of a call, and where it runs."""

    batch: int
    heads: int
    kv_heads: int
    q_len: int
    kv_len: int
    device: torch.device


@dataclass(frozen=True, slots=True)
class Binding:
    """What a layer had bound.

    Attributes:
        request: what it asked for.
        program: the whole of what it attends to.
        bound: the program, bound.
        parts: what was composed of it.
        call: batches, heads and lengths of queries and keys, and the device.
        seen: for a step of decoding by a mask alone, what its query sees.
        is_causal: what torch's own attention is told where it needs no mask; None where it does.

    """

    request: Request
    program: Program
    bound: Bound
    parts: Parts
    call: Sizes
    seen: Seen | None
    is_causal: bool | None

    @property
    def holds_little(self) -> bool:
        """Whether it may be kept for the next forward: it has no mask of all pairs."""
        return self.call.q_len == 1 or (self.is_causal is not None and not self.parts.inputs)


_last: WeakKeyDictionary[nn.Module, Binding] = WeakKeyDictionary()
"""What a layer had bound in its last forward: the next may be the same, or a step further."""


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
    changes = (scores.score, scores.added, scores.out)
    request = Request(attached_to(layer), heads, *changes, scores.chosen)
    for known in context.bindings:
        if known.request.is_like(request):
            return cast(Binding, known)
    packed = packed_of(context, position_ids)
    if request.attached is None:
        parts = _of_own(context, packed)
    else:
        _check_cache(request.attached, context)
        parts = _of_attached(request.attached, context, packed)
    if scores.chosen is not None:
        parts = _among(parts, scores.chosen, key.shape[2])
    program = composed(parts.text, parts.empty_rows, parts.clauses, *changes)
    binding = _bound(layer, request, program, parts, query, key)
    context.bindings.append(binding)
    return binding


def _bound(
    layer: nn.Module, request: Request, program: Program, parts: Parts, query: Tensor, key: Tensor
) -> Binding:
    """Return the binding of a program, by what the layer had bound before where that is near."""
    batch, heads, q_len, _ = query.shape
    call = Sizes(batch, heads, key.shape[1], q_len, key.shape[2], query.device)
    if in_trace():
        bound = program.bind_to(query, key, **parts.positions, **parts.inputs)
        return Binding(request, program, bound, parts, call, None, None)
    last = _last.get(layer)
    if last is not None and last.program is program and _is_same(last, parts, call):
        return replace(last, request=request)
    step = None if last is None else _next_step(last, program, parts, call)
    bound = step or program.bind_to(query, key, **parts.positions, **parts.inputs)
    seen = _seen(program, bound) if call.q_len == 1 else None
    causal = bound.is_causal if call.q_len > 1 and call.q_len == call.kv_len else None
    binding = Binding(request, program, bound, parts, call, seen, causal)
    if binding.holds_little:
        _last[layer] = binding
    return binding


def _is_same(last: Binding, parts: Parts, call: Sizes) -> bool:
    """Tell whether a layer had the same bound before; of tensors only their makers could tell."""
    if parts.inputs or last.parts.inputs or last.call != call:
        return False
    numbers = (*parts.positions.values(), *last.parts.positions.values())
    return all(type(n) is int for n in numbers) and last.parts.positions == parts.positions


def _next_step(last: Binding, program: Program, parts: Parts, call: Sizes) -> Bound | None:
    """Return a step as the one after the last, None where it is not; tensors are given anew."""
    before = last.parts
    if last.program is not program or call.q_len != 1:
        return None
    if last.call._replace(q_len=1, kv_len=call.kv_len) != call:
        return None
    names = before.inputs.keys() | before.positions.keys()
    if names != parts.inputs.keys() | parts.positions.keys():
        return None
    return last.bound.at(q_len=1, kv_len=call.kv_len, **parts.positions, **parts.inputs)


def _seen(program: Program, bound: Bound) -> Seen | None:
    """Return what one query sees, where it needs nothing but a mask.

    A step of decoding is short: what ``Bound`` checks and chooses anew in each layer would be a
    good part of it. A cache holds what the model computed, or zeros: finite numbers, so keys that
    nobody sees need no care either.
    """
    if (known := bound.seen) is not None:
        return known
    module = program.module
    if (module.score, module.out, program.empty_rows) != (SCORE, OUT, "zero"):
        return None
    args = bound.sdpa_args()
    keys = bound.spec.sizes[Sz.KV_LEN]
    return None if args["is_causal"] else Seen(0, keys, args["attn_mask"])


IS_CHOSEN = "input chosen: bool\nchosen[head, q_idx, kv_idx]"
IS_TOKEN_IN_ROW = "input attention_mask: bool\nattention_mask[kv_idx]"
SAME_DOCUMENT = "input document: int\ndocument[q] == document[k]"
SAME_DOCUMENT_IN_ROW = "input document: int\ndocument[q_idx] == document[kv_idx]"
IS_WRITTEN = "input written: int\nkv_idx < written"


def _of_own(context: Context, packed: Packed | None) -> Parts:
    """Return the model's own mask; documents are added where it was told of none."""
    assert context.own is not None
    text, inputs = context.own.text, dict(context.own.inputs)
    clauses = []
    if context.attention_mask is not None:
        clauses.append(IS_TOKEN)
        inputs["attention_mask"] = context.attention_mask
    if packed is not None and not packed.was_told and is_causal(text) and not inputs:
        clauses.append(SAME_DOCUMENT)
        inputs["document"] = packed.document
    return Parts(text, "zero", tuple(clauses), _slots(context), inputs)


def _of_attached(attached: Attached, context: Context, packed: Packed | None) -> Parts:
    """Return an attached program, over positions from the first token of a row or a document."""
    text, policy = attached.text, attached.empty_rows
    anywhere = is_same_anywhere(text)
    inputs: dict[str, Any] = dict(attached.inputs)
    tokens = context.attention_mask
    if shows_nothing(text):  # and so reads neither padding nor documents
        return Parts(text, policy, (), _slots(context), inputs)
    if context.is_prepared:
        return _of_prepared(attached, context, inputs)
    if packed is not None:
        inputs["document"] = packed.document
        if anywhere:
            return Parts(text, policy, (SAME_DOCUMENT,), _slots(context), inputs)
        positions = {"q_positions": packed.position, "kv_positions": packed.position}
        return Parts(text, policy, (SAME_DOCUMENT_IN_ROW,), positions, inputs)
    if tokens is not None:
        inputs["attention_mask"] = tokens
        shifted = None if anywhere else _from_first_token(context, tokens, text)
        if shifted is None:
            return Parts(text, policy, (IS_TOKEN,), _slots(context), inputs)
        first = context.offsets[1]
        inputs["attention_mask"] = tokens[:, first : first + context.sizes[2]]
        return Parts(text, policy, (IS_TOKEN_IN_ROW,), shifted, inputs)
    written = context.offsets[0] + context.sizes[1] - context.offsets[1]
    has_future = isinstance(written, Tensor) or written < context.sizes[2]
    may_be_empty = context.own is not None and not shows_all(context.own.text)
    if has_future and may_be_empty and not is_causal(text):
        inputs["written"] = written
        return Parts(text, policy, (IS_WRITTEN,), _slots(context), inputs)
    return Parts(text, policy, (), _slots(context), inputs)


def _of_prepared(attached: Attached, context: Context, inputs: dict[str, Any]) -> Parts:
    """Return an attached program besides a mask that the caller prepared.

    Raises:
        ModelError: it reads where a query stands, which no mask tells of a step with a cache.

    """
    assert context.own is not None
    if context.sizes[1] != context.sizes[2] and reads_query(attached.text):
        message = "a program that reads `q` is attached, and a prepared mask tells no positions"
        help = "pass an `attention_mask` of two dimensions, or run without a cache"
        raise ModelError("M905", message, help=help)
    clauses = (DENSE,) if context.own.inputs else ()
    given = inputs | context.own.inputs
    return Parts(attached.text, attached.empty_rows, clauses, _slots(context), given)


def _among(parts: Parts, chosen: Tensor, kv_len: int) -> Parts:
    """Return a program of the keys that a model chose, ``[batch, queries, chosen]``, alone."""
    batch, q_len, _ = chosen.shape
    mask = torch.zeros(batch, q_len, kv_len, dtype=torch.bool, device=chosen.device)
    inputs = {**parts.inputs, "chosen": mask.scatter(-1, chosen.long(), True)[:, None]}
    return replace(parts, clauses=(*parts.clauses, IS_CHOSEN), inputs=inputs)


def _slots(context: Context) -> dict[str, Any]:
    return {"q_offset": context.offsets[0], "kv_offset": context.offsets[1]}


def _from_first_token(context: Context, tokens: Tensor, text: str) -> dict[str, Any] | None:
    """Return what makes positions count from the first token; None where no row is padded there.

    Padding then has positions below 0, at which no tensor can be read: it gets 0 where one is.
    """
    padding = (tokens.cumsum(-1) == 0).sum(-1)
    if not in_trace() and not bool(padding.any()):
        return None
    if not reads_by_position(text):
        return {name: offset - padding for name, offset in _slots(context).items()}
    rows = []
    for offset, length in zip(context.offsets, context.sizes[1:], strict=True):
        slots = torch.arange(length, device=tokens.device) + offset
        rows.append((slots - padding[:, None]).clamp_min(0))
    return {"q_positions": rows[0], "kv_positions": rows[1]}


def _check_cache(attached: Attached, context: Context) -> None:
    """Refuse a program that needs keys which a sliding cache has dropped.

    Raises:
        ModelError: it says how far the program looks back, and what to do.

    """
    q_offset, kv_offset = context.offsets
    if isinstance(kv_offset, Tensor) or kv_offset == 0:
        return
    behind = looks_back(attached.text)
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
