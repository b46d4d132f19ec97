"""Simplified programs mean what they meant, at every point of odd sizes."""

import math
from itertools import islice

import pytest
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples, find_fault
from strategies import Words, ints, masks, modules

from maskc import compile_mask
from maskc.elaborate.module import elaborate
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    And,
    Compare,
    Expr,
    Load,
    Module,
    Or,
    children,
    rewrite,
    walk,
)
from maskc.ir.operators import CompareOp
from maskc.ir.scalars import Number
from maskc.ir.text import to_text
from maskc.ir.types import Dim, Given
from maskc.passes.support.driver import PASSES, Pass, simplify, simplify_at_every_pair
from maskc.source import Source
from maskc.syntax.parse import parse

SCORES = (0.0, -1.5, 3.25)
MOST_POINTS = 150


def read(text: str) -> Module:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, {})
    assert [*errors, *more] == []
    return elaborated.module


def points(case: Case) -> list[Point]:
    """Return points of the case, spread over it."""
    total = case.batch_size * case.num_heads * case.q_len * case.kv_len
    return list(islice(case.points(), 0, None, -(-total // MOST_POINTS)))


def same(left: Number, right: Number, rounds: bool = False) -> bool:
    both_nan = isinstance(left, float) and math.isnan(left) and math.isnan(right)
    close = rounds and math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    return both_nan or close or (type(left) is type(right) and left == right)


def attended(module: Module, at: Point, env: Env) -> Number:
    """Return the score that the softmax sees."""
    return evaluate(module.score, at, env) if evaluate(module.mask, at, env) else -math.inf


def disagreement(
    before: Module, after: Module, case: Case, rounds: bool = False
) -> tuple[Point, float] | None:
    """Return a point and a score where the programs differ; ``rounds`` allows for rounding."""
    for number, at in enumerate(points(case)):
        score = SCORES[number % len(SCORES)]
        env = case.env({Given.SCORE: score, Given.OUT: 1.5, Given.LSE: score})
        if not same(attended(before, at, env), attended(after, at, env), rounds):
            return at, score
        if not same(evaluate(before.out, at, env), evaluate(after.out, at, env)):
            return at, score
    return None


@settings(max_examples=examples(200))
@given(data=st.data(), module=modules())
def test_simplify_keeps_the_meaning(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    after = simplify(module)
    assert disagreement(module, after.module, case, rounds="algebra" in after.laws) is None


@given(data=st.data(), mask=masks(words=Words(topk=True)))
def test_simplify_keeps_selections(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask))
    module = Module(mask, *read("full").roots[1:])
    assert disagreement(module, simplify(module).module, case) is None


@pytest.mark.parametrize("rule", PASSES, ids=lambda rule: rule.__name__)
@given(data=st.data())
def test_each_pass_keeps_the_meaning(rule: Pass, data: st.DataObject) -> None:
    before: Expr = data.draw(st.one_of(masks(), ints()))
    after = rewrite(before, rule)
    case: Case = data.draw(environments(before, positions=True))
    assert after.type is before.type
    for at in points(case):
        assert same(evaluate(before, at, case.env()), evaluate(after, at, case.env()))


@given(modules())
def test_simplify_is_idempotent(module: Module) -> None:
    once = simplify(module).module
    assert simplify(once).module == once


@given(modules())
def test_simplified_text_parses_back(module: Module) -> None:
    simplified = simplify(module).module
    assert read(to_text(simplified)) == simplified


@given(modules())
def test_the_ir_stays_well_formed(module: Module) -> None:
    simplified = simplify(module).module
    for before, after in zip(module.roots, simplified.roots, strict=True):
        assert before.type is after.type
    for term in walk(*simplified.roots):
        assert not (isinstance(term, And | Or) and type(term) in map(type, children(term)))
        assert not (isinstance(term, And | Or) and len(set(term.args)) < max(2, len(term.args)))


@given(modules())
def test_nothing_is_read_that_was_not_read(module: Module) -> None:
    simplified = simplify(module).module
    before = {t.input for t in walk(*module.roots) if isinstance(t, Load)}
    assert {t.input for t in walk(*simplified.roots) if isinstance(t, Load)} <= before


def test_spans_are_carried() -> None:
    module = read("causal & window(8) & !(doc[q] == doc[k] & k < 3)")
    simplified = simplify(module).module
    assert all(term.span is not None for term in walk(simplified.mask))


def test_laws_are_named_in_order_of_use() -> None:
    laws = simplify(read("score = where(k <= q & true, score, -inf)")).laws
    assert laws == ("flatten", "mask_infinities")


GUARDS = [
    "input n: int; where(0 < n, q // n == k // n, false)",
    "input n: int; n != 0 & q % n == 0",
    "input n: int; n == 0 | q % n == 0",
    "input n: int; (n == 0 | q // n < 3) & n < 5",
    "input n: int; score = where(n != 0, score * (q // n), -inf)",
    "input n: int; score = where(n == 0, score, score + q % n)",
    "input t: bool; k < 2 & t[k + 1]",
    "input t: bool; t[min(k, 1)] & k < 2",
    "input t: float; score = where(k < 2, score + t[k + 1], -inf)",
]


@pytest.mark.parametrize("text", GUARDS)
def test_guards_stay_before_what_they_guard(text: str) -> None:
    module = read(text)
    everywhere = simplify_at_every_pair(module).module
    simplified = simplify(module).module
    tables = {"n": _Table((), 0), "t": _Table((3,), 1)}
    for q in range(4):
        for k in range(5):
            env = Env({}, tables, given={Given.SCORE: 1.0})
            at = Point(0, 0, q, k)
            assert attended(module, at, env) == attended(simplified, at, env)
            assert attended(module, at, env) == attended(everywhere, at, env)


BEFORE = ["f[k // 2]", "f[head, clamp(k - q, -1, 1) + 1]", "1.0 * (q // n)", "softcap(score, 3)"]


@pytest.mark.parametrize("bias", BEFORE)
@pytest.mark.parametrize("cond", ["k == 3", "q < k", "false"])
def test_rows_without_keys_keep_the_score_of_a_choice(bias: str, cond: str) -> None:
    """A choice of -inf is a mask: a row that it empties attends with the score as it was."""
    score = f"input f: float; input n: int; score = score + {bias}"
    chosen = compile_mask(f"{score}; score = score if {cond} else -inf", empty_rows="all")
    assert chosen == compile_mask(f"{score}; mask = {cond}", empty_rows="all")


class _Table:
    """An array with one value everywhere."""

    def __init__(self, shape: tuple[int, ...], value: int) -> None:
        self.shape, self._value = shape, value

    def __getitem__(self, place: tuple[int, ...]) -> "_Table":
        return self

    def item(self) -> int:
        return self._value


def _off_by_one(expr: Expr) -> Expr | None:
    """A wrong law: `a < b` is no `a <= b`."""
    match expr:
        case Compare(CompareOp.LT, left, right):
            return Compare(CompareOp.LE, left, right)
        case _:
            return None


@pytest.mark.planted
def test_a_wrong_law_is_caught() -> None:
    def is_caught(drawn: tuple[Module, Case]) -> bool:
        module, case = drawn
        wrong = module.map(lambda expr: rewrite(expr, _off_by_one))
        return disagreement(module, wrong, case) is not None

    cases = modules().flatmap(lambda module: st.tuples(st.just(module), environments(module)))
    find_fault(cases, is_caught)


@pytest.mark.parametrize(
    "text",
    [
        "(q - q + 70000) * (k - k + 70000) < k",
        "q // (k - k) == 1",
        "score = score + 2 ** (q - q + 3)",
        "input t: int; t[q + k - k] == 1",
    ],
)
def test_what_a_text_could_not_say_stays_as_it_was(text: str) -> None:
    module = read(text)
    simplified = simplify(module).module
    assert read(to_text(simplified)) == simplified
    for before, after in zip(module.roots, simplified.roots, strict=True):
        assert before.type is after.type
        assert before.deps & Dim.K == after.deps & Dim.K
