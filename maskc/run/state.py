"""What a binding works out from its tensors: one object, replaced whole when one changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc import log
from maskc.analysis.intervals.has_keys import has_keys
from maskc.binding import inputs
from maskc.binding.bind import (
    BoundMask,
    BoundScore,
    Lookup,
    attending_all,
    bind_mask,
    bind_score,
    score_left_alone,
)
from maskc.binding.call import CallSpec
from maskc.binding.decided_mask import DecidedMask
from maskc.binding.signature import CallSignature, call_signature, traced_row_program
from maskc.blocks import traced
from maskc.blocks.auto_size import UNSEEN
from maskc.blocks.mask_blocks import MaskBlocks
from maskc.blocks.traced_bands import TracedMaskBlocks
from maskc.compiled import Compiled
from maskc.errors import BindError
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, Load, Module, Same, TopK, walk
from maskc.ir.text import expr_text
from maskc.ir.types import Sz
from maskc.lower.plan import Plan
from maskc.lower.tensor_cache import TensorCache
from maskc.run.traced_state import known_of

_LOOKUP = traced_row_program()
"""Made when the module is loaded, so that a trace finds it."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What is known of a program, a call and its tensors.

    Attributes:
        mask: the bound mask, after the policy for rows without keys.
        left: what sizes leave of it, which holds as long as the binding, and in a trace.
        decided: what tensors leave of it besides; None in a trace.
        blocks: its tiles and block mask.
        empty_rows: the rows without keys where the policy asked for them, ``[B | 1, H | 1, Q]``.
        nan_rows: those that give NaN; None for none.
        signature: of the score and the epilogue; None for a program that is a mask alone.
        score: both bound; None while some of their inputs are left to the call.
        missing: the names of those.
        has_keys: whether every query row is known to have a key; False where nothing asks.
        lookup: ``row_program`` as it can be traced.
        traced: the block mask as it can be traced; likewise.
        cache: dense masks, kept from layer to layer.

    """

    mask: BoundMask
    left: Expr
    decided: DecidedMask | None
    blocks: MaskBlocks
    empty_rows: Tensor | None
    nan_rows: Tensor | None
    signature: CallSignature | None
    score: BoundScore | None
    missing: tuple[str, ...]
    has_keys: bool
    lookup: Lookup
    traced: traced.Blocks
    cache: TensorCache

    @property
    def is_stale(self) -> bool:
        """Whether a tensor of the mask was changed in place; a trace cannot tell."""
        return not in_trace() and not self.blocks.is_fresh

    def with_score(self, spec: CallSpec, given: Mapping[str, Any]) -> BoundScore:
        """Return the score and the epilogue bound to the inputs of one call."""
        if self.signature is None:
            return score_left_alone(self.mask)
        return bind_score(self.signature, spec, given, self.mask, self.lookup)

    def plan(self, score: BoundScore) -> Plan:
        """Return the whole program over tensors."""
        module = Module(self.mask_here, score.score, score.out)
        return Plan(
            module,
            score.domain,
            score.facts,
            self.has_keys,
            self.nan_rows,
            self.cache,
            self.mask.expr,
        )

    @property
    def mask_here(self) -> Expr:
        """What the call leaves of the mask; a trace outlives what tensors decide."""
        return self.left if self.decided is None or in_trace() else self.decided.by_tensors


def bind_state(
    program: Compiled, spec: CallSpec, given: Mapping[str, Any], built: BlockMask | None = None
) -> State:
    """Bind a program to the tensors of a call.

    Args:
        program: the program.
        spec: the call.
        given: the inputs; those of score and epilogue may be missing.
        built: the block mask, if another process has built it.

    Raises:
        BindError: an input does not fit, a subscript leaves it, or a row lacks a key it must have.

    """
    if in_trace():
        return _traced_state(program, spec, given)
    begin = log.start()
    module = program.module
    roots = (module.score, module.out)
    bound, decided = _bound(module.mask, spec, given)
    blocks = MaskBlocks(bound, spec, built)
    empty = _policy_rows(program, bound, blocks)
    mask, nan_rows = bound, None
    if empty is not None and bool(empty.any()):
        match program.empty_rows:
            case "all":
                mask = attending_all(bound, empty)
                blocks = MaskBlocks(mask, spec, built)
            case "nan":
                nan_rows = empty
    lookup, signature, score = _LOOKUP, None, None
    missing: tuple[str, ...] = ()
    if roots == (SCORE, OUT):
        score = score_left_alone(mask)
    else:
        missing = inputs.missing(roots, given)
        signature = call_signature(roots, spec, None if mask.expr == TRUE else mask.expr)
        if not missing:
            score = bind_score(signature, spec, given, mask, lookup)
    if mask is not bound:
        decided = DecidedMask(mask, spec.numbers)
    if begin is not None:
        lengths = [spec.sizes[which] for which in (Sz.Q_LEN, Sz.KV_LEN)]
        left = expr_text(decided.by_sizes)
        log.done(begin, "bound %s at %s x %s: %s", program.digest[:8], *lengths, left)
    return State(
        mask=mask,
        left=decided.by_sizes,
        decided=decided,
        blocks=blocks,
        empty_rows=empty,
        nan_rows=nan_rows,
        signature=signature,
        score=score,
        missing=missing,
        has_keys=(score is None or score.facts.asks_keys) and _has_keys(mask),
        lookup=lookup,
        traced=traced.blocks(mask.expr, spec.device, spec.block_size or UNSEEN, spec.backward),
        cache=TensorCache(tuple((score or mask).domain.tensors.values())),
    )


def _bound(mask: Expr, spec: CallSpec, given: Mapping[str, Any]) -> tuple[BoundMask, DecidedMask]:
    """Bind a mask, and decide what the call leaves of it."""
    if not spec.tensors and _reads_no_tensor(Same(mask)):
        return _lasting(Same(mask), spec)
    bound = bind_mask(call_signature((mask,), spec), spec, given)
    return bound, DecidedMask(bound, spec.numbers)


@lru_cache(maxsize=1024)
def _reads_no_tensor(mask: Same) -> bool:
    return not any(isinstance(term, Load | TopK) for term in walk(mask.expr))


@lru_cache(maxsize=1024)
def _lasting(mask: Same, spec: CallSpec) -> tuple[BoundMask, DecidedMask]:
    """Bind a mask that reads no tensor: nothing but the call decides it."""
    bound = bind_mask(call_signature((mask.expr,), spec), spec, {})
    return bound, DecidedMask(bound, spec.numbers)


def _traced_state(program: Compiled, spec: CallSpec, given: Mapping[str, Any]) -> State:
    """Return the state of a binding that is made within a trace."""
    known, mask, score = known_of(program, spec, given)
    module = program.module
    return State(
        mask=mask,
        left=known.left,
        decided=None,
        blocks=TracedMaskBlocks(mask, spec, known.bands, known.is_fixed),
        empty_rows=None,
        nan_rows=None,
        signature=known.signature,
        score=score,
        missing=inputs.missing((module.score, module.out), given),
        has_keys=known.has_keys,
        lookup=_LOOKUP,
        traced=known.blocks,
        cache=TensorCache(),
    )


def rebound(state: State, program: Compiled, spec: CallSpec, given: Mapping[str, Any]) -> State:
    """Return the state for tensors that were changed in place; a policy is applied again."""
    if state.empty_rows is not None:
        return bind_state(program, spec, given)
    decided = DecidedMask(state.mask, spec.numbers)
    blocks = MaskBlocks(state.mask, spec)
    return replace(state, blocks=blocks, left=decided.by_sizes, decided=decided)


def _has_keys(mask: BoundMask) -> bool:
    return mask.is_filled or has_keys(mask.expr, mask.domain.sizes)


def _policy_rows(program: Compiled, mask: BoundMask, blocks: MaskBlocks) -> Tensor | None:
    """Return the rows without keys if the program's policy asks for them, and there may be some.

    Raises:
        BindError: there are some, and the policy is ``error``.

    """
    if program.empty_rows == "zero" or _has_keys(mask):
        return None
    empty = blocks.empty_rows
    if program.empty_rows == "error" and bool(empty.any()):
        batch, head, row = (int(i) for i in empty.nonzero()[0])
        raise BindError(
            "M421",
            f"{int(empty.sum())} query rows have no key, "
            f"first batch {batch}, head {head}, row {row}",
            program.module.mask.span,
            'allow a key there, or take `empty_rows="zero"`',
        )
    return empty
