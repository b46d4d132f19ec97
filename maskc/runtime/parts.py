"""A program and a call to row expressions over tensors, one part at a time.

The mask is bound once; the score and the epilogue may be bound later, at each call, because the
tensors they read may be computed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from maskc.ir.nodes import TRUE, Expr, Input, IntConst, Load, Module, Or, Same
from maskc.ir.rows import BATCH, HEAD, Q_ROW, Layout, to_rows
from maskc.ir.types import Type
from maskc.ir.vectorize import Domain
from maskc.lower.plan import Facts, facts
from maskc.runtime import inputs
from maskc.runtime.request import Request
from maskc.runtime.select import Selections
from maskc.runtime.subscripts import check_counts, check_reads

if TYPE_CHECKING:
    from torch import Tensor

EMPTY = Input("empty_rows", Type.BOOL)
"""Which query rows have no key; the name is reserved, so no program can have it."""


@dataclass(frozen=True, slots=True)
class MaskPart:
    """The mask of a call over rows, and what it runs over."""

    expr: Expr
    domain: Domain


@dataclass(frozen=True, slots=True)
class ScorePart:
    """The score and the epilogue of a call over rows; the domain holds the mask's tensors too."""

    score: Expr
    out: Expr
    domain: Domain
    facts: Facts


def bind_mask(module: Module, request: Request, given: Mapping[str, Any]) -> MaskPart:
    """Bind the mask of ``module``.

    Raises:
        BindError: an input does not fit, or a subscript leaves it.

    """
    (mask,), domain = _bind((module.mask,), request, given, "mask")
    check_reads(mask, domain)
    return MaskPart(mask, domain)


def bind_score(
    module: Module, request: Request, given: Mapping[str, Any], mask: MaskPart
) -> ScorePart:
    """Bind the score and the epilogue of ``module``; the mask guards what the score reads.

    Raises:
        BindError: an input does not fit, or a subscript leaves it.

    """
    (score, out), own = _bind((module.score, module.out), request, given, "score")
    domain = Domain(own.sizes, {**mask.domain.tensors, **own.tensors}, own.device)
    check_reads(score, domain, None if mask.expr == TRUE else mask.expr)
    check_reads(out, domain)
    return ScorePart(score, out, domain, facts(score, out))


def attending_all(mask: MaskPart, empty: Tensor) -> MaskPart:
    """Return the mask that lets the rows without a key attend to every key."""
    indices = tuple(
        IntConst(0) if size == 1 else index
        for index, size in zip((BATCH, HEAD, Q_ROW), empty.shape, strict=True)
    )
    tensors = {**mask.domain.tensors, EMPTY.name: empty.contiguous()}
    domain = Domain(mask.domain.sizes, tensors, mask.domain.device)
    return MaskPart(Or((mask.expr, Load(EMPTY, indices))), domain)


def _bind(
    roots: tuple[Expr, ...], request: Request, given: Mapping[str, Any], owner: str
) -> tuple[tuple[Expr, ...], Domain]:
    """Return logical expressions as row expressions, and the tensors they read."""
    shapes, tensors = inputs.read(roots, given, request)
    check_counts(roots, shapes, tensors, request)
    layout = Layout(request.q, request.k, request.head_offset, request.group, shapes)
    domain = Domain(request.sizes, {**request.tensors, **tensors}, request.device)
    selections = Selections(domain, owner)
    rows = tuple(selections.resolve(_row_expr(Same(root), layout)) for root in roots)
    return rows, Domain(domain.sizes, {**domain.tensors, **selections.tensors}, domain.device)


@lru_cache(maxsize=4096)
def _row_expr(root: Same, layout: Layout) -> Expr:
    return to_rows(root.expr, layout)
