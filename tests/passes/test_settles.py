"""Simplifying comes to an end by itself: no law undoes another, and once is enough."""

from collections.abc import Iterator
from functools import wraps

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from profiles import examples

from maskc.ir.linear import Linear, linear, to_expr
from maskc.ir.nodes import OUT, SCORE, Arith, Call, Compare, Expr, Index, IntConst, Module, walk
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Ix
from maskc.passes.support.driver import PASSES, Pass, simplify

STEPS_PER_NODE = 1
"""Twice as many as 1,500 draws needed at most."""

Q, K = Index(Ix.Q), Index(Ix.K)
PLACES = st.sampled_from(
    [Q, K, *(Arith(op, x, IntConst(8)) for op in (ArithOp.MOD, ArithOp.FLOORDIV) for x in (Q, K))]
)
FACTORS = st.sampled_from([1, 1, -1, 2, 3, -3, 4, 6, 12])
STEPS: SearchStrategy[Expr] = st.builds(
    lambda at, x: Call(Fn.INT, (Compare(CompareOp.LE, IntConst(at), x),)),
    st.integers(1, 60),
    PLACES,
)
"""``int(6 <= q % 8)``: the regions of a picture are sums of such."""

COEFFICIENTS = st.dictionaries(st.one_of(PLACES, STEPS), FACTORS, max_size=5)
FORMS = st.builds(Linear.of, COEFFICIENTS, st.integers(-9, 24))
COMPARISONS = st.builds(
    lambda op, left, right: Compare(op, left, right),
    st.sampled_from(CompareOp),
    st.builds(to_expr, FORMS),
    st.builds(to_expr, FORMS),
)


def sums(root: Expr) -> Iterator[Expr]:
    """Yield the sums and the products in a term."""
    for term in walk(root):
        match term:
            case Arith(ArithOp.ADD | ArithOp.SUB | ArithOp.MUL) | Call(Fn.NEG):
                yield term


def region(at: Expr) -> Expr:
    """Return the region of a token of a rolled picture."""
    row, column = (
        [Call(Fn.INT, (Compare(CompareOp.LE, IntConst(edge), x),)) for edge in edges]
        for x, edges in ((at, (32, 48)), (Arith(ArithOp.MOD, at, IntConst(8)), (4, 6)))
    )
    return to_expr(Linear.of(dict.fromkeys(row, 3) | dict.fromkeys(column, 1), 0))


def counted(uses: list[str]) -> tuple[Pass, ...]:
    """Return the passes, which note each time that they change a term."""

    def counting(rule: Pass) -> Pass:
        @wraps(rule)
        def noted(term: Expr) -> Expr | None:
            replaced = rule(term)
            if replaced is not None and replaced != term:
                uses.append(rule.__name__)
            return replaced

        return noted

    return tuple(map(counting, PASSES))


@settings(max_examples=examples(300))
@given(FORMS)
def test_a_form_is_written_so_that_every_sum_in_it_stays(form: Linear) -> None:
    written = to_expr(form)
    assert linear(written) == form
    assert [to_expr(linear(term)) for term in sums(written)] == [*sums(written)]


@settings(max_examples=examples(200))
@given(COMPARISONS)
@example(Compare(CompareOp.EQ, region(Q), region(K)))
def test_simplifying_settles(mask: Expr) -> None:
    uses: list[str] = []
    once = simplify(Module(mask, SCORE, OUT), counted(uses)).module
    assert len(uses) <= STEPS_PER_NODE * mask.weight
    assert simplify(once).module == once
