"""A separable bias as extra columns of q and k, so that SDPA's flash kernel needs no bias tensor.

Products of positions are large and cancel: ALiBi at 4096 tokens folded plainly is wrong by 1e-4 in
float32. So each factor is split into short parts whose products are exact, and the columns come
before those of q and k, largest first: a kernel that adds in order then rounds only what is small
(measured: 8e-7, as good as a float mask). ``maskc.testing.diff`` with the
backend ``sdpa+columns`` tells how it went on a machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskc.analysis.scores.score_class import Additive, Identity
from maskc.analysis.scores.separate import ONE, Lookup, Product, Term, needs_key_heads
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Expr, Index, inputs
from maskc.ir.types import Ix, Sz
from maskc.ir.vectorize import Domain, dense, inside
from maskc.lower.attention_call import Refusal
from maskc.lower.plan import Plan

SHORT, SHORT_PARTS = 12, 3
"""Bits and number of the parts of a factor: the product of two parts is exact in float32."""

LONG, LONG_PARTS = 24, 2
"""The same for a factor whose other side is 1."""

MOST_COLUMNS = 512
"""More columns than this cost more than the bias tensor that they save."""

ALIGNMENT = 8
"""Widths are padded to a multiple of this; CUDA's flash kernels ask for it."""

REMEDY = "leave out `fold_bias`, or run it on flex"

FEW_TERMS, MANY_PAIRS = 2, 2**22
"""Up to so many products and from so many pairs on, columns were measured to beat a bias tensor
(causal ALiBi, float32 on CPU: 1.2 times at 1024 tokens and 4 heads, 1.7 times at 4096)."""


@dataclass(frozen=True, slots=True)
class Widened:
    """A call whose bias is in the columns of q and k: the plan without it, its scale is 1.

    Attributes:
        plan: the rest of the program.
        q: ``[B, H, Q, columns + D]``, multiplied by the scale, padded with zeros.
        k: ``[B, Hkv, K, columns + D]``, likewise.
        columns: how many columns the bias takes.

    """

    plan: Plan
    q: Tensor
    k: Tensor
    columns: int


def refuses(plan: Plan, q: Tensor) -> Refusal | None:
    """Return why the bias of a plan cannot be columns of q and k, as far as shapes tell, or None.

    Args:
        plan: the bound program, its factors folded.
        q: queries ``[B, H, Q, D]``.

    """
    reason = _reason(plan, q)
    return None if reason is None else _refusal(plan, reason)


def widen(plan: Plan, q: Tensor, k: Tensor, scale: float) -> Widened:
    """Move the bias of a plan into columns of q and k.

    Args:
        plan: the bound program, its factors folded.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        scale: factor of ``q @ k^T``.

    Raises:
        LoweringError: a factor is not finite, or there are too many columns.

    """
    terms = plan.facts.terms
    assert terms is not None, "`refuses` was not asked"
    pairs = [pair for term in terms for pair in _columns(plan, term, q.dtype)]
    count = sum(key.shape[-1] for _, key in pairs)
    _refuse_wide(plan, count)
    # Largest parts first: what is added to them later is then small beside what they cancel to.
    pairs.sort(key=lambda pair: pair[0].order)
    queries = [_spread(part.values, q) for part, _ in pairs]
    keys = [_spread(key, k) for _, key in pairs]
    padding = -(count + q.shape[-1]) % ALIGNMENT
    wide_q = torch.cat([*queries, q * scale, q.new_zeros(*q.shape[:3], padding)], -1)
    wide_k = torch.cat([*keys, k, k.new_zeros(*k.shape[:3], padding)], -1)
    return Widened(plan.without_score(), wide_q, wide_k, count)


def pays(plan: Plan, q: Tensor) -> bool:
    """Tell whether the bias of a plan is better in columns than in a tensor, and has to fit there.

    It is where that was measured: on CPU in float32, for a few products and many pairs, and causal,
    for then the kernel skips half of them.
    """
    terms = plan.facts.terms
    if not terms or len(terms) > FEW_TERMS or not all(isinstance(t, Product) for t in terms):
        return False
    if q.device.type != "cpu" or q.dtype is not torch.float32 or in_trace():
        return False
    pairs = q.shape[0] * q.shape[1] * q.shape[2] * plan.domain.sizes[Sz.KV_LEN]
    skips = plan.is_causal and pairs >= MANY_PAIRS
    fits = not plan.is_grouped or not any(map(needs_key_heads, terms))
    return skips and fits and plan.facts.is_smooth and _reads_finite(plan)


def _reads_finite(plan: Plan) -> bool:
    """Tell whether the inputs of the score, of a row's size here, are finite."""
    read = (plan.domain.tensors[one.name] for one in inputs(plan.module.score))
    return all(bool(x.isfinite().all()) for x in read if x.is_floating_point())


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns of q, and when they are to be added: 0 first."""

    values: Tensor
    order: int


def _reason(plan: Plan, q: Tensor) -> str | None:
    """Return why the bias has no place in q and k, None if it has."""
    if not isinstance(plan.facts.form, Identity | Additive):
        return "the score is more than a bias, so there is none to fold"
    terms = plan.facts.terms
    if terms is None:
        return "it is no finite sum of f(head, q) * g(k) that is seen"
    if plan.is_grouped and any(map(needs_key_heads, terms)):
        return "a factor of k differs by head, but one key head serves several heads"
    if q.dtype not in (torch.float32, torch.float64) and any(map(_is_product, terms)):
        short = str(q.dtype).removeprefix("torch.")
        return f"positions and other factors lose too much in {short}; only tables fold"
    return None


def _is_product(term: Term) -> bool:
    return isinstance(term, Product) or term.key != ONE


def _columns(plan: Plan, term: Term, dtype: torch.dtype) -> Iterator[tuple[_Part, Tensor]]:
    """Yield columns of q and of k for a term; the sum of their products is its value."""
    # What is looked up is passed on as it is; what is multiplied is rounded once, at the end.
    domain = plan.domain if isinstance(term, Lookup) else _doubled(plan.domain)
    query = _finite(plan, _of_query(term, domain))
    key = _finite(plan, dense(term.key, domain).transpose(-1, -2))
    if isinstance(term, Lookup):
        chosen = _one_hot(dense(term.subscript, domain), query.shape[-1])
        yield _Part(query.to(dtype), 0), (chosen * key).to(dtype)
        return
    query, key = query.double(), key.double()
    if dtype is torch.float64:
        yield _Part(query, 0), key.expand(*key.shape[:2], plan.domain.sizes[Sz.KV_LEN], 1)
        return
    queries = _parts(query, LONG, LONG_PARTS) if term.key == ONE else _parts(query)
    keys = [key] if term.key == ONE else _parts(key, SHORT, _key_parts(term.key, domain))
    for i, left in enumerate(queries):
        for j, right in enumerate(keys):
            yield _Part(left.float(), i + j), right.float()


def _of_query(term: Term, domain: Domain) -> Tensor:
    """Return the side of q, ``[B | 1, H | 1, Q | 1, columns]``."""
    if isinstance(term, Product):
        return dense(term.query, domain)
    entries = _entries(term, domain)
    return entries if term.query == ONE else dense(term.query, domain) * entries


def _finite(plan: Plan, values: Tensor) -> Tensor:
    """Refuse values that are not finite: a product with 0 would be NaN, also at a masked key."""
    finite = values.isfinite().all()
    if in_trace():
        # A trace cannot look into tensors: there all becomes NaN, never a number that is wrong.
        return values.where(finite, torch.nan)
    if not finite:
        reason = "it has factors that are not finite, so their products may be NaN"
        raise _refusal(plan, reason).error()
    return values


def _entries(term: Lookup, domain: Domain) -> Tensor:
    """Return the table with the dimension that k subscripts last: k runs along its entries."""
    size = domain.tensors[term.table.input.name].shape[term.place]
    sizes = {**domain.sizes, Sz.KV_LEN: size}
    return dense(term.entries, Domain(sizes, domain.tensors, domain.device))


def _one_hot(subscript: Tensor, size: int) -> Tensor:
    """Return ``[B | 1, H | 1, K | 1, size]``: 1 where the subscript, kept inside, is the entry."""
    entry = torch.arange(size, device=subscript.device)
    index: Tensor = inside(subscript, size)
    return index.transpose(-1, -2) == entry


def _parts(x: Tensor, bits: int = SHORT, count: int = SHORT_PARTS) -> list[Tensor]:
    """Split numbers into parts of few bits, largest first; the last holds the rest.

    Gradients go through the last part, which is x less constants.
    """
    parts: list[Tensor] = []
    for _ in range(count - 1):
        mantissa, exponent = torch.frexp(x.detach())
        parts.append(torch.ldexp((mantissa * 2.0**bits).round(), exponent - bits))
        x = x - parts[-1]
    return [*parts, x]


def _key_parts(key: Expr, domain: Domain) -> int:
    """Return how many short parts hold a factor of k: one for a short sequence's positions."""
    match key:
        case Index(Ix.KV_IDX) if domain.sizes[Sz.KV_LEN] <= 2**SHORT:
            return 1
        case _:
            return 2


def _refuse_wide(plan: Plan, count: int) -> None:
    if count > MOST_COLUMNS:
        reason = f"the bias takes {count} columns, expected at most {MOST_COLUMNS}"
        raise _refusal(plan, reason).error()


def _refusal(plan: Plan, reason: str) -> Refusal:
    message = f"the bias cannot be folded into q and k: {reason}"
    return Refusal("M510", message, REMEDY, plan.module.score.span)


def _spread(columns: Tensor, like: Tensor) -> Tensor:
    return columns.expand(*like.shape[:3], columns.shape[-1]).to(like.dtype)


def _doubled(domain: Domain) -> Domain:
    """Return the domain with its floats in float64, so that products are rounded once."""
    tensors = {n: t.double() if t.is_floating_point() else t for n, t in domain.tensors.items()}
    return Domain(domain.sizes, tensors, domain.device)
