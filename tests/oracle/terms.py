"""A term: a text in the language and, beside it, what the text means as a formula of torch.

Nothing here knows how maskc reads a text. Ints are int64 and floats float64; every value
broadcasts to ``[B, H, Q, K]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum

import torch
from torch import Tensor

from oracle.call import Call

EXACT = 53
"""Bits of a double. What needs no more is exact, and a comparison of it has one answer."""

ROUNDED = 99
"""The bits of a value that no float holds exactly."""

NEAR = 1e-4
"""Two rounded values closer than this, as a share of their size, compare by rounding alone."""


class Level(IntEnum):
    """How tightly a text holds together, loosest first."""

    CHOICE = 0
    OR = 1
    XOR = 2
    AND = 3
    NOT = 4
    COMPARE = 5
    SUM = 6
    PRODUCT = 7
    MINUS = 8
    POWER = 9
    ATOM = 10


@dataclass(slots=True)
class World:
    """What a formula is evaluated in: index tensors of one call, and what is given.

    Attributes:
        nearest: how near two rounded values came where a comparison decided, as a share.

    """

    call: Call
    batch: Tensor
    head: Tensor
    q_idx: Tensor
    kv_idx: Tensor
    q: Tensor
    k: Tensor
    given: dict[str, Tensor] = field(default_factory=dict)
    nearest: float = 1.0

    def note(self, gap: Tensor) -> None:
        """Record how near a decision was."""
        found = float(gap.nan_to_num(1.0, 1.0, 1.0).min()) if gap.numel() else 1.0
        self.nearest = min(self.nearest, found)


def world_of(call: Call) -> World:
    """Return the indices of every element of a call."""
    return World(
        call,
        batch=torch.arange(call.batch_size).view(-1, 1, 1, 1),
        head=torch.arange(call.num_heads).view(1, -1, 1, 1) + call.head_offset,
        q_idx=torch.arange(call.q_len).view(1, 1, -1, 1),
        kv_idx=torch.arange(call.kv_len).view(1, 1, 1, -1),
        q=call.q_positions[:, None, :, None],
        k=call.k_positions[:, None, None, :],
    )


Formula = Callable[[World], Tensor]


@dataclass(frozen=True, slots=True)
class Term:
    """A text and its meaning.

    Attributes:
        text: in the language.
        formula: its value, ``[B, H, Q, K]`` or what broadcasts to it.
        level: how tightly the text holds together.
        uses: names of the declarations that the text needs.
        whole: bits of the largest value before the point; ``part``: bits after it.

    """

    text: str
    formula: Formula
    level: Level = Level.ATOM
    uses: frozenset[str] = frozenset()
    whole: int = 1
    part: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether doubles compute it without rounding."""
        return self.whole + self.part <= EXACT

    def at(self, level: Level) -> str:
        """Return the text where something of ``level`` is expected, in brackets if need be."""
        return self.text if self.level >= level else f"({self.text})"

    @property
    def bracketed(self) -> Term:
        """The term as one that holds together anywhere."""
        return replace(self, text=self.at(Level.ATOM), level=Level.ATOM)

    def sized(self, whole: int, part: int | None = None) -> Term:
        """Return the term with other bits."""
        return replace(self, whole=whole, part=self.part if part is None else part)


def constant(value: float) -> Term:
    """Return a literal; a negative one is a minus before it."""
    level = Level.MINUS if value < 0 else Level.ATOM
    if isinstance(value, int):
        return Term(str(value), lambda _: torch.tensor(value), level, whole=value.bit_length())
    text = repr(value)
    whole = max(1, int(abs(value)).bit_length())
    part = next((bits for bits in range(20) if value * 2**bits % 1 == 0), ROUNDED)
    return Term(
        text, lambda _: torch.tensor(value, dtype=torch.float64), level, frozenset(), whole, part
    )


def apply(
    text: str, meaning: Callable[..., Tensor], *terms: Term, level: Level = Level.ATOM
) -> Term:
    """Return a term whose value is ``meaning`` of the values of others, with no bits known."""
    uses = frozenset().union(*(term.uses for term in terms))

    def formula(world: World) -> Tensor:
        return meaning(*(term.formula(world) for term in terms))

    return Term(text, formula, level, uses, max((t.whole for t in terms), default=1), ROUNDED)


def call_of(name: str, meaning: Callable[..., Tensor], *terms: Term) -> Term:
    """Return ``name(terms)``."""
    text = f"{name}({', '.join(term.text for term in terms)})"
    return apply(text, meaning, *terms)


def infix(
    symbol: str, meaning: Callable[..., Tensor], left: Term, right: Term, level: Level
) -> Term:
    """Return ``left symbol right``, which groups to the left."""
    text = f"{left.at(level)} {symbol} {right.at(Level(level + 1))}"
    return apply(text, meaning, left, right, level=level)


def float_of(value: Tensor) -> Tensor:
    """Return a value in float64."""
    return value.to(torch.float64)
