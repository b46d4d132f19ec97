"""Bands read as bands: beside ``q - k < 256``, ``k <= q`` is written ``0 <= q - k``.

Runs once, after all other passes: alone, the same bound reads better as ``k <= q``.
"""

from __future__ import annotations

from maskc.ir.nodes import And, Expr, rewrite
from maskc.passes.support.constraint import Kind, banded, constraint, is_distance
from maskc.passes.support.give_spans import give_spans


def pair_bounds(expr: Expr) -> Expr:
    """Return ``expr`` with both bounds of a distance written alike."""
    return rewrite(expr, _paired)


def _paired(expr: Expr) -> Expr | None:
    if not isinstance(expr, And):
        return None
    result = [constraint(arg) for arg in expr.args]
    forms = [item.form for item in result if item is not None and item.kind is Kind.GE]
    variables = {form.variable for form in forms if is_distance(form)}
    operands = []
    for arg, item in zip(expr.args, result, strict=True):
        is_bound = item is not None and item.kind is Kind.GE and item.form.variable in variables
        if item is not None and is_bound and -item.form.variable in variables:
            operands.append(give_spans(banded(item.form), arg.span))
        else:
            operands.append(arg)
    return None if tuple(operands) == expr.args else And(tuple(operands), span=expr.span)
