"""Programs to SDPA band by band: query rows that follow each other, against the keys they need.

Each band of ``maskc.analysis.bands`` is attended as a small matrix of its own: by SDPA where the
score is at most a bias, by the dense formula where it is more or a log-sum-exp is needed. The
outputs are laid one under another. Gradients are autograd's; time and memory follow the bands, not
the square.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskc.analysis.bands import CALL, Band, Part, Parts, Rest, key_count, pairs
from maskc.analysis.scores.score_class import Additive, Identity
from maskc.ir.in_trace import in_trace
from maskc.ir.vectorize import Window
from maskc.lower import dense, sdpa
from maskc.lower.attention_call import Attended, AttentionCall, Refusal
from maskc.lower.fold_factors import fold, remaining
from maskc.lower.plan import Plan
from maskc.lower.unseen_keys import seen_by_some, zeroed
from maskc.topics import describe_bytes

LIMIT = 64 * 2**20
"""Bytes above which masks are not kept for the next layer, and above which the backward pass
computes scores again instead of keeping those of all bands."""

SHORTEST = 2**22
"""Pairs, over all batches and heads, below which a dense mask takes less time than to find bands
(measured: 1024 tokens of 4 heads gain 1.4 times and more)."""

DENSEST = 2 / 3
"""The share of all pairs up to which bands were measured to win 1.3 times and more."""


def refuses(plan: Plan, call: AttentionCall) -> Refusal | None:
    """Return why the call cannot run in bands: it always can."""
    return None


def run(plan: Plan, call: AttentionCall) -> Attended:
    """Attend band by band.

    Within ``torch.compile`` the bands are constants of the graph: a mask with others compiles
    again, as often as torch's ``recompile_limit`` allows.

    Raises:
        LoweringError: a trace finds no bands made before it.

    """
    long = is_long(plan, call)
    parts = call.blocks.bands(long)
    folded = fold(plan, call.q, call.k, call.scale)
    bands = _Bands(
        folded.plan,
        folded.scale,
        call.dropout_p,
        by_kernel=by_kernel(plan, call),
        needs_lse=needs_lse(plan, call),
        again=torch.is_grad_enabled() and 4 * pairs(parts) > LIMIT,
        names=_names(parts, long),
        biases=_biases(parts, folded.plan, call),
    )
    result = [
        bands.attend(part, *qkv)
        for part, qkv in zip(parts, _cut(parts, folded.q, folded.k, call.v), strict=True)
    ]
    heads = len({part.heads for part in parts})
    out = _laid_out([part.out for part in result], heads)
    lse = _laid_out([x for _, x in result if x is not None], heads) if bands.needs_lse else None
    return Attended(plan.epilogue(out, lse), lse)


def is_long(plan: Plan, call: AttentionCall) -> bool:
    """Tell whether SDPA runs a band without a mask as it is, so that it may have any length."""
    return isinstance(remaining(plan), Identity) and not needs_lse(plan, call)


def by_kernel(plan: Plan, call: AttentionCall) -> bool:
    """Tell whether SDPA runs the bands, and not the dense formula."""
    return isinstance(remaining(plan), Identity | Additive) and not needs_lse(plan, call)


def density(parts: Parts, call: AttentionCall) -> float:
    """Return the share of all pairs that the bands hold, from 0 to 1."""
    batch, heads, rows, _ = call.q.shape
    return pairs(parts) / max(1, batch * heads * rows * call.k.shape[2])


def pays(plan: Plan, call: AttentionCall) -> bool:
    """Tell whether bands are faster than a dense mask on CPU, with or without a gradient.

    A trace takes bands as constants, so there they pay only if no tensor can change them.
    """
    batch, heads, rows, _ = call.q.shape
    whole, long = batch * heads * rows * call.k.shape[2], is_long(plan, call)
    if in_trace() and not call.blocks.has_lasting_bands(long):
        return False
    if call.q.device.type != "cpu" or whole < SHORTEST:
        return False
    parts = call.blocks.bands(long)
    calls = sum(len(part.bands) for part in parts)
    return not by_kernel(plan, call) or pairs(parts) + calls * CALL <= DENSEST * whole


def explain(plan: Plan | None, call: AttentionCall) -> list[str]:
    """Return how many bands there are, how dense, and the memory that they take."""
    long = plan is None or is_long(plan, call)
    parts = call.blocks.bands(long)
    rests = [band.rest for part in parts for band in part.bands]
    kinds = ", ".join(f"{rests.count(rest)} {rest.value}" for rest in Rest if rest in rests)
    share = f"{100 * density(parts, call):.3g} % of all pairs"
    return [f"bands: {kinds}; {share}", *_memory(plan, call, parts)]


def _memory(plan: Plan | None, call: AttentionCall, parts: Parts) -> list[str]:
    if plan is None or is_long(plan, call):
        size = _mask_bytes(_names(parts, True))
        return [f"boolean masks, {describe_bytes(size)}"] if size else []
    sizes = [_size(band.window) for part in parts for band in part.bands]
    what = "float masks" if by_kernel(plan, call) else "dense scores"
    return [f"{what} of a band, at most {describe_bytes(4 * max(sizes))}"]


@dataclass(frozen=True, slots=True)
class _Bands:
    """What the bands of a call share.

    Attributes:
        plan: the program, without factors of the score.
        scale: factor of ``q @ k^T``.
        dropout_p: probability that a weight is dropped.
        by_kernel: whether SDPA runs them.
        needs_lse: whether the log-sum-exp is needed.
        again: whether the backward pass computes scores again, to hold those of a band at a time.
        names: one for each of the different masks.
        biases: likewise for each band whose bias is kept for the next layer.

    """

    plan: Plan
    scale: float
    dropout_p: float
    by_kernel: bool
    needs_lse: bool
    again: bool
    names: dict[Window, str]
    biases: dict[Window, str]

    def attend(self, part: Part, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        """Attend the batches and heads of a part: ``q`` is ``[b, h, Q, D]``."""
        rows = q.split_with_sizes([len(band.window.rows) for band in part.bands], 2)
        runs = [band.window.keys for band in part.bands]
        result = [
            self._band(band, *qkv)
            for band, *qkv in zip(part.bands, rows, _keys(k, runs), _keys(v, runs), strict=True)
        ]
        lse = [x for _, x in result if x is not None]
        return Attended(_joined([out for out, _ in result], 2), _joined(lse, 2) if lse else None)

    def _band(self, band: Band, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        if not band.window.keys:
            return _nothing(q, k, v)
        causal = self.by_kernel and self._is_causal(band)
        mask, kept = None if causal else self._mask(band), None
        if band.window in self.biases:
            kept = self.plan.kept.inner(self.biases[band.window], band.window)
        k, v = zeroed(self._seen(band, mask, k.shape[1]), k, v)
        plan = self.plan.within(band.window, mask, kept)
        if self.by_kernel:
            return Attended(self._kernel(plan, q, k, v, causal), None)
        if self.again and not in_trace():
            return Attended(*checkpoint(self._formula, plan, q, k, v, use_reentrant=False))
        return self._formula(plan, q, k, v)

    def _is_causal(self, band: Band) -> bool:
        """Tell whether SDPA takes the mask as ``is_causal``; it is wrong of a scale below 0."""
        return band.rest is Rest.CAUSAL and not (self.plan.changes_score or self.scale <= 0)

    def _mask(self, band: Band) -> Tensor | None:
        """Return the mask of a band, which the next layer and equal bands share if all are few."""
        if band.rest is Rest.NONE:
            return None
        mask, plan, name = self.plan.module.mask, self._at(band.seen), self.names.get(band.seen)
        if name is None or _mask_bytes(self.names) > LIMIT:
            return plan.dense(mask)
        return self.plan.keep(name, (mask, band.seen), (mask,), lambda: plan.dense(mask))

    def _seen(self, band: Band, mask: Tensor | None, key_heads: int) -> Tensor | None:
        """Return which keys of a band a row of it attends to; None, and no elements: all."""
        if mask is None:
            return None
        whole, name = self.plan.module.mask, self.names.get(band.seen)
        if name is None or _mask_bytes(self.names) > LIMIT:
            return seen_by_some(mask, key_heads)
        key = whole, band.seen, key_heads
        make = partial(seen_by_some, mask, key_heads)
        return self.plan.keep(f"keys of {name}", key, (whole,), make)

    def _at(self, window: Window) -> Plan:
        return self.plan.within(window, None)

    def _kernel(self, plan: Plan, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if causal else sdpa.attn_mask(plan, q),
            is_causal=causal,
            dropout_p=self.dropout_p,
            scale=self.scale,
            enable_gqa=q.shape[1] != k.shape[1],
        )

    def _formula(self, plan: Plan, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        scores = dense.scaled_scores(dense.precise(q), dense.precise(k), self.scale)
        scores = dense.masked_scores(plan, scores)
        weights = F.dropout(dense.weights(scores), self.dropout_p)
        out = weights @ dense.repeated(dense.precise(v), q.shape[1])
        return Attended(out.to(v.dtype), dense.log_sum_exp(scores) if self.needs_lse else None)


def needs_lse(plan: Plan, call: AttentionCall) -> bool:
    """Tell whether the caller or the epilogue needs the log-sum-exp."""
    return call.needs_lse or plan.facts.reads_lse


def _size(window: Window) -> int:
    return len(window.batch) * len(window.heads) * len(window.rows) * key_count(window)


def _names(parts: Parts, long: bool) -> dict[Window, str]:
    """Return a name for each of the different masks of the bands that are made as tensors."""
    unmade = (Rest.NONE, Rest.CAUSAL) if long else (Rest.NONE,)
    seen = {b.seen: None for part in parts for b in part.bands if b.rest not in unmade}
    kind = "long band" if long else "band"
    return {window: f"{kind} {number}" for number, window in enumerate(seen)}


def _biases(parts: Parts, plan: Plan, call: AttentionCall) -> dict[Window, str]:
    """Return a name for each band if the float masks of all are few enough to be kept."""
    size = pairs(parts) * dense.precise(call.q).element_size()
    if in_trace() or size > LIMIT or not isinstance(plan.facts.form, Additive):
        return {}
    windows = [band.window for part in parts for band in part.bands]
    return {window: f"bias {number}" for number, window in enumerate(windows)}


def _mask_bytes(windows: Iterable[Window]) -> int:
    return sum(map(_size, windows))


def _nothing(q: Tensor, k: Tensor, v: Tensor) -> Attended:
    """Return what rows without keys get: a sum of nothing, through which gradients of 0 flow."""
    heads = q.shape[1]
    none = q @ dense.repeated(k[:, :, :0], heads).transpose(-1, -2)
    out = none @ dense.repeated(v[:, :, :0], heads)
    return Attended(out, dense.precise(none).sum(-1) - math.inf)


def _keys(x: Tensor, wanted: Sequence[tuple[range, ...]]) -> Iterator[Tensor]:
    """Yield the rows of k or v of each band, ``[b, h, keys, D]``.

    The gradient of a slice is as large as what it is cut from, so the slices of all bands share
    one. A trace is given what it knows: rows that are cut once, at all ends, and joined again.
    """
    if not in_trace():
        slices = iter(_slices(x, [run for runs in wanted for run in runs or (range(0),)]))
        for runs in wanted:
            yield _joined(list(islice(slices, max(1, len(runs)))), 2)
        return
    ends = {end for runs in wanted for run in runs for end in (run.start, run.stop)}
    cuts = sorted(ends | {0, x.shape[2]})
    pieces = x.split_with_sizes([b - a for a, b in pairwise(cuts)], 2)
    place = {cut: number for number, cut in enumerate(cuts)}
    for runs in wanted:
        own = [p for run in runs for p in pieces[place[run.start] : place[run.stop]]]
        yield _joined(own or [x[:, :, :0]], 2)


def _slices(x: Tensor, runs: Sequence[range]) -> Sequence[Tensor]:
    """Return rows of k or v ``[b, h, K, D]`` as views."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return [x[:, :, run.start : run.stop] for run in runs]
    slices: tuple[Tensor, ...] = _Slices.apply(x, runs)  # type: ignore[no-untyped-call]
    return slices


class _Slices(torch.autograd.Function):
    """Rows of a tensor as views that may overlap; the gradients of all meet in one tensor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, runs: Sequence[range]) -> tuple[Tensor, ...]:
        """Return the slices."""
        return tuple(x[:, :, run.start : run.stop] for run in runs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what the gradient needs; ``torch.func`` asks for it apart from ``forward``."""
        x, ctx.runs = inputs
        ctx.shape = x.shape
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:
        """Return the sum of the gradients, each in its rows."""
        total: Tensor | None = None
        for run, grad in zip(ctx.runs, grads, strict=True):
            if grad is not None:
                total = grad.new_zeros(ctx.shape) if total is None else total
                total[:, :, run.start : run.stop] += grad
        return total, None


def _cut(parts: Parts, q: Tensor, k: Tensor, v: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield q, k and v of each part; k and v have the key heads of its query heads."""
    group = q.shape[1] // k.shape[1]
    batches, heads = {part.batch: None for part in parts}, {part.heads: None for part in parts}
    key_heads = {_key_heads(run, group): None for run in heads}
    queries = _grid(q, batches, heads)
    keys, values = (_grid(x, batches, key_heads) for x in (k, v))
    for part in parts:
        at = part.batch, _key_heads(part.heads, group)
        yield queries[part.batch, part.heads], keys[at], values[at]


def _key_heads(heads: range, group: int) -> range:
    return range(heads.start // group, -(-heads.stop // group))


def _grid(
    x: Tensor, batches: Iterable[range], heads: Iterable[range]
) -> dict[tuple[range, range], Tensor]:
    """Return a tensor cut into its batches and heads."""
    high, wide = ([len(run) for run in runs] for runs in (batches, heads))
    return {
        (batch, run): piece
        for batch, row in zip(batches, x.split_with_sizes(high), strict=True)
        for run, piece in zip(heads, row.split_with_sizes(wide, 1), strict=True)
    }


def _laid_out(parts: list[Tensor], heads: int) -> Tensor:
    """Return the parts of a grid, so many along the heads, as one tensor."""
    rows = [_joined(parts[at : at + heads], 1) for at in range(0, len(parts), heads)]
    return _joined(rows, 0)


def _joined(pieces: list[Tensor], dim: int) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)
