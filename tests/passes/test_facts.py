"""What is known where a term is evaluated, and what it makes of the term there."""

import pytest
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples, find_fault
from strategies import Words, floats, ints, masks
from test_arithmetic import BOUNDS, JOINS, PLACES, SIMPLE, TERMS
from test_driver import points, same

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.linear import linear
from maskc.ir.nodes import Call, Compare, Expr, IntConst, Load, walk
from maskc.ir.operators import CompareOp, Fn
from maskc.passes.numbers.drop_bounds import drop_bounds
from maskc.passes.support import apply_facts as applied
from maskc.passes.support.apply_facts import apply_facts
from maskc.passes.support.facts import Facts, facts
from maskc.passes.support.is_total import is_total
from maskc.passes.support.ranges import Lowest

CONDITIONS = st.one_of(SIMPLE, SIMPLE, JOINS, BOUNDS)
Places = list[tuple[Point, Env]]


@settings(max_examples=examples(300))
@given(cond=CONDITIONS, value=st.booleans(), term=st.one_of(TERMS, CONDITIONS), at=PLACES)
def test_a_term_keeps_its_value_where_the_facts_hold(
    cond: Expr, value: bool, term: Expr, at: Places
) -> None:
    assert differs(facts(cond, value), cond, value, term, at) is None


@settings(max_examples=examples(300))
@given(cond=CONDITIONS, value=st.booleans(), term=TERMS, at=PLACES)
def test_ranges_hold_where_the_facts_do(cond: Expr, value: bool, term: Expr, at: Places) -> None:
    low = facts(cond, value).lowest(linear(term))
    for place in at:
        if evaluate(cond, *place) is value:
            assert low is None or low <= evaluate(term, *place)


@settings(max_examples=examples(150))
@given(data=st.data(), cond=masks(), value=st.booleans(), term=st.one_of(masks(), ints(), floats()))
def test_any_term_keeps_its_value_where_the_facts_hold(
    data: st.DataObject, cond: Expr, value: bool, term: Expr
) -> None:
    case: Case = data.draw(environments(cond, term, positions=True, pairs=True))
    at = [(point, case.env()) for point in points(case)]
    assert differs(facts(cond, value), cond, value, term, at) is None


def differs(
    known: Facts, cond: Expr, value: bool, term: Expr, at: Places
) -> tuple[Point, Env] | None:
    """Return a place where the condition has the value and the term written anew another one."""
    after = apply_facts(term, known)
    assert after.type is term.type
    for place in at:
        holds = evaluate(cond, *place) is value
        if holds and not same(evaluate(after, *place), evaluate(term, *place)):
            return place
    return None


@settings(max_examples=examples(150))
@given(cond=masks(words=Words(floats=False)), term=st.one_of(masks(), ints()))
def test_no_input_is_read_in_more_places(cond: Expr, term: Expr) -> None:
    """What an input has to cover, a plain index, is what it had to cover before."""
    plain = {load for load in walk(term) if isinstance(load, Load) and is_total(load)}
    after = walk(apply_facts(term, facts(cond, True)))
    assert {load for load in after if isinstance(load, Load) and is_total(load)} <= plain


@pytest.mark.planted
def test_wrong_facts_are_caught() -> None:
    """Facts that take a condition for its opposite change a value somewhere."""

    def is_caught(drawn: tuple[Expr, Expr, Places]) -> bool:
        cond, term, at = drawn
        return differs(facts(cond, False), cond, True, term, at) is not None

    find_fault(st.tuples(SIMPLE, TERMS, PLACES), is_caught)


def _barely_bounded(term: Expr, least: int) -> tuple[Expr, Expr]:
    """Return that a term is at least so much, and the larger of the term and one more."""
    return Compare(CompareOp.LE, IntConst(least), term), Call(Fn.MAX, (term, IntConst(least + 1)))


@pytest.mark.planted
def test_a_bound_that_is_off_by_one_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def raised(term: Expr, low: Lowest) -> Expr | None:
        return drop_bounds(term, lambda form: None if (least := low(form)) is None else least + 1)

    monkeypatch.setattr(applied, "drop_bounds", raised)

    def is_caught(drawn: tuple[tuple[Expr, Expr], Places]) -> bool:
        (cond, term), at = drawn
        return differs(facts(cond, True), cond, True, term, at) is not None

    bounded = st.builds(_barely_bounded, TERMS, st.integers(-4, 4))
    find_fault(st.tuples(bounded, PLACES), is_caught)
