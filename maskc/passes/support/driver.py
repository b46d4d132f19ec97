"""The only place that loops: every pass at every term, from the inside out, until none applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from maskc.ir.nodes import Expr, Module, children, with_children
from maskc.passes.booleans.absorb import absorb
from maskc.passes.booleans.arrange import arrange
from maskc.passes.booleans.assume import assume
from maskc.passes.booleans.choose import choose
from maskc.passes.booleans.complement import complement
from maskc.passes.booleans.constrain import constrain
from maskc.passes.booleans.dedupe import dedupe
from maskc.passes.booleans.drop_selected import drop_selected
from maskc.passes.booleans.equate import equate
from maskc.passes.booleans.flatten import flatten
from maskc.passes.booleans.negate import negate
from maskc.passes.booleans.normalize_comparisons import normalize_comparisons
from maskc.passes.booleans.pair_bounds import pair_bounds
from maskc.passes.booleans.unfold import unfold
from maskc.passes.booleans.unite import unite
from maskc.passes.numbers.divide import divide
from maskc.passes.numbers.drop_bounds import drop_bounds
from maskc.passes.numbers.drop_conversions import drop_conversions
from maskc.passes.numbers.fold_constants import fold_constants
from maskc.passes.numbers.normalize_sums import normalize_sums
from maskc.passes.numbers.widen_ints import widen_ints
from maskc.passes.program.assume_mask import assume_mask
from maskc.passes.program.collect_score import collect_score
from maskc.passes.program.mask_infinities import (
    mask_infinities,
    mask_infinities_at_every_pair,
)
from maskc.passes.support.give_spans import give_spans
from maskc.passes.support.keeps_meaning import keeps_meaning

Pass = Callable[[Expr], Expr | None]

PASSES: tuple[Pass, ...] = (
    fold_constants,
    drop_conversions,
    widen_ints,
    choose,
    normalize_sums,
    divide,
    drop_bounds,
    normalize_comparisons,
    equate,
    unfold,
    negate,
    flatten,
    dedupe,
    complement,
    absorb,
    drop_selected,
    constrain,
    unite,
    arrange,
    assume,
)
"""The passes, in the order in which they are tried at a term."""

WholeLaw = Callable[[Module], Module | None]

Watch = Callable[[str, Expr, Expr], None]
"""Is told of each use of a law: its name, a term, and what became of it."""

WHOLE: tuple[WholeLaw, ...] = (mask_infinities, assume_mask, collect_score)
"""The laws of whole programs, tried when no pass applies at any term."""

AT_EVERY_PAIR: tuple[WholeLaw, ...] = (mask_infinities_at_every_pair, collect_score)
"""Those that keep the score where the mask is false too, as empty rows that see all keys need."""

EARLY: tuple[Pass, ...] = (fold_constants, drop_conversions, widen_ints)
"""What writes every -inf as a constant, and drops no branch."""

MAX_STEPS = 4_000
"""Laws that one program may use; a larger one stays correct, but not in normal form."""

MAX_GROWTH = 8
"""A term that a pass would make this many times larger stays as it is."""


@dataclass(frozen=True, slots=True)
class Simplified:
    """A module in normal form, and the names of the laws that made it so, in order of use."""

    module: Module
    laws: tuple[str, ...]


def simplify(
    module: Module,
    passes: tuple[Pass, ...] = PASSES,
    laws: tuple[WholeLaw, ...] = WHOLE,
    watch: Watch | None = None,
) -> Simplified:
    """Return the module in normal form: same value at every point, same types, same spans.

    Args:
        module: the module.
        passes: the laws of terms.
        laws: the laws of whole programs.
        watch: is told of each use of a law.

    """
    work = _Work(passes, laws, watch=watch)
    return Simplified(work.normal(module).map(pair_bounds), tuple(work.laws))


def simplify_at_every_pair(module: Module, watch: Watch | None = None) -> Simplified:
    """Return the module in normal form, where a masked score counts too.

    The masks that the score hides are found first: where a condition is always false, what it
    chooses is dropped, and with it the score that a row without keys attends with.
    """
    early = _Work(EARLY, (mask_infinities_at_every_pair,), watch=watch)
    work = _Work(PASSES, AT_EVERY_PAIR, early.laws, watch)
    return Simplified(work.normal(early.normal(module)).map(pair_bounds), tuple(work.laws))


@dataclass(slots=True)
class _Work:
    passes: tuple[Pass, ...]
    whole_laws: tuple[WholeLaw, ...]
    laws: dict[str, None] = field(default_factory=dict)
    watch: Watch | None = None
    _memo: dict[Expr, Expr] = field(default_factory=dict)
    _steps: int = 0

    def normal(self, module: Module) -> Module:
        """Return the normal form of a module."""
        current = module.map(self.visit)
        while (replaced := self.whole(current)) is not None:
            current = replaced.map(self.visit)
        return current

    def use(self, law: str, *changes: tuple[Expr, Expr]) -> None:
        """Note that a law was used, and what it changed."""
        self.laws[law] = None
        self._steps += 1
        if self.watch is not None:
            for before, after in changes:
                self.watch(law, before, after)

    def whole(self, module: Module) -> Module | None:
        """Return what the first law of whole programs that applies makes of ``module``."""
        for law in self.whole_laws:
            replaced = law(module)
            if replaced is not None:
                changes = zip(module.roots, replaced.roots, strict=True)
                self.use(law.__name__, *(pair for pair in changes if pair[0] != pair[1]))
                return replaced
        return None

    def visit(self, term: Expr) -> Expr:
        """Return the normal form of ``term``."""
        if term in self._memo:
            return self._memo[term]
        current = self._with_simple_kids(term)
        while (replaced := self._step(current)) is not None:
            current = self._with_simple_kids(give_spans(replaced, current.span))
        self._memo[term] = self._memo[current] = current
        return current

    def _with_simple_kids(self, term: Expr) -> Expr:
        kids = children(term)
        if not kids:
            return term
        rebuilt = with_children(term, tuple(self.visit(kid) for kid in kids))
        return rebuilt if keeps_meaning(term, rebuilt) else term

    def _step(self, term: Expr) -> Expr | None:
        """Return what the first pass that applies makes of ``term``."""
        if self._steps > MAX_STEPS:
            return None
        for rule in self.passes:
            replaced = rule(term)
            if replaced is None or replaced == term:
                continue
            if replaced.weight > MAX_GROWTH * term.weight + MAX_GROWTH:
                continue
            self.use(rule.__name__, (term, replaced))
            return replaced
        return None
