"""What the lowerings are given: a bound program, as row expressions over tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from maskc.analysis.scores.score_class import Additive, Identity, Scaled, ScoreClass, classify
from maskc.analysis.scores.separate import Term, separate
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import (
    OUT,
    SCORE,
    TRUE,
    Arith,
    Compare,
    Expr,
    Module,
    inputs,
    reads,
)
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.rows import KV_ROW, Q_ROW
from maskc.ir.smooth import is_smooth
from maskc.ir.types import Given, Sz
from maskc.ir.vectorize import Domain, Window, dense, widened
from maskc.lower.codegen.tensors import Generated, Kind, generate
from maskc.lower.tensor_cache import TensorCache

CAUSAL = Compare(CompareOp.LE, KV_ROW, Q_ROW)
"""Upper-left causal over rows: what SDPA calls ``is_causal``."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the lowerings ask of a score and an epilogue, worked out once.

    Attributes:
        score: the score.
        form: its class.
        code: its Python, None where it is left as it is.
        ignores_score: whether the new score does not depend on the old.
        reads_lse: whether the epilogue reads the log-sum-exp.
        is_smooth: whether the score and its slope are finite wherever what they read is.
        rest: of the score without its factors; None where there are none.
        terms: of a bias that is a sum of products of q and k; None for any other.
        asks_keys: whether its factors may be folded only if every query row has a key.
        is_steady: whether its factor of keys is finite, also at keys that nobody sees.

    """

    score: Expr
    form: ScoreClass
    code: Generated | None
    ignores_score: bool
    reads_lse: bool
    is_smooth: bool
    rest: Facts | None = None
    terms: tuple[Term, ...] | None = None
    asks_keys: bool = False
    is_steady: bool = True


@lru_cache(maxsize=4096)
def facts(score: Expr, out: Expr) -> Facts:
    """Return the facts of a score and an epilogue over rows."""
    form = classify(score)
    ignores, lse = not reads(score, Given.SCORE), reads(out, Given.LSE)
    return Facts(
        score=score,
        form=form,
        code=_code(score),
        ignores_score=ignores,
        reads_lse=lse,
        is_smooth=is_smooth(score),
        rest=_rest(form, lse),
        terms=_terms(form),
        asks_keys=_asks_keys(form),
        is_steady=not isinstance(form, Scaled) or is_smooth(form.key),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A row program and the tensors that it runs over.

    Attributes:
        module: mask, score and epilogue over rows; of the mask, what the call leaves undecided.
        domain: sizes, tensors, device.
        facts: what is known of the score and the epilogue.
        has_keys: whether every query row is known to have a key.
        nan_rows: True for a query row whose output is NaN, ``[B | 1, H | 1, Q]``; None for none.
        kept: dense masks of the binding.
        written: the whole mask, which the reference runs; None where it is that of ``module``.
        window: the piece of the attention matrix that it is about, all of it if None.
        piece: the mask there, where it is made already.

    """

    module: Module
    domain: Domain
    facts: Facts
    has_keys: bool = False
    nan_rows: Tensor | None = None
    kept: TensorCache = field(default_factory=TensorCache, compare=False, repr=False)
    written: Expr | None = None
    window: Window | None = None
    piece: Tensor | None = None

    @property
    def masks(self) -> bool:
        """Whether any pair may be masked."""
        return self.module.mask != TRUE

    @property
    def is_causal(self) -> bool:
        """Whether the mask is exactly SDPA's ``is_causal``."""
        return self.module.mask == CAUSAL and self.window is None

    @property
    def is_grouped(self) -> bool:
        """Whether several query heads share a key head."""
        return self.domain.sizes[Sz.NUM_HEADS] != self.domain.sizes[Sz.NUM_KV_HEADS]

    @property
    def changes_score(self) -> bool:
        """Whether the program has a score of its own."""
        return self.module.score != SCORE

    @property
    def has_epilogue(self) -> bool:
        """Whether the program changes the output."""
        return self.module.out != OUT

    def as_written(self) -> Plan:
        """Return the plan with the whole mask, whatever the call decides of it."""
        if self.written is None:
            return self
        module = Module(self.written, self.module.score, self.module.out)
        return replace(self, module=module, written=None)

    def unmasked(self) -> Plan:
        """Return the plan without its mask, for keys that each query sees."""
        return replace(self, module=Module(TRUE, self.module.score, self.module.out), written=None)

    def without_factors(self) -> Plan:
        """Return the plan whose score only adds the bias, or is left as it is."""
        rest = self.facts.rest
        if rest is None:
            return self
        module = Module(self.module.mask, rest.score, self.module.out)
        return replace(self, module=module, facts=rest)

    def without_score(self) -> Plan:
        """Return the plan that leaves the score as it is."""
        module = Module(self.module.mask, SCORE, self.module.out)
        known = Facts(SCORE, Identity(), None, False, self.facts.reads_lse, True, terms=())
        return replace(self, module=module, facts=known)

    def within(self, window: Window, piece: Tensor | None, kept: TensorCache | None = None) -> Plan:
        """Return the plan of a piece of the attention matrix.

        Args:
            window: the piece.
            piece: the mask there, None where nothing is masked.
            kept: dense masks of the piece; None: they are not kept.

        """
        mask = TRUE if piece is None else self.module.mask
        module = replace(self.module, mask=mask)
        own = TensorCache() if kept is None else kept
        return replace(self, module=module, window=window, piece=piece, kept=own)

    def dense_mask(self) -> Tensor | None:
        """Return the mask on all pairs, kept from layer to layer; None where nothing is masked."""
        if self.piece is not None:
            return self.piece
        mask = self.module.mask
        return self.keep("mask", mask, (mask,), lambda: self.dense(mask)) if self.masks else None

    def keep(
        self, name: str, key: Hashable, read: tuple[Expr, ...], make: Callable[[], Tensor]
    ) -> Tensor:
        """Return what ``make`` makes of the tensors that ``read`` reads, kept if it can be."""
        if in_trace():
            return make()  # equal parts of one graph are the compiler's to share
        tensors = [self.domain.tensors[one.name] for one in inputs(*read)]
        return self.kept.get(name, key, tensors, make)

    def dense(
        self,
        expr: Expr,
        given: dict[Given, Tensor] | None = None,
        counted: Tensor | None = None,
    ) -> Tensor:
        """Return an expression on all pairs ``[B, H, Q, K]``, 1 where it does not depend.

        Of a plan of a window these are its pairs.

        Args:
            expr: the row expression.
            given: what it reads of the running score, the output and the log-sum-exp.
            counted: where a gradient flows to what it reads, everywhere if None.

        """
        return dense(expr, self.domain, given, counted, self.window)

    def epilogue(self, out: Tensor, lse: Tensor | None) -> Tensor:
        """Return the output after the program's epilogue.

        Args:
            out: ``[B, H, Q, Dv]``.
            lse: natural log-sum-exp of each row ``[B, H, Q]``; may be None if nothing reads it.

        """
        if self.has_epilogue:
            given = {Given.OUT: widened(out)}
            given |= {} if lse is None else {Given.LSE: lse.unsqueeze(-1)}
            out = self.dense(self.module.out, given).to(out.dtype).expand_as(out)
        if self.nan_rows is not None:
            out = torch.where(self.nan_rows.unsqueeze(-1), torch.nan, out)
        return out


def _rest(form: ScoreClass, reads_lse: bool) -> Facts | None:
    match form:
        case Scaled(bias=bias):
            score = SCORE if bias is None else Arith(ArithOp.ADD, SCORE, bias)
            return replace(facts(score, OUT), reads_lse=reads_lse)
        case _:
            return None


def _asks_keys(form: ScoreClass) -> bool:
    """Tell whether a factor of a query may be infinite, which a row without keys would show."""
    match form:
        case Scaled(head=head, query=query):
            return not (is_smooth(head) and is_smooth(query))
        case _:
            return False


def _terms(form: ScoreClass) -> tuple[Term, ...] | None:
    match form:
        case Identity():
            return ()
        case Additive(bias):
            return separate(bias)
        case _:
            return None


def _code(score: Expr) -> Generated | None:
    return None if score == SCORE else generate(score, Kind.SCORE)
