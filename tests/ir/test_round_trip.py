"""Canonical text parses back to the program that was printed."""

from environments import Case, environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import Words, masks, modules

from maskc.ir.elaborate import Elaborated, elaborate
from maskc.ir.nodes import Expr, Module
from maskc.ir.text import to_text
from maskc.source import Source
from maskc.syntax.parse import parse


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
def test_text_is_stable(module: Module) -> None:
    text = to_text(module)
    assert to_text(read(text).module) == text


@given(data=st.data(), module=modules())
def test_a_drawn_environment_fits(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    case.matrix(module.mask)
