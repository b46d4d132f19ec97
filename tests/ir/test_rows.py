"""Row programs mean what the program means on logical positions."""

from dataclasses import replace

import pytest
import torch
from calls import domain_of, layout_of, rows_of
from environments import Case, environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import Words, masks

from maskc.elaborate.module import elaborate
from maskc.errors import BindError
from maskc.ir.nodes import Expr, Index, Load, walk
from maskc.ir.rows import HEAD_OFFSET, Layout, Position, Shape, side_name, to_rows
from maskc.ir.text import expr_text
from maskc.ir.types import Sz
from maskc.ir.vectorize import ROW_INDICES, Domain, everywhere, vectorize
from maskc.source import Source
from maskc.syntax.parse import parse

TEN = Domain(dict.fromkeys(Sz, 1) | {Sz.Q_LEN: 10, Sz.KV_LEN: 10}, {}, torch.device("cpu"))


def mask_of(text: str) -> Expr:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, {})
    assert [*errors, *more] == []
    return elaborated.module.mask


@given(data=st.data(), mask=masks(), offsets=st.booleans())
def test_rows_keep_the_meaning(data: st.DataObject, mask: Expr, offsets: bool) -> None:
    case: Case = data.draw(environments(mask, positions=True, pairs=True))
    rows, domain = rows_of(mask, case, offsets)
    expected = case.matrix(mask)
    assert torch.equal(vectorize(rows, everywhere(domain), domain).expand_as(expected), expected)


@given(data=st.data(), mask=masks())
def test_rows_know_rows_only(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask, positions=True, pairs=True))
    rows, domain = rows_of(mask, case)
    indices = {term.which for term in walk(rows) if isinstance(term, Index)}
    assert indices <= set(ROW_INDICES)
    for load in (term for term in walk(rows) if isinstance(term, Load)):
        assert len(load.indices) == domain.tensors[load.input.name].dim()


@given(data=st.data(), mask=masks(words=Words(sizes=False)))
def test_a_part_of_the_heads_is_that_part_of_the_whole(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask))
    group = case.num_heads // case.num_kv_heads
    first = data.draw(st.integers(0, case.num_kv_heads - 1))
    count = data.draw(st.integers(1, case.num_kv_heads - first))
    layout = replace(layout_of(case, [mask]), head_offset=True)
    whole = domain_of(case, layout)
    sizes = {**whole.sizes, Sz.NUM_HEADS: count * group, Sz.NUM_KV_HEADS: count}
    tensors = {**whole.tensors, HEAD_OFFSET.name: torch.tensor(first * group)}
    part = Domain(sizes, tensors, whole.device)
    expected = case.matrix(mask)[:, first * group : (first + count) * group]
    found = vectorize(to_rows(mask, layout), everywhere(part), part)
    assert torch.equal(found.expand_as(expected), expected)


def test_positions() -> None:
    mask = mask_of("k <= q")
    forms = {
        Position.ROW: "kv_idx <= q_idx",
        Position.OFFSET: "kv_idx <= q_idx + q_positions",
        Position.BATCH_OFFSET: "kv_idx <= q_idx + q_positions[batch]",
        Position.TABLE: "kv_idx <= q_positions[q_idx]",
        Position.BATCH_TABLE: "kv_idx <= q_positions[batch, q_idx]",
    }
    found = {form: expr_text(to_rows(mask, Layout(q=form))) for form in Position}
    assert found == forms


def test_rows_of_tensors_have_no_offset() -> None:
    rows = to_rows(mask_of("q_idx < kv_idx"), Layout(q=Position.TABLE, k=Position.BATCH_OFFSET))
    assert expr_text(rows) == "q_idx < kv_idx"


def test_the_group_is_a_constant_where_it_is_known() -> None:
    mask = mask_of("input t: bool; t[kv_head]")
    assert expr_text(to_rows(mask, Layout(group=3))) == "t[head // 3]"
    assert expr_text(to_rows(mask, Layout(group=1))) == "t[head]"
    assert expr_text(to_rows(mask, Layout())) == "t[head // (num_heads // num_kv_heads)]"
    offset = Layout(group=2, head_offset=True)
    assert expr_text(to_rows(mask, offset)) == "t[(head + head_offset) // 2]"


def test_a_size_of_one_is_read_at_row_zero() -> None:
    mask = mask_of("input t: bool; t[head, q]")
    assert (
        expr_text(to_rows(mask, Layout(shapes={"t": Shape(False, (True, False))}))) == "t[0, q_idx]"
    )
    batched = Layout(shapes={"t": Shape(True, (False, True, False))})
    assert expr_text(to_rows(mask, batched)) == "t[batch, 0, q_idx]"


def test_coordinates_are_minus_one_outside_the_grid() -> None:
    mask = mask_of("axis h = 2, w = 3 from 2; q.h == 1 & k.w == -1")
    q, k = (vectorize(to_rows(part, Layout()), everywhere(TEN), TEN) for part in mask.args)
    assert q.flatten().tolist() == [row in (5, 6, 7) for row in range(10)]
    assert k.flatten().tolist() == [row < 2 or row > 7 for row in range(10)]


def test_a_pair_is_read_by_the_side_of_its_subscript() -> None:
    pair = {"doc": (Shape(False, (False,)), Shape(True, (False, False)))}
    rows = to_rows(mask_of("doc[q] == doc[k]"), Layout(shapes=pair))
    assert {term.input.name for term in walk(rows) if isinstance(term, Load)} == {
        side_name("doc", "q"),
        side_name("doc", "k"),
    }


@pytest.mark.parametrize(
    "text", ["doc[0] == 1", "input doc: int; doc[head] == 1", "doc[q - k] < 1"]
)
def test_a_pair_needs_a_side(text: str) -> None:
    pair = {"doc": (Shape(False, (False,)), Shape(False, (False,)))}
    with pytest.raises(BindError, match="M410"):
        to_rows(mask_of(text), Layout(shapes=pair))


def test_layouts_are_keys() -> None:
    shapes = {"a": Shape(False, (False,)), "b": Shape(True, (False, True))}
    turned = dict(reversed(shapes.items()))
    assert Layout(shapes=shapes) == Layout(shapes=turned)
    assert hash(Layout(shapes=shapes)) == hash(Layout(shapes=turned))
    assert Layout(shapes=shapes) != Layout()
