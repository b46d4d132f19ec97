"""One text for all layers of a model: ``param layer: int`` is the param that may stay open."""

from __future__ import annotations

from collections.abc import Mapping

from maskc.elaborate.declare import Constant
from maskc.source import Span
from maskc.syntax import ast

LAYER = "layer"


def open_layer(tree: ast.Tree, constants: Mapping[str, Constant]) -> Span | None:
    """Return the place of a ``param layer`` that nothing gives a value, None if there is none."""
    for statement in tree.statements:
        match statement:
            case ast.Param(name, kind, None) if name.text == LAYER and LAYER not in constants:
                is_int = kind is None or kind.text == "int"
                return name.span if is_int else None
            case _:
                pass
    return None
