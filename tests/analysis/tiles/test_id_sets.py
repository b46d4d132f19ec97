"""Ids in any order, beside ranges of keys: the tiles are torch's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from environments import Case, environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import domain_of, row_mask, rows_of_case
from strategies import masks
from test_block_tables import assert_same, expected

from maskc.analysis.tables.block_tables import block_tables
from maskc.analysis.tiles import conjuncts, id_sets
from maskc.analysis.tiles.conjuncts import tiles_of_conjuncts
from maskc.analysis.tiles.grid import grid_of
from maskc.analysis.tiles.tile_map import Step
from maskc.ir.nodes import And, Compare, Expr, Index, Input, Load
from maskc.ir.operators import CompareOp
from maskc.ir.types import Ix, Type
from maskc.ir.vectorize import Domain

DOC = Input("doc", Type.INT)
SAME_DOC = Compare(CompareOp.EQ, *(Load(DOC, (Index(which),)) for which in (Ix.Q, Ix.K)))


def assert_tiles(mask: Expr, domain: Domain, block: tuple[int, int]) -> bool:
    grid = grid_of(mask, domain, block)
    found = tiles_of_conjuncts(mask, domain, grid)
    if found is None:
        return False
    assert sum(found.decided.values()) == grid.count
    assert_same(block_tables(found), expected(mask, domain, block, grid.batch, grid.heads))
    return True


@settings(max_examples=examples(200))
@given(st.data(), masks(depth=1), st.tuples(*[st.sampled_from([1, 2, 3, 5])] * 2), st.booleans())
def test_beside_any_mask(
    data: st.DataObject, mask: Expr, block: tuple[int, int], positions: bool
) -> None:
    expr = And((SAME_DOC, mask))
    case: Case = data.draw(environments(expr, positions=positions))
    least = st.sampled_from([0, -(2**40)])
    case = replace(case, inputs={**case.inputs, "doc": case.inputs["doc"] + data.draw(least)})
    event(f"by ids: {assert_tiles(*rows_of_case(expr, case), block)}")


@pytest.mark.parametrize("text", ["same_doc", "causal & same_doc", "same_doc & sinks(40)"])
def test_scattered_documents(text: str) -> None:
    """Only tiles at the edge of the ranges are looked at."""
    ids = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(0))
    ids[64:128] = 3
    domain = domain_of(200, 150, doc=ids)
    assert assert_tiles(row_mask(text, domain), domain, (16, 16))


def test_two_sequences() -> None:
    """An id that no key has is no single id of a block."""
    mine, theirs = torch.tensor([1, 9, 1, 1, 2, 2]), torch.tensor([1, 1, 2, 1])
    domain = domain_of(6, 4, mine=mine, theirs=theirs)
    mask = row_mask("input mine: int; input theirs: int; mine[q] == theirs[k]", domain)
    assert assert_tiles(mask, domain, (2, 2))


@pytest.mark.parametrize("cached", [1, 10, 21])
def test_blocks_are_compared_in_bands(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.randint(0, 90, (2, 130), generator=torch.Generator().manual_seed(0))
    domain = domain_of(130, 130, batch=2, doc=ids.sort(-1).values[:, torch.randperm(130)])
    mask = row_mask("input doc: int; doc[batch, q] == doc[batch, k]", domain)
    monkeypatch.setattr(id_sets, "CACHED", cached)
    assert assert_tiles(mask, domain, (13, 27))


def test_edges_alone_are_searched() -> None:
    ids = torch.randint(0, 4, (1024,), generator=torch.Generator().manual_seed(0))
    domain = domain_of(1024, 1024, doc=ids)
    mask = row_mask("causal & same_doc", domain)
    found = tiles_of_conjuncts(mask, domain, grid_of(mask, domain, (64, 64)))
    assert found is not None
    assert found.decided[Step.ID_SETS] == 16 * 16 - 16
    assert found.decided[Step.WITNESS] == 16


@pytest.mark.parametrize("limit", ["MOST_BLOCKS", "MOST_FLAGS", "MOST_PRODUCTS"])
def test_many_ids_are_left_to_a_search(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = domain_of(30, 30, doc=torch.arange(30) % 7)
    mask = row_mask("same_doc", domain)
    monkeypatch.setattr(conjuncts if limit == "MOST_BLOCKS" else id_sets, limit, 10)
    assert tiles_of_conjuncts(mask, domain, grid_of(mask, domain, (4, 4))) is None
