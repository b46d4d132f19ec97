"""``mask_mod`` and ``score_mod`` as objects that compare, hash and pickle.

A plain closure does none of these, and two that differ only in a captured int can compare equal;
torch's BlockMask asks its ``mask_mod`` for both. Two of ours are equal when they run the same code
over the same tensors.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain
from maskc.lower.codegen.tensors import Generated, Kind, generate
from maskc.lower.uncompiled import watch


class Mod:
    """A generated function over captured tensors and sizes.

    Attributes: ``expr`` (the row expression), ``tensors``, ``sizes`` (what it captured) and
    ``source`` (its Python text).
    """

    kind: Kind

    def __init__(self, expr: Expr, tensors: tuple[Tensor, ...], sizes: tuple[int, ...]) -> None:
        self.expr = expr
        self.tensors = tensors
        self.sizes = sizes
        code = self._generated
        self.function = code.build(*tensors, *sizes)
        if not in_trace():
            code.show()
        self._watch = watch()

    def _look(self) -> None:
        """Warn if it is uncompiled FlexAttention that traces this."""
        if in_trace():
            self._watch()

    @property
    def source(self) -> str:
        """The Python source of the function."""
        return self._generated.source

    @property
    def _generated(self) -> Generated:
        return generate(self.expr, self.kind)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mod) or self.kind is not other.kind:
            return NotImplemented
        same = all(a is b for a, b in zip(self.tensors, other.tensors, strict=False))
        return same and self.expr == other.expr and self.sizes == other.sizes

    def __hash__(self) -> int:
        return hash((self.expr, self.sizes, *map(id, self.tensors)))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.expr, self.tensors, self.sizes)

    def __repr__(self) -> str:
        return f"<maskc {self.kind.name.lower()}_mod over {len(self.tensors)} tensors>"


class MaskMod(Mod):
    """``mask_mod(b, h, q_idx, kv_idx)``: true where the query attends to the key."""

    kind = Kind.MASK

    def __call__(self, b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Any:
        """Return whether the query attends to the key."""
        self._look()
        return self.function(b, h, q_idx, kv_idx)


class ScoreMod(Mod):
    """``score_mod(score, b, h, q_idx, kv_idx)``: the new score of a pair."""

    kind = Kind.SCORE

    def __call__(self, score: Tensor, b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Any:
        """Return the new score."""
        self._look()
        return self.function(score, b, h, q_idx, kv_idx)


def mask_mod(expr: Expr, domain: Domain) -> MaskMod:
    """Return the mask of a row expression over the tensors of ``domain``."""
    return MaskMod(expr, *captured(generate(expr, Kind.MASK), domain))


def score_mod(expr: Expr, domain: Domain) -> ScoreMod:
    """Return the score of a row expression over the tensors of ``domain``."""
    return ScoreMod(expr, *captured(generate(expr, Kind.SCORE), domain))


def captured(code: Generated, domain: Domain) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Return what the function of ``code`` captures: its tensors, and its sizes."""
    tensors = tuple(domain.tensors[name] for name in code.inputs)
    return tensors, tuple(domain.sizes[which] for which in code.sizes)
