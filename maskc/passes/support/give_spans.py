"""Places of new terms: a term that a pass makes stands where the term that it replaces stood."""

from __future__ import annotations

from maskc.ir.nodes import Expr, children, placed, with_children
from maskc.source import Span


def give_spans(expr: Expr, span: Span | None) -> Expr:
    """Return ``expr`` with ``span`` at every term that has no place yet."""
    if expr.span is not None or span is None:
        return expr
    kids = tuple(give_spans(kid, span) for kid in children(expr))
    return placed(with_children(expr, kids), span)
