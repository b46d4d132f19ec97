"""Domains of arguments: what is refused, and that nothing else is."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskc.checking import check
from maskc.elaborate.module import prelude
from maskc.elaborate.scope import Macro, Overloads
from maskc.program import compile_mask
from maskc.source import Source

COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MACROS = [
    macro
    for meaning in prelude().names.values()
    if isinstance(meaning, Overloads)
    for macro in meaning.macros
]
TABLES = {"by_distance", "by_hops", "sampled", "sample", "span"}
"""Definitions that take tables by their name, for which there is no type."""

bounds = st.integers(-3, 5)
comparisons = st.sampled_from(sorted(COMPARISONS))


def codes(text: str, **constants: int | float | bool) -> list[str]:
    return [error.code for error in check(Source(text), (), constants)]


@given(bounds, comparisons, bounds, comparisons, bounds)
def test_an_int_is_refused_where_its_bounds_do_not_hold(
    low: int, first: str, value: int, second: str, high: int
) -> None:
    text = f"def f(n: {low} {first} int {second} high, high: int) = q < n\nf({value}, {high})"
    holds = COMPARISONS[first](low, value) and COMPARISONS[second](value, high)
    assert codes(text) == ([] if holds else ["M231"])


ACCEPTED = {
    "int": ["4", "h.size", "q", "t[q]"],
    "float": ["4", "4.5", "inf", "h.size", "q", "t[q]", "score"],
    "bool": ["true", "causal", "q < 3"],
    "axis": ["h"],
}


@pytest.mark.parametrize(("kind", "accepted"), ACCEPTED.items())
def test_types(kind: str, accepted: list[str]) -> None:
    for argument in ("4", "4.5", "inf", "h.size", "q", "t[q]", "score", "true", "causal", "q < 3"):
        text = f"axis h = 4; input t: int; def f(x: {kind}) = 1; score = score + f({argument})"
        assert codes(text) == ([] if argument in accepted else ["M231"]), argument


def test_a_run_time_argument_has_no_bounds() -> None:
    assert codes("input width: int; window(width[head]) & window(-q)") == []
    assert codes("input cap: float; score = softcap(score, cap)") == []


def test_what_a_constant_test_rules_out_may_be_nonsense() -> None:
    for text in (
        "param n: int; causal & (window(n) if n > 0 else full)",
        "param n: int; causal & where(n <= 0, full, window(n))",
        "param n: int; def local(m) = window(m) if m > 0 else full; local(n)",
    ):
        assert codes(text, n=0) == [], text
        assert compile_mask(text, n=3)
    assert codes("param n: int; window(n) if n < 1 else full", n=0) == ["M231"]
    both = "param n: int; let near = window(n); (near if n > 0 else full) & near"
    assert codes(both, n=0) == ["M231"]


def test_what_is_not_known_yet_is_not_refused() -> None:
    """A param without a value is taken as 1 where a program is only checked."""
    assert codes("param n: int; fixed(n, 4)") == []
    assert codes("axis h, w; natten(h, 7) & natten(w, 7)") == []
    assert codes("param n: int; chunked(n - 5)") == []
    assert codes("param n: int; chunked(n) & window(0)") == ["M231"]
    every_layer = compile_mask("param layer: int; causal & window(layer)")
    assert every_layer.for_layer(3).text == "0 <= q - k < 3"
    with pytest.raises(ValueError, match="M231"):
        every_layer.for_layer(0)


def test_the_size_of_an_axis() -> None:
    text = "axis h = 3, w = 5; def last(along: axis) = q.along == along.size - 1; last(w)"
    assert compile_mask(text) == compile_mask("axis h = 3, w = 5; q.w == 4")
    assert compile_mask("axis h, w; q.h < w.size", h=2, w=3) == compile_mask(
        "axis h = 2, w = 3; q.h < 3"
    )


@pytest.mark.parametrize("macro", MACROS, ids=lambda macro: macro.signature)
def test_every_argument_of_the_library_has_a_domain(macro: Macro) -> None:
    missing = [one.name.text for one in macro.parameters if one.domain is None]
    assert missing == [] or macro.name in TABLES
