"""Translation validation: what simplification does to index arithmetic is proved by z3."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples

z3 = pytest.importorskip("z3")

from strategies import Words, grid, ints, masks  # noqa: E402

from maskc.analysis.equiv.compare import Different, Equal, Unknown, compare_programs  # noqa: E402
from maskc.analysis.equiv.prove import Proof, prove, prove_terms  # noqa: E402
from maskc.elaborate.module import elaborate  # noqa: E402
from maskc.ir.nodes import OUT, SCORE, Arith, Compare, Expr, IntConst, Module, Where, rewrite  # noqa: E402
from maskc.ir.operators import ArithOp, CompareOp  # noqa: E402
from maskc.passes.support.apply_facts import apply_facts  # noqa: E402
from maskc.passes.support.driver import PASSES, Pass, simplify  # noqa: E402
from maskc.passes.support.facts import facts  # noqa: E402
from maskc.source import Source  # noqa: E402
from maskc.syntax.parse import parse  # noqa: E402


def read(text: str) -> Module:
    tree, _ = parse(Source(text))
    elaborated, errors = elaborate(tree, {})
    assert errors == []
    return elaborated.module


PAIRS = [
    ("causal & window(8)", "0 <= q - k < 8"),
    ("q // 8 * 8 + q % 8 == k", "q == k"),
    ("abs(q - k) < 4", "q - k < 4 & k - q < 4"),
    ("k // 64 <= q // 64", "k < (q // 64 + 1) * 64"),
    ("doc[q] == doc[k] & causal", "k <= q & doc[k] == doc[q]"),
    ("q % 12 % 4 == 0", "q % 4 == 0"),
    ("min(q, 4) <= k", "q <= k | 4 <= k"),
    ("k.h >= 0; axis h = 2, w = 3", "0 <= k < 6"),
    ("causal; score = where(causal, score * 2, score)", "causal; score = score * 2"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_equal_programs_are_proved(first: str, second: str) -> None:
    assert prove(read(first), read(second)) is Proof.PROVED


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("causal", "k < q"),
        ("(q + k) // 2 < 3", "q // 2 + k // 2 < 3"),
        ("score = score + slopes[head]", "score = slopes[head] + score"),
        ("!(slopes[head] < 0.5)", "0.5 <= slopes[head]"),
    ],
)
def test_others_are_not(first: str, second: str) -> None:
    assert prove(read(first), read(second)) is Proof.OPEN


WORDS = st.sampled_from([Words(floats=False), Words(floats=False, axes=grid(2, 3))])
"""Floats are opaque to the proof, so that laws of floats are left to the evaluator."""

PATIENT_MS = 60_000
"""More than any machine needs: what is proved must not depend on its speed."""


@settings(max_examples=examples(150))
@given(mask=WORDS.flatmap(lambda words: masks(depth=2, words=words)))
def test_every_simplification_is_proved(mask: Expr) -> None:
    after = simplify(Module(mask, SCORE, OUT)).module.mask
    verdict = prove_terms(mask, after, timeout_ms=PATIENT_MS)
    event(verdict.value)
    assert verdict is not Proof.OPEN


@settings(max_examples=examples(60))
@given(
    cond=WORDS.flatmap(lambda words: masks(depth=1, words=words)), term=ints(2, Words(floats=False))
)
def test_what_facts_make_of_a_term_is_proved(cond: Expr, term: Expr) -> None:
    before, after = Where(cond, term, IntConst(0)), apply_facts(term, facts(cond, True))
    verdict = prove_terms(before, Where(cond, after, IntConst(0)), timeout_ms=PATIENT_MS)
    event(f"{verdict.value}, changed: {after != term}")
    assert verdict is not Proof.OPEN


def _off_by_one(expr: Expr) -> Expr | None:
    """A wrong law: `a < b` is no `a <= b`."""
    match expr:
        case Compare(CompareOp.LT, left, right):
            return Compare(CompareOp.LE, left, right)
        case _:
            return None


def _wrong_quotient(expr: Expr) -> Expr | None:
    """A wrong law: `-x // n` is no `-(x // n)`."""
    match expr:
        case Arith(ArithOp.FLOORDIV, Arith(ArithOp.SUB, a, b), IntConst(n)) if n > 1:
            parts = (Arith(ArithOp.FLOORDIV, part, IntConst(n)) for part in (a, b))
            return Arith(ArithOp.SUB, *parts)
        case _:
            return None


@pytest.mark.parametrize(
    ("text", "rule"),
    [("k < 5 & causal", _off_by_one), ("(q - k) // 4 == 0", _wrong_quotient)],
)
def test_a_wrong_law_is_caught(text: str, rule: Pass) -> None:
    mask = read(text).mask
    assert prove_terms(mask, rewrite(mask, rule)) is Proof.OPEN
    wrong = simplify(Module(mask, SCORE, OUT), (rule, *PASSES)).module.mask
    assert prove_terms(mask, wrong) is Proof.OPEN


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_equal_programs_are_equivalent(first: str, second: str) -> None:
    assert compare_programs(read(first), read(second)) == Equal()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("causal", "k < q", {"q": 0, "k": 0}),
        ("window(512)", "window(513)", {"q": 0, "k": 512}),
        ("same_doc", "doc[q] <= doc[k]", None),
        ("score = score * 2", "score = score + score + 0.5", {"q": 0, "k": 0}),
        ("score = where(head == 3, score, 0.0)", "score = score", {"head": 0}),
    ],
)
def test_a_counterexample_is_found(
    first: str, second: str, expected: dict[str, int] | None
) -> None:
    found = compare_programs(read(first), read(second))
    assert isinstance(found, Different)
    assert found.first != found.second
    if expected is not None:
        place = {"q": found.at.q_idx, "k": found.at.kv_idx, "head": found.at.head}
        assert place | expected == place


def test_what_is_not_decided_says_how_far_it_was_checked() -> None:
    found = compare_programs(
        read("score = score + slopes[head] * 2"), read("score = slopes[head] * 2 + score")
    )
    assert isinstance(found, Unknown)
    assert found.points > 100
