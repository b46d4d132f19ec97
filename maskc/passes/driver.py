"""The only place that loops: every pass at every term, from the inside out, until none applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from maskc.ir.nodes import Expr, Module, children, with_children
from maskc.passes.absorb import absorb
from maskc.passes.affine import affine
from maskc.passes.algebra import algebra
from maskc.passes.arrange import arrange
from maskc.passes.assume import assume
from maskc.passes.bound import bound
from maskc.passes.choose import choose
from maskc.passes.compare import compare
from maskc.passes.complement import complement
from maskc.passes.constrain import constrain
from maskc.passes.convert import convert
from maskc.passes.dedupe import dedupe
from maskc.passes.divide import divide
from maskc.passes.equate import equate
from maskc.passes.flatten import flatten
from maskc.passes.fold import fold
from maskc.passes.hide import hide
from maskc.passes.inherit import inherit
from maskc.passes.meaning import keeps_meaning
from maskc.passes.negate import negate
from maskc.passes.pair import pair
from maskc.passes.select import select
from maskc.passes.spans import spanned
from maskc.passes.unfold import unfold
from maskc.passes.widen import widen

Pass = Callable[[Expr], Expr | None]

PASSES: tuple[Pass, ...] = (
    fold,
    convert,
    widen,
    choose,
    affine,
    divide,
    bound,
    compare,
    equate,
    unfold,
    negate,
    flatten,
    dedupe,
    complement,
    absorb,
    select,
    constrain,
    arrange,
    assume,
)
"""The passes, in the order in which they are tried at a term."""

WholeLaw = Callable[[Module], Module | None]

WHOLE: tuple[WholeLaw, ...] = (hide, inherit, algebra)
"""The laws of whole programs, tried when no pass applies at any term."""

AT_EVERY_PAIR: tuple[WholeLaw, ...] = (hide, algebra)
"""Those that keep the score where the mask is false too, as empty rows that see all keys need."""

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
    module: Module, passes: tuple[Pass, ...] = PASSES, laws: tuple[WholeLaw, ...] = WHOLE
) -> Simplified:
    """Return the module in normal form: same value at every point, same types, same spans.

    Args:
        module: the module.
        passes: the laws of terms.
        laws: the laws of whole programs.

    """
    work = _Work(passes, laws)
    current = module.map(work.visit)
    while (replaced := work.whole(current)) is not None:
        current = replaced.map(work.visit)
    paired = current.map(pair)
    return Simplified(paired, tuple(work.laws))


@dataclass(slots=True)
class _Work:
    passes: tuple[Pass, ...]
    whole_laws: tuple[WholeLaw, ...]
    laws: dict[str, None] = field(default_factory=dict)
    _memo: dict[Expr, Expr] = field(default_factory=dict)
    _steps: int = 0

    def use(self, law: str) -> None:
        """Note that a law was used."""
        self.laws[law] = None
        self._steps += 1

    def whole(self, module: Module) -> Module | None:
        """Return what the first law of whole programs that applies makes of ``module``."""
        for law in self.whole_laws:
            replaced = law(module)
            if replaced is not None:
                self.use(law.__name__)
                return replaced
        return None

    def visit(self, term: Expr) -> Expr:
        """Return the normal form of ``term``."""
        if term in self._memo:
            return self._memo[term]
        current = self._with_simple_kids(term)
        while (replaced := self._step(current)) is not None:
            current = self._with_simple_kids(spanned(replaced, current.span))
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
            self.use(rule.__name__)
            return replaced
        return None
