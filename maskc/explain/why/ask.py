"""Ask a bound program about one pair, or about one query."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from maskc.binding.bind import BoundMask
from maskc.binding.call import CallSpec
from maskc.binding.inputs import missing
from maskc.compiled import Compiled
from maskc.explain.as_written import as_written
from maskc.explain.tree import Written, WrittenProgram
from maskc.explain.why.answer import Seen, Step, Why, WhyRow
from maskc.explain.why.decide import answer
from maskc.explain.why.point import as_rows, env_of, index, row_of
from maskc.explain.why.score import steps
from maskc.ir.evaluate import Env, Point
from maskc.ir.nodes import Expr
from maskc.ir.rows import Position
from maskc.ir.types import Given, Sz
from maskc.ir.vectorize import Window, dense
from maskc.lower import dense as scores
from maskc.lower.plan import Plan

MOST_RANGES = 6
"""Of one query, that are told with their bounds."""


@dataclass(frozen=True, eq=False)
class Question:
    """A bound program that is asked.

    Attributes:
        program: the program.
        spec: the call.
        given: the inputs, those of the call too.
        mask: the bound mask, after the policy for rows without keys.
        plan: the whole program with these inputs; None where some of the score's are missing.

    """

    program: Compiled
    spec: CallSpec
    given: Mapping[str, Any]
    mask: BoundMask
    plan: Plan | None

    def pair(
        self, at: Point, qk: tuple[Tensor, Tensor] | None = None, scale: float | None = None
    ) -> Why:
        """Return why a pair is seen or not; with q and k, its score and its weight too."""
        tree, env = self.written, self.env
        raw = None if qk is None else self._raw_scores(at, *qk, scale)
        told = None if tree.mask is None else answer(tree.mask, at, env)
        sees = bool(self._mask_row(at, range(at.kv_idx, at.kv_idx + 1))[0])
        start = None if raw is None else float(raw[at.kv_idx])
        done = steps(tree.score, at, replace(env, inputs=self._inputs(tree.score)), start)
        return Why(
            q=env.q_position(at.batch, at.q_idx),
            k=env.k_position(at.batch, at.kv_idx),
            q_idx=at.q_idx,
            kv_idx=at.kv_idx,
            batch=at.batch,
            head=at.head,
            sees=sees,
            mask=told,
            score=(_start(raw, at), *done) if tree.score or raw is not None else (),
            weight=None if raw is None else self._weight(at, raw),
            remarks=self._remarks(at, sees, None if told is None else told.value, done),
        )

    def row(self, at: Point) -> WhyRow:
        """Return which keys a query sees, and what bounds them."""
        env, count = self.env, self.spec.sizes[Sz.KV_LEN]
        seen = self._mask_row(at, range(count))
        runs = as_rows(seen)
        are_rows = self.spec.k in (Position.TABLE, Position.BATCH_TABLE)
        start = 0 if are_rows else env.k_position(at.batch, 0)
        ranges = tuple(
            Seen(
                start + first,
                start + stop,
                self._bound(at, first - 1),
                self._bound(at, stop),
            )
            for first, stop in runs[:MOST_RANGES]
        )
        return WhyRow(
            q=env.q_position(at.batch, at.q_idx),
            q_idx=at.q_idx,
            batch=at.batch,
            head=at.head,
            count=int(seen.sum()),
            kv_len=count,
            ranges=ranges,
            more=max(0, len(runs) - MOST_RANGES),
            are_rows=are_rows,
            nearest=None if runs else self.pair(replace(at, kv_idx=min(at.q_idx, count - 1))),
        )

    @cached_property
    def written(self) -> WrittenProgram:
        """The program as its user wrote it."""
        return as_written(self.program)

    @cached_property
    def env(self) -> Env:
        """What the evaluator needs for the mask."""
        mask = self.written.mask
        roots = (self.program.module.mask, *(() if mask is None else (mask.expr,)))
        return env_of(self.spec, self.given, roots)

    def _inputs(self, parts: tuple[Written, ...]) -> Mapping[str, Any]:
        """Return the inputs of the score that are given."""
        known = [part.expr for part in parts if self._is_given(part.expr)]
        return env_of(self.spec, self.given, tuple(known)).inputs

    def _is_given(self, expr: Expr) -> bool:
        return not missing((expr,), self.given)

    def _mask_row(self, at: Point, keys: range) -> Tensor:
        """Return what the bound mask says of a query and some keys, bool ``[K]``."""
        found = dense(self.mask.expr, self.mask.domain, window=_window(at, keys))
        return found.reshape(-1).expand(len(keys)).cpu()

    def _raw_scores(self, at: Point, q: Tensor, k: Tensor, scale: float | None) -> Tensor:
        """Return ``q . k * scale`` of one query and all keys, in float64."""
        query = q[at.batch, at.head, at.q_idx].detach().double()
        keys = k[at.batch, at.head // self.spec.group].detach().double()
        return keys @ query * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)

    def _weight(self, at: Point, raw: Tensor) -> float | None:
        """Return the weight of a key among those of its row."""
        if self.plan is None:
            return None
        keys = range(self.spec.sizes[Sz.KV_LEN])
        mask = self._mask_row(at, keys).to(raw.device)
        filled = {Given.SCORE: raw.masked_fill(~mask, 0.0).view(1, 1, 1, -1)}
        window = _window(at, keys)
        made = dense(self.plan.module.score, self.plan.domain, filled, window=window)
        row = made.double().reshape(-1).expand(len(keys)).masked_fill(~mask, -math.inf)
        return float(scores.weights(row.view(1, -1))[0, at.kv_idx])

    def _bound(self, at: Point, key: int) -> tuple[str, ...]:
        """Return what keeps a query from a key, nothing where there is no such key."""
        if not 0 <= key < self.spec.sizes[Sz.KV_LEN]:
            return ()
        told = self.pair(replace(at, kv_idx=key))
        reasons = told.reasons if told.mask and not told.mask.value else told.remarks
        return tuple(dict.fromkeys(reasons))

    def _remarks(
        self, at: Point, sees: bool, mask: bool | None, done: tuple[Step, ...]
    ) -> tuple[str, ...]:
        """Return what decides besides the mask."""
        value = True if self.written.mask is None else mask
        if any(step.is_masked for step in done) and value:
            return ("the score is -inf here, which masks the pair",)
        if sees == value or value is None:
            return ()
        if sees and self.mask.is_filled:
            return ('the row has no key, and `empty_rows="all"` gives it every key',)
        return ("the floats of the call round a comparison here to the other side",)


def place_of(
    spec: CallSpec, *, q: Any, k: Any, q_idx: Any, kv_idx: Any, batch: Any, head: Any
) -> tuple[Point, bool]:
    """Return the place that is asked about, and whether a key is named.

    Raises:
        BindError: the call has no such place.

    """
    batches, heads = spec.sizes[Sz.BATCH_SIZE], spec.sizes[Sz.NUM_HEADS]
    batch = index("batch", batch, batches, "batch")
    head = index("head", head, heads, "head")
    row = row_of(spec, "q", q, q_idx, batch)
    if k is None and kv_idx is None:
        return Point(batch, head, row, 0), False
    return Point(batch, head, row, row_of(spec, "k", k, kv_idx, batch)), True


def _window(at: Point, keys: range) -> Window:
    one = [range(i, i + 1) for i in (at.batch, at.head, at.q_idx)]
    return Window(one[0], one[1], one[2], (keys,))


def _start(raw: Tensor | None, at: Point) -> Step:
    value = None if raw is None else float(raw[at.kv_idx])
    return Step("q . k * scale", "", value)
