"""Which rows have no key, and where a condition holds: exactly."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from environments import environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import dense, domain_of, row_mask, rows_of_case
from strategies import masks

from maskc.analysis.tiles import any_true as search
from maskc.analysis.tiles import classify as tiles
from maskc.analysis.tiles import empty_rows as rows
from maskc.analysis.tiles import refine
from maskc.analysis.tiles.any_true import any_true
from maskc.analysis.tiles.classify import searched, tile_map
from maskc.analysis.tiles.empty_rows import empty_rows
from maskc.analysis.tiles.grid import grid_of
from maskc.ir.nodes import Expr
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain

TEXTS = [
    "full",
    "!full",
    "causal & q > 40",
    "k == q + 20 & q % 3 == 1",
    "k < 10 & q % 50 < 3 | (q * k) % 7 == 3 & k > 20",
    "abs(q - k) == 100 & k % 17 == 0",
    "where(head == 0, causal, k > q)",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("q_len", "kv_len"), [(100, 100), (257, 60), (30, 300), (1, 1)])
def test_both(text: str, q_len: int, kv_len: int) -> None:
    domain = domain_of(q_len, kv_len, batch=2, heads=2)
    assert_both(row_mask(text, domain), domain, (16, 32))


@settings(max_examples=examples(60))
@given(st.data(), masks(), st.integers(1, 8), st.booleans())
def test_drawn(data: st.DataObject, mask: Expr, block: int, positions: bool) -> None:
    case = data.draw(environments(mask, positions=positions, pairs=True))
    with (
        patch.object(tiles, "TOP", 2),
        patch.object(search, "BLOCK", 2),
        patch.object(rows, "POINTS", 5),
        patch.multiple(refine, PARTS=2, POINTS=5),
    ):
        assert_both(*rows_of_case(mask, case), (block, 3))


def assert_both(mask: Expr, domain: Domain, block: tuple[int, int]) -> None:
    grid = grid_of(mask, domain, block)
    true = dense(mask, domain, grid.batch, grid.heads)
    for found in (tile_map(mask, domain, block), searched(mask, domain, grid)):
        assert torch.equal(empty_rows(mask, domain, found), ~true.any(-1))
    point = any_true(mask, domain)
    assert (point is not None) == bool(true.any())
    if point is not None:
        assert true[point.batch, point.head, point.q_idx, point.kv_idx]


@pytest.mark.parametrize(("q_len", "kv_len"), [(0, 5), (5, 0)])
def test_no_rows_or_no_keys(q_len: int, kv_len: int) -> None:
    domain = domain_of(q_len, kv_len)
    mask = row_mask("causal", domain)
    assert empty_rows(mask, domain, tile_map(mask, domain, (2, 2))).tolist() == [[[True] * q_len]]
    assert any_true(mask, domain) is None


def test_a_point_far_inside_is_found() -> None:
    domain = domain_of(5000, 7000)
    point = any_true(row_mask("q * 7001 + k == 4321 * 7001 + 6543", domain), domain)
    assert point is not None
    assert (point.q_idx, point.kv_idx) == (4321, 6543)
    assert domain.sizes[Sz.Q_LEN] == 5000
