"""Canonical text parses back to the program that was printed."""

from itertools import permutations

import pytest
from environments import Case, environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import GRIDS, Words, masks, modules

from maskc.elaborate.module import Elaborated, elaborate
from maskc.ir.nodes import (
    OUT,
    SCORE,
    TRUE,
    Axis,
    Compare,
    Coord,
    Expr,
    Index,
    IntConst,
    Module,
    Or,
)
from maskc.ir.operators import CompareOp
from maskc.ir.text import to_text
from maskc.ir.types import Ix
from maskc.source import Source
from maskc.syntax.parse import parse

TWO = IntConst(2)


def read(text: str, **constants: bool | int | float) -> Elaborated:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, constants)
    assert [*errors, *more] == []
    return elaborated


@given(modules())
def test_text_parses_back(module: Module) -> None:
    assert read(to_text(module)).module == module


@given(masks(words=Words(topk=True)))
def test_selections_parse_back(mask: Expr) -> None:
    module = Module(mask, *read("full").module.roots[1:])
    assert read(to_text(module)).module == module


@given(modules())
def test_text_does_not_depend_on_how_it_was_written(module: Module) -> None:
    text = to_text(module)
    written = text.replace(" & ", " and\n\t").replace("(", "( # bracket\n").replace("\n", " \r\n")
    assert read(written).module == module
    assert to_text(read(written).module) == text


@pytest.mark.parametrize("axes", GRIDS, ids=lambda axes: "x".join(str(a.size) for a in axes))
def test_grids_parse_back(axes: tuple[Axis, ...]) -> None:
    for count in range(1, len(axes) + 1):
        for some in permutations(axes, count):
            parts = (Compare(CompareOp.LT, Coord(Index(Ix.Q), axis), TWO) for axis in some)
            module = Module(Or((TRUE, *parts)), SCORE, OUT)
            assert read(to_text(module)).module == module


def test_unread_axes_get_a_free_name() -> None:
    text = "axis h = 2, w = 3\ninput axis0: int\naxis0[k.h] < 3"
    module = read(text).module
    assert read(to_text(module)).module == module


@given(data=st.data(), module=modules())
def test_a_drawn_environment_fits(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    case.matrix(module.mask)
