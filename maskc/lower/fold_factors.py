"""Factors of the score into ``scale``, q and k, where a kernel applies them for nothing.

``score * c`` is another scale; ``score * g[head] * f(q) * h(k)`` is the attention of ``q * g * f``
and ``k * h``. What is left is the score itself, or a bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import index

from torch import Tensor

from maskc.analysis.scores.score_class import ONE, Additive, Identity, Scaled, ScoreClass
from maskc.ir.nodes import Expr
from maskc.ir.types import Dim
from maskc.ir.vectorize import widened
from maskc.lower.plan import Plan


@dataclass(frozen=True, slots=True)
class Folded:
    """A call whose score has no factors left: the rest of the program, and new q, k and scale."""

    plan: Plan
    q: Tensor
    k: Tensor
    scale: float


def fold(plan: Plan, q: Tensor, k: Tensor, scale: float | None) -> Folded:
    """Fold the factors of a plan's score; a score with none, or with others, stays as it is.

    Args:
        plan: the bound program.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.

    """
    scale = default_scale(q) if scale is None else scale
    match plan.facts.form:
        case Scaled(constant, head, query, key) if folds(plan):
            q = _times(q, plan, head, query, math.copysign(1.0, constant))
            if key != ONE:
                k = (widened(k) * plan.dense(key).transpose(-1, -2)).to(k.dtype)
            return Folded(plan.without_factors(), q, k, scale * abs(constant))
        case _:
            return Folded(plan, q, k, scale)


def folds(plan: Plan) -> bool:
    """Tell whether every factor of the score has a place in scale, q and k.

    A key head that serves several query heads cannot carry a factor for each of them. A factor
    that may be infinite at a masked key, or in a row without keys, would make NaN of ``q @ k^T``
    there, mask or not.
    """
    match plan.facts.form:
        case Scaled(key=key):
            has_place = not (plan.is_grouped and Dim.HEAD in key.deps)
            steady = plan.facts.is_steady and (plan.has_keys or not plan.facts.asks_keys)
            return has_place and steady
        case _:
            return False


def remaining(plan: Plan) -> ScoreClass:
    """Return the class of what a kernel still has to compute once the factors are folded."""
    match plan.facts.form:
        case Scaled(bias=bias) if folds(plan):
            return Identity() if bias is None else Additive(bias)
        case form:
            return form


def default_scale(q: Tensor) -> float:
    """Return ``1 / sqrt(D)``; the width of a model is a constant of a trace."""
    return 1 / math.sqrt(index(q.shape[-1]))


def _times(q: Tensor, plan: Plan, head: Expr, query: Expr, sign: float) -> Tensor:
    """Multiply q by its factors, rounded once to its dtype.

    The scale's sign goes here too, for SDPA takes the root of its scale.
    """
    product = widened(q)
    for factor in (head, query):
        if factor != ONE:
            product = product * plan.dense(factor)
    return (product if sign > 0 else -product).to(q.dtype)
