"""No computed int is larger than its reach says; what fits is not refused."""

import pytest
import row_programs
import torch
from calls import rows_of
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import Words, ints, masks

from maskc.analysis.intervals.int32 import counted, excess
from maskc.binding.check_int32 import fits_nearby
from maskc.ir.nodes import Arith, Expr, IntConst, walk
from maskc.ir.operators import ArithOp
from maskc.ir.types import Type
from maskc.ir.vectorize import everywhere, vectorize
from maskc.limits import MAX_INT

WORDS = Words(floats=False)


@settings(max_examples=examples(150))
@given(
    data=st.data(),
    expr=st.one_of(masks(words=WORDS), ints(words=WORDS)),
    factor=st.sampled_from([1, 10**6, 10**9]),
)
def test_what_is_let_through_fits(data: st.DataObject, expr: Expr, factor: int) -> None:
    if expr.type is Type.INT:
        expr = Arith(ArithOp.MUL, IntConst(factor), expr)
    case: Case = data.draw(environments(expr, positions=data.draw(st.booleans())))
    rows, where = rows_of(expr, case)
    tensors = {name: where.tensors[name] for name in counted(rows)}
    ranges = {name: (int(t.min()), int(t.max())) for name, t in tensors.items()}
    largest = max(
        (
            vectorize(term, everywhere(where), where).abs().max().item()
            for term in walk(rows)
            if term.type is Type.INT
        ),
        default=0,
    )
    fits_all = fits_nearby((rows,), where.sizes, ranges)
    if fits_all or excess(rows, where.sizes, ranges) is None:
        assert largest <= MAX_INT


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("q * 1000000000 < k", 9 * 10**9),
        ("3 * (k - q * 1000000000) < 1", 9 * 10**9),
        ("-(q ** 12) // 7 < k", 9**12),
    ],
)
def test_the_innermost_term_is_named(text: str, reach: int) -> None:
    domain = row_programs.domain_of(10, 10)
    found = excess(row_programs.row_mask(text, domain), domain.sizes, {})
    assert found is not None
    assert found.reach == reach


def test_inputs_that_are_only_compared_are_not_counted() -> None:
    ids = torch.arange(8) << 40
    domain = row_programs.domain_of(8, 8, doc=ids)
    assert counted(row_programs.row_mask("same_doc", domain)) == ()
    mask = row_programs.row_mask("doc[q] - doc[k] < 2", domain)
    assert counted(mask) == ("doc",)
    assert excess(mask, domain.sizes, {"doc": (0, 7 << 40)}) is not None
    assert excess(mask, domain.sizes, {"doc": (0, 7)}) is None
