"""Draws terms: each production makes a text and its meaning at once."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from oracle.call import Call
from oracle.terms import Term

Production = Callable[["Draw", int], Term]

PRODUCTIONS: dict[str, list[Production]] = defaultdict(list)
LEAVES: dict[str, list[Production]] = defaultdict(list)
"""The ways to make a term of each type; leaves are those that need no smaller terms."""


def produces(kind: str, times: int = 1, leaf: bool = False) -> Callable[[Production], Production]:
    """Register a production of ``kind``, as likely as ``times`` others."""

    def register(production: Production) -> Production:
        PRODUCTIONS[kind] += [production] * times
        if leaf:
            LEAVES[kind] += [production] * times
        return production

    return register


@dataclass(slots=True)
class Draw:
    """What is drawn so far for one program.

    Attributes:
        rng: where chance comes from.
        call: what the program is held to; its sizes bound the tables.
        declared: the text of each declaration, by the name it declares, in order.
        needs: the declarations that a declaration needs.
        bound: the tensors of the inputs.
        constants: what ``compile_mask`` is given.
        axes: of the token grid: name, size, stride; none if there is no grid.
        start: the position of the first token of the grid.
        rows_only: whether a term of the epilogue is drawn, which knows no key.

    """

    rng: random.Random
    call: Call
    declared: dict[str, str] = field(default_factory=dict)
    needs: dict[str, frozenset[str]] = field(default_factory=dict)
    bound: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    axes: tuple[tuple[str, int, int], ...] = ()
    start: int = 0
    rows_only: bool = False

    def term(self, kind: str, depth: int) -> Term:
        """Draw an ``int``, ``float`` or ``bool`` of at most ``depth`` levels."""
        productions = PRODUCTIONS[kind] if depth > 0 else LEAVES[kind]
        return self.rng.choice(productions)(self, depth)

    def name(self, stem: str) -> str:
        """Return a new name."""
        return f"{stem}{len(self.declared)}"

    def declare(self, name: str, text: str, needs: frozenset[str] = frozenset()) -> None:
        """Declare a name."""
        self.declared[name] = text
        self.needs[name] = needs

    def generator(self) -> torch.Generator:
        """Return a source of tensors."""
        return torch.Generator().manual_seed(self.rng.randrange(2**30))

    def chance(self, share: float) -> bool:
        """Return true in a share of the cases."""
        return self.rng.random() < share
