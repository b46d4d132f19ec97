"""Masks that are the same all over a tile, beside any others: the tiles are torch's."""

from __future__ import annotations

import pytest
import torch
from environments import environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import domain_of, row_mask, rows_of_case
from strategies import masks
from test_id_sets import assert_tiles

from maskc.analysis.tiles.conjuncts import tiles_of_conjuncts
from maskc.analysis.tiles.grid import grid_of
from maskc.analysis.tiles.steady import is_steady
from maskc.analysis.tiles.tile_map import Step
from maskc.ir.nodes import And, Arith, Expr, Index, Input, IntConst, Load
from maskc.ir.operators import ArithOp
from maskc.ir.types import Ix, Type

TABLE = Input("table", Type.BOOL)


def page(which: Ix, shift: int, divisor: int) -> Expr:
    return Arith(
        ArithOp.FLOORDIV, Arith(ArithOp.ADD, Index(which), IntConst(shift)), IntConst(divisor)
    )


pages = st.tuples(st.integers(0, 4), st.integers(1, 6))


@settings(max_examples=examples(150))
@given(st.data(), masks(depth=1), st.tuples(*[st.sampled_from([1, 2, 3])] * 2), pages, pages)
def test_beside_any_mask(
    data: st.DataObject,
    mask: Expr,
    block: tuple[int, int],
    of_q: tuple[int, int],
    of_k: tuple[int, int],
) -> None:
    expr = And((Load(TABLE, (page(Ix.Q, *of_q), page(Ix.K, *of_k))), mask))
    case = data.draw(environments(expr))
    event(f"steady: {assert_tiles(*rows_of_case(expr, case), block)}")


@pytest.mark.parametrize(
    ("text", "steady"),
    [
        ("t[q // 8, k // 16]", True),
        ("t[(q + 8) // 8, k // 32]", True),
        ("t[q // 8 % 2, k // 16]", True),
        ("t[q // 4, k // 16]", False),
        ("t[(q + 2) // 8, k // 16]", False),
        ("t[q % 8, k // 16]", False),
        ("t[q // 8, k]", False),
        ("t[(q + k) // 16, k // 16]", False),
    ],
)
def test_is_steady(text: str, steady: bool) -> None:
    domain = domain_of(64, 64, t=torch.ones(64, 64, dtype=torch.bool))
    mask = row_mask(f"input t: bool; {text}", domain)
    assert is_steady(mask, (8, 16)) is steady


@pytest.mark.parametrize("lengths", [(64, 64), (61, 50)])
def test_pages(lengths: tuple[int, int]) -> None:
    """A table of pages beside ranges: nothing is searched."""
    random = torch.Generator().manual_seed(0)
    table = torch.rand(8, 8, generator=random) < 0.4
    domain = domain_of(*lengths, t=table)
    mask = row_mask("input t: bool; causal & t[q // 8, k // 8]", domain)
    found = tiles_of_conjuncts(mask, domain, grid_of(mask, domain, (8, 8)))
    assert found is not None
    assert found.decided[Step.STEADY] == found.grid.count
    assert assert_tiles(mask, domain, (8, 8))
