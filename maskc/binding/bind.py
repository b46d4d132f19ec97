"""A program and a call to row expressions over tensors.

The mask is bound once; the score and the epilogue may be bound later, at each call, because the
tensors they read may be computed there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from maskc.binding.call import CallSpec
from maskc.binding.check_int32 import check_values
from maskc.binding.check_reads import Danger, check_reads, open_dangers, possible_dangers
from maskc.binding.inputs import read
from maskc.binding.signature import CallSignature, RowProgram, Shapes, row_program
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, Input, IntConst, Load, Or
from maskc.ir.rows import BATCH, HEAD, Q_ROW
from maskc.ir.types import Type
from maskc.ir.vectorize import Domain
from maskc.lower.plan import Facts, facts
from maskc.topk.resolve import Resolution

Lookup = Callable[[int, Shapes], RowProgram]
"""Finds the row program of a signature for tensors of certain shapes."""

EMPTY = Input("empty_rows", Type.BOOL)
"""Which query rows have no key; the name is reserved, so no program can have it."""


@dataclass(frozen=True, slots=True)
class BoundMask:
    """The bound mask and its domain.

    Attributes:
        expr: the mask over rows.
        domain: its sizes and tensors.
        is_filled: whether rows without a key were given all of them.

    """

    expr: Expr
    domain: Domain
    is_filled: bool = False


@dataclass(frozen=True, slots=True)
class BoundScore:
    """The bound score and epilogue, and their domain, which holds the mask's tensors too."""

    score: Expr
    out: Expr
    domain: Domain
    facts: Facts


def bind_mask(signature: CallSignature, spec: CallSpec, given: Mapping[str, Any]) -> BoundMask:
    """Bind a mask.

    Args:
        signature: of the mask alone.
        spec: the call.
        given: the inputs.

    Raises:
        BindError: an input does not fit, or a subscript leaves it.

    """
    shapes, tensors = read(signature.roots, given, spec)
    program = row_program(signature.number, shapes)
    constants = {name: x.detach() for name, x in {**spec.tensors, **tensors}.items()}
    domain = Domain(spec.sizes, constants, spec.device)  # a mask has no gradient
    _check_values(program, domain)
    rows = _resolve(program, domain, signature, "mask")
    check_reads(rows.dangers[0], rows.domain, spec.numbers)
    return BoundMask(rows.exprs[0], rows.domain)


def bind_score(
    signature: CallSignature,
    spec: CallSpec,
    given: Mapping[str, Any],
    mask: BoundMask,
    traced: Lookup,
) -> BoundScore:
    """Bind a score and an epilogue; the mask guards what the score reads.

    Args:
        signature: of the score and the epilogue.
        spec: the call.
        given: the inputs.
        mask: the bound mask.
        traced: ``row_program`` as it can be traced.

    Raises:
        BindError: an input does not fit, or a subscript leaves it.
        LoweringError: within ``torch.compile``, where only the tensors could tell.

    """
    shapes, tensors = read(signature.roots, given, spec)
    lookup = traced if in_trace() else row_program
    program = lookup(signature.number, shapes)
    domain = Domain(spec.sizes, {**mask.domain.tensors, **spec.tensors, **tensors}, spec.device)
    _check_values(program, domain)
    rows = _resolve(program, domain, signature, "score")
    reached = None if mask.expr == TRUE else mask.expr
    check_reads(rows.dangers[0], rows.domain, spec.numbers, reached)
    check_reads(rows.dangers[1], rows.domain, spec.numbers)
    score, out = rows.exprs
    return BoundScore(score, out, rows.domain, program.facts or facts(score, out))


def score_left_alone(mask: BoundMask) -> BoundScore:
    """Return the score and the epilogue of a program that is a mask alone."""
    return BoundScore(SCORE, OUT, mask.domain, facts(SCORE, OUT))


def attending_all(mask: BoundMask, empty: Tensor) -> BoundMask:
    """Return the mask that lets the rows without a key attend to every key."""
    indices = tuple(
        IntConst(0) if size == 1 else index
        for index, size in zip((BATCH, HEAD, Q_ROW), empty.shape, strict=True)
    )
    tensors = {**mask.domain.tensors, EMPTY.name: empty.contiguous()}
    domain = replace(mask.domain, tensors=tensors)
    return BoundMask(Or((mask.expr, Load(EMPTY, indices))), domain, is_filled=True)


def _check_values(program: RowProgram, domain: Domain) -> None:
    """Refuse ints that may leave 32 bits; a trace has no values to look at."""
    if program.counted and not in_trace():
        check_values(program.exprs, domain.sizes, domain.tensors, program.counted)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Row expressions without selections, their tensors, and what may go wrong in each."""

    exprs: tuple[Expr, ...]
    domain: Domain
    dangers: tuple[tuple[Danger, ...], ...]


def _resolve(program: RowProgram, domain: Domain, signature: CallSignature, owner: str) -> _Rows:
    """Make the selections of a row program, where it has some."""
    if not program.selects:
        return _Rows(program.exprs, domain, program.dangers)
    selections = Resolution(domain, owner)
    exprs = tuple(selections.resolve(expr) for expr in program.exprs)
    domain = replace(domain, tensors={**domain.tensors, **selections.tensors})
    shapes = {name: ((False, tuple(tensor.shape)),) for name, tensor in domain.tensors.items()}
    dangers = tuple(
        open_dangers(possible_dangers(expr, shapes), signature.sizes, signature.reached)
        for expr in exprs
    )
    return _Rows(exprs, domain, dangers)
