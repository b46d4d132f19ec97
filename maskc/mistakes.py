"""What is legal in a program and almost surely wrong. Codes: M701 no query can have a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from maskc.elaborate.module import Elaborated, elaborate
from maskc.elaborate.type_rules import constant
from maskc.errors import MaskcWarning
from maskc.ir.nodes import FALSE, OUT, SCORE, And, Expr, Module
from maskc.passes.program.assume_mask import assume_mask
from maskc.passes.program.mask_infinities import mask_infinities
from maskc.passes.support.driver import simplify
from maskc.source import Source
from maskc.syntax.parse import parse

MOST_COMPARED = 12
"""Operands of a mask that are held against each other."""


def mistakes_of(source: Source, libraries: Sequence[Source] = ()) -> list[MaskcWarning]:
    """Return the likely mistakes of a program without errors, from its text alone."""
    elaborated, _ = elaborate(parse(source)[0], {}, libraries, placeholders=True)
    simplified = simplify(elaborated.module, laws=(mask_infinities, assume_mask))
    return mistakes(elaborated, simplified.module)


def mistakes(elaborated: Elaborated, simplified: Module) -> list[MaskcWarning]:
    """Return the likely mistakes of a program.

    Args:
        elaborated: the program as it is written.
        simplified: what simplification made of it.

    """
    # A mask of placeholders is not the user's, and one that a constant turns off is meant.
    written = elaborated.module.mask
    if elaborated.assumed or simplified.mask != FALSE or _is_off(written):
        return []
    return [_no_keys(written)]


def _is_off(mask: Expr) -> bool:
    return any(constant(part) is False for part in _operands(mask))


def _no_keys(mask: Expr) -> MaskcWarning:
    message = "no query can have a key: the mask is false everywhere"
    for part in _operands(mask):
        if _is_false(part):
            return MaskcWarning("M701", message, part.span, f"{_quoted(part)} is never true")
    for first, second in combinations(_operands(mask)[:MOST_COMPARED], 2):
        if _is_false(And((first, second))):
            help = (
                f"{_quoted(first)} and {_quoted(second)} exclude each other: drop one, or write `|`"
            )
            return MaskcWarning("M701", message, second.span or mask.span, help)
    help = "its parts exclude each other, or a choice of -inf in the score does: drop one"
    return MaskcWarning("M701", message, mask.span, help)


def _operands(mask: Expr) -> tuple[Expr, ...]:
    return tuple(_conjuncts(mask))


def _conjuncts(mask: Expr) -> Iterator[Expr]:
    """Yield what is joined by ``&``, each as it is written."""
    if isinstance(mask, And):
        for part in mask.args:
            yield from _conjuncts(part)
    else:
        yield mask


def _is_false(mask: Expr) -> bool:
    return simplify(Module(mask, SCORE, OUT), laws=()).module.mask == FALSE


def _quoted(part: Expr) -> str:
    return "a part" if part.span is None else f"`{part.span.text}`"
