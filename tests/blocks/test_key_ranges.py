"""Ids that stand side by side become ranges of keys, and mean the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from environments import Case, environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from profiles import examples
from row_programs import rows_of_case
from strategies import masks
from torch import Tensor

from maskc import Program, compile_mask
from maskc.analysis.key_ranges.derive import OneRange, one_range
from maskc.binding.bind import BoundMask
from maskc.blocks import key_ranges
from maskc.blocks.key_ranges import with_key_ranges
from maskc.ir.nodes import And, Compare, Expr, Index, Input, Load, Or
from maskc.ir.operators import CompareOp
from maskc.ir.types import Ix, Type
from maskc.ir.vectorize import Domain, dense

NEAR, FAR = (-1, 0, 1, 2, 3), (-(2**40), -1, 0, 1, 2, 2**40)


@st.composite
def packed(
    draw: DrawFn, lines: int, length: int, ids: tuple[int, ...] = NEAR, scattered: bool = False
) -> Tensor:
    """Draw ids ``[lines, length]`` that stand side by side, in any order, or may be scattered."""
    line = st.lists(st.sampled_from(ids), min_size=length, max_size=length)
    rows = [draw(line) for _ in range(lines)]
    if not scattered:
        order = draw(st.permutations(ids))
        rows = [sorted(row, key=order.index) for row in rows]
    return torch.tensor(rows)


@settings(max_examples=examples(200))
@given(st.data(), st.integers(1, 3), st.integers(2, 6), st.integers(2, 9), st.booleans())
def test_ids_are_ranges_where_those_asked_for_stand_side_by_side(
    data: st.DataObject, batches: int, queries: int, keys: int, scattered: bool
) -> None:
    k_ids = data.draw(packed(batches, keys, FAR, scattered))
    q_ids = data.draw(packed(batches, queries, FAR, True))
    runs = [[one for one, _ in groupby(row)] for row in k_ids.tolist()]
    asked = [row.count(one) for row, ids in zip(runs, q_ids.tolist(), strict=True) for one in ids]
    sizes = {"q_len": queries, "kv_len": keys, "batch_size": batches}
    bound = compile_mask("same_doc").bind(**sizes, doc=(q_ids, k_ids))
    event(f"runs of an id: {max(asked)}")
    assert bound.has_key_ranges == (max(asked) <= 1)
    at = torch.arange(keys)
    found = bound.mask_mod(
        torch.arange(batches).view(-1, 1, 1), torch.tensor(0), torch.arange(queries)[:, None], at
    )
    expected = q_ids[:, :, None] == k_ids[:, None]
    assert torch.equal(found.expand_as(expected), expected)


DOC = Input("doc", Type.INT)
SAME_DOC = Compare(CompareOp.EQ, *(Load(DOC, (Index(which),)) for which in (Ix.Q, Ix.K)))


@settings(max_examples=examples(400))
@given(st.data(), st.one_of(masks(depth=1), masks(depth=2)), st.booleans())
def test_documents_beside_any_mask_mean_the_same(
    data: st.DataObject, mask: Expr, either: bool
) -> None:
    expr = (Or if either else And)((SAME_DOC, mask))
    case: Case = data.draw(environments(expr, positions=data.draw(st.booleans())))
    case = replace(case, inputs={**case.inputs, "doc": case.inputs["doc"].sort().values})
    row, domain = rows_of_case(expr, case)
    found, keys = with_key_ranges(BoundMask(row, domain))
    event(f"ranges: {found.expr != row}, all: {keys is not None}")
    matrix = case.matrix(expr)
    if keys is not None:
        at = torch.arange(keys.k_len)
        first, stop = (torch.from_numpy(end[0])[..., None] for end in (keys.first, keys.stop))
        assert torch.equal(((first <= at) & (at < stop)).expand_as(matrix), matrix)
    assert torch.equal(dense(found.expr, found.domain).expand_as(matrix), matrix)


TEXTS = [
    "same_doc",
    "causal & same_doc",
    "same_doc & q <= k",
    "same_doc & window(3)",
    "same_doc & window(2, 1) & 2 * k < q + 3",
    "causal & same_doc & same_kind",
    "same_doc & k < n[batch] & k != 2",
    "same_doc & (same_kind | causal)",
    "same_doc & k // 2 < q",
    "!(causal & same_doc) | k < 2",
    "where(head == 0, same_doc, causal & same_kind & k < 5)",
    "doc[q] + head == doc[k] & causal",
    "doc[q] == kind[k] + 1 & k < q",
    "k // 3 == doc[q]",
    "same_doc & k < q + 0.5",
    "same_doc & k < x[q] & x[q] - 3 <= k",
]
DECLARED = (
    "input doc: int; input kind: int; input n: int; input x: float; "
    "let same_kind = kind[q] == kind[k]; "
)


@settings(max_examples=examples(250))
@given(st.data(), st.sampled_from(TEXTS), st.integers(1, 7), st.integers(1, 7), st.integers(0, 4))
def test_documents_mean_the_same(
    data: st.DataObject, text: str, queries: int, keys: int, offset: int
) -> None:
    program = compile_mask(DECLARED + text.replace("same_doc", "doc[q] == doc[k]"))
    batches = data.draw(st.integers(1, 2))
    length = max(queries + offset, keys)
    drawn = {name: data.draw(packed(batches, length)) for name in ("doc", "kind")}
    drawn["n"] = torch.tensor([3, 5])[:batches]
    drawn["x"] = torch.linspace(0.3, 6.7, length)
    bound = bound_to(program, queries, keys, batches, drawn, q_offset=offset)
    event(f"ranges: {'range0' in bound.mask_mod.source}")
    mask = bound.dense_mask().expand(batches, 2, -1, -1)
    at = [torch.arange(size) for size in mask.shape]
    assert torch.equal(bound.mask_mod(*torch.meshgrid(*at, indexing="ij")).expand_as(mask), mask)
    tiles = F.pad(mask, (0, -keys % 2, 0, -queries % 2)).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    if bound.block_mask is None:
        assert mask.all()
        return
    found = bound.block_mask.to_dense().expand(batches, 2, -1, -1)
    assert torch.equal(found.bool(), tiles.any(5).any(3))


def bound_to(
    program: Program, queries: int, keys: int, batches: int, drawn: dict[str, Tensor], **more: Any
) -> Any:
    sizes = {"q_len": queries, "kv_len": keys, "batch_size": batches, "num_heads": 2}
    read = {name: drawn[name] for name in {x.name for x in program.inputs}}
    return program.bind(**sizes, **read, block_size=2, **more)


DOCS = torch.tensor([7, 7, 2, 2, 2, -1])


@pytest.mark.parametrize(
    ("text", "doc", "expected"),
    [
        ("causal & same_doc", DOCS, "(q_first <= kv_idx) & (kv_idx <= q_idx)"),
        (
            "causal & same_doc & window(2)",
            DOCS,
            "(q_first <= kv_idx) & (kv_idx <= q_idx)",
        ),
        (
            "same_doc",
            DOCS[:, None].expand(6, 2).T,
            "(q_first <= kv_idx) & (kv_idx < q_stop)",
        ),
        (
            "causal & same_doc",
            torch.tensor([7, 2, 7, 2, 2, 2]),
            "(kv_idx <= q_idx) & (q_doc == kv_doc)",
        ),
    ],
)
def test_code(text: str, doc: Tensor, expected: str) -> None:
    batches = len(doc) if doc.dim() == 2 else 1
    bound = compile_mask(text).bind(q_len=6, batch_size=batches, doc=doc)
    assert f"return {expected}\n" in bound.mask_mod.source


def test_what_is_bound_again_is_looked_at_again() -> None:
    program, doc = compile_mask("causal & same_doc"), DOCS.clone()
    before = program.bind(q_len=6, doc=doc).mask_mod
    doc[4] = 7
    assert "in_doc" in program.bind(q_len=6, doc=doc).mask_mod.source
    assert "in_doc" not in before.source


def test_a_document_may_go_on_after_the_last_key() -> None:
    doc = torch.tensor([1, 2, 1])
    bound = compile_mask("causal & same_doc").bind(q_len=3, kv_len=2, doc=doc)
    q, k = torch.arange(3)[:, None], torch.arange(2)
    found = bound.mask_mod(torch.tensor(0), torch.tensor(0), q, k)
    assert found.tolist() == [[True, False], [False, True], [True, False]]
    assert "range0" in bound.mask_mod.source


@pytest.mark.parametrize("name", ["_ends_with_own_key", "one_range"])
def test_a_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {"_ends_with_own_key": lambda keys: True, "one_range": one_key_more}
    test_a_document_may_go_on_after_the_last_key()
    monkeypatch.setattr(key_ranges, name, faults[name])
    with pytest.raises(AssertionError):
        test_a_document_may_go_on_after_the_last_key()


def one_key_more(operands: tuple[Expr, ...], domain: Domain) -> OneRange | None:
    found = one_range(operands, domain)
    if found is None:
        return None
    ends = found.keys.ends.copy()
    ends[1] += 1
    return found._replace(keys=replace(found.keys, ends=ends))
