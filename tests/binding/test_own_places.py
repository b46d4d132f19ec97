"""Errors, warnings and explanations show the program that they are about.

Equal terms stand in many programs; what was compiled before must not lend its places.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import maskc
from maskc.compiled import Recipe
from maskc.explain.laws import changes
from maskc.ir.nodes import Expr, children
from maskc.pipeline import compile_recipe
from maskc.source import Source

TEXTS = [
    "causal & same_doc & window(512); score = softcap(score, 30)",
    "axis h = 8, w = 7; natten(h, 3)",
    "axis t = 4, h = 8, w = 8; sliding_tile(h, 1, 4) & natten_causal(t, 2)",
    "param layer = 1; where(layer % 2 == 0, causal & window(64), causal)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_terms_of_a_program_stand_in_its_text(text: str) -> None:
    first = compile_recipe(Recipe(Source(text, "first.mask")))
    second = compile_recipe(Recipe(Source(f"# another\n\n{text}", "second.mask")))
    for program, name in (first, "first.mask"), (second, "second.mask"):
        terms = [term for root in program.module.roots for term in _terms(root)]
        assert {term.span.source.name for term in terms if term.span is not None} == {name}


def test_a_warning_shows_the_program_that_was_bound() -> None:
    shown = []
    for text in (TEXTS[1], f"\n\n{TEXTS[1]}"):
        with pytest.warns(maskc.MaskcWarning) as caught:
            maskc.compile_mask(text).bind(q_len=64).dense_mask()
        shown.append(str(caught[0].message).splitlines()[1])
    assert shown == [" --> <mask>:1:20", " --> <mask>:3:20"]


def test_laws_tell_of_the_text_that_they_changed() -> None:
    """A law quotes what the user wrote, which differs where the terms are equal."""
    told = []
    for text in ("causal & window(5)", "k<=q & abs(q-k)<5"):
        quoted = {change.within for change in changes(compile_recipe(Recipe(Source(text))))}
        assert all(within in text for within in quoted)
        told.append(quoted)
    assert told[0] != told[1]


def _terms(expr: Expr) -> Iterator[Expr]:
    yield expr
    for part in children(expr):
        yield from _terms(part)
