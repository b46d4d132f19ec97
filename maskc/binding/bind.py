"""A program and a call to row expressions over tensors, one part at a time.

The mask is bound once; the score and the epilogue may be bound later, at each call, because the
tensors they read may be computed there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskc.binding import inputs
from maskc.binding.call import CallSpec
from maskc.binding.check_int32 import check_values
from maskc.binding.check_reads import Danger, check_reads, open_dangers
from maskc.binding.signature import CallSignature, RowProgram, Shapes, row_program
from maskc.ir.nodes import TRUE, Expr, Input, IntConst, Load, Or
from maskc.ir.rows import BATCH, HEAD, Q_ROW
from maskc.ir.types import Type
from maskc.ir.vectorize import Domain
from maskc.lower.plan import Facts, facts
from maskc.topk.resolve import Resolution

if TYPE_CHECKING:
    from torch import Tensor

Coder = Callable[[int, Shapes], RowProgram]

EMPTY = Input("empty_rows", Type.BOOL)
"""Which query rows have no key; the name is reserved, so no program can have it."""


@dataclass(frozen=True, slots=True)
class BoundMask:
    """The mask of a call over rows, what it runs over, and whether no query row lacks a key."""

    expr: Expr
    domain: Domain
    has_keys: bool


@dataclass(frozen=True, slots=True)
class BoundScore:
    """The score and the epilogue of a call over rows; the domain holds the mask's tensors too."""

    score: Expr
    out: Expr
    domain: Domain
    facts: Facts


def bind_mask(frame: CallSignature, request: CallSpec, given: Mapping[str, Any]) -> BoundMask:
    """Bind a mask.

    Args:
        frame: of the mask alone.
        request: the call.
        given: the inputs.

    Raises:
        BindError: an input does not fit, or a subscript leaves it.

    """
    found, own = _bind(row_program, frame, request, given)
    constants = {name: tensor.detach() for name, tensor in own.tensors.items()}
    own = Domain(own.sizes, constants, own.device)  # a mask has no gradient
    domain, (mask,), (dangers,) = _resolved(found, own, frame, "mask")
    check_reads(dangers, domain)
    return BoundMask(mask, domain, found.has_keys)


def bind_score(
    frame: CallSignature,
    request: CallSpec,
    given: Mapping[str, Any],
    mask: BoundMask,
    traced: Coder,
) -> BoundScore:
    """Bind a score and an epilogue; the mask guards what the score reads.

    Args:
        frame: of the score and the epilogue.
        request: the call.
        given: the inputs.
        mask: the bound mask.
        traced: ``frames.code`` as it can be traced.

    Raises:
        BindError: an input does not fit, or a subscript leaves it.
        LoweringError: within ``torch.compile``, that takes the tensors to tell.

    """
    import torch

    coded = traced if torch.compiler.is_compiling() else row_program
    found, own = _bind(coded, frame, request, given)
    domain = Domain(own.sizes, {**mask.domain.tensors, **own.tensors}, own.device)
    domain, (score, out), dangers = _resolved(found, domain, frame, "score")
    check_reads(dangers[0], domain, None if mask.expr == TRUE else mask.expr)
    check_reads(dangers[1], domain)
    known = facts(score, out) if found.facts is None or found.selects else found.facts
    return BoundScore(score, out, domain, known)


def attending_all(mask: BoundMask, empty: Tensor) -> BoundMask:
    """Return the mask that lets the rows without a key attend to every key."""
    indices = tuple(
        IntConst(0) if size == 1 else index
        for index, size in zip((BATCH, HEAD, Q_ROW), empty.shape, strict=True)
    )
    tensors = {**mask.domain.tensors, EMPTY.name: empty.contiguous()}
    domain = Domain(mask.domain.sizes, tensors, mask.domain.device)
    return BoundMask(Or((mask.expr, Load(EMPTY, indices))), domain, has_keys=True)


def _bind(
    coded: Coder, frame: CallSignature, request: CallSpec, given: Mapping[str, Any]
) -> tuple[RowProgram, Domain]:
    """Return the code of a frame for the tensors given, and the tensors."""
    import torch

    shapes, tensors = inputs.read(frame.roots, given, request)
    domain = Domain(request.sizes, {**request.tensors, **tensors}, request.device)
    found = coded(frame.number, shapes)
    if found.counted and not torch.compiler.is_compiling():
        check_values(found.exprs, domain.sizes, domain.tensors, found.counted)
    return found, domain


def _resolved(
    found: RowProgram, domain: Domain, frame: CallSignature, owner: str
) -> tuple[Domain, tuple[Expr, ...], tuple[tuple[Danger, ...], ...]]:
    """Return tensors, expressions and dangers once selections are made."""
    if not found.selects:
        return domain, found.exprs, found.dangers
    selections = Resolution(domain, owner)
    exprs = tuple(selections.resolve(expr) for expr in found.exprs)
    domain = Domain(domain.sizes, {**domain.tensors, **selections.tensors}, domain.device)
    shapes = {name: ((False, tuple(tensor.shape)),) for name, tensor in domain.tensors.items()}
    dangers = tuple(open_dangers(expr, shapes, frame.sizes, frame.reached) for expr in exprs)
    return domain, exprs, dangers
