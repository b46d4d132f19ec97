"""The tree of a program as a page asks it: each node with its label and its function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maskc.explain.tree import Kind, Written, worked_out
from maskc.ir.nodes import SCORE, And, BoolConst, Compare, Coord, Expr, Load, children
from maskc.ir.operators import CompareOp
from maskc.ir.text import expr_text
from maskc.ir.types import Type
from maskc.source import Source, Span

Label = list[str | int]
"""Text, and numbers of knobs in the place of their values."""


@dataclass(slots=True)
class Functions:
    """The expressions that a page evaluates, each known by its number.

    Attributes:
        source: of the program.
        knobs: the number of the knob that stands at a span.
        roots: the expressions.

    """

    source: Source
    knobs: Mapping[Span | None, int]
    roots: list[Expr] = field(default_factory=list)

    def add(self, expr: Expr) -> int:
        """Return the number of one more expression."""
        self.roots.append(expr)
        return len(self.roots) - 1

    def label(self, node: Written) -> Label | None:
        """Return what to call a node; None where its text would be wrong once a knob is turned.

        So is one of a library that comes to true or false: ``q % 1 == k % 1``.
        """
        span = node.expr.span
        if node.has_parameters and isinstance(node.plain, BoolConst):
            return None
        if span is not None and span.source == self.source and span.text == node.label:
            return list(self._pieces(span))
        return [node.label] if self.is_fixed(node.expr) or _is_written(node) else None

    def is_fixed(self, expr: Expr) -> bool:
        """Tell whether no knob changes an expression."""
        return expr.span not in self.knobs and all(map(self.is_fixed, children(expr)))

    def _pieces(self, span: Span) -> Iterator[str | int]:
        text, at = self.source.text, span.start
        numbers = {one: n for one, n in self.knobs.items() if one and _is_number(one)}
        for one in sorted(numbers, key=lambda each: each.start):
            if span.start <= one.start and one.end <= span.end:
                yield text[at : one.start]
                yield numbers[one]
                at = one.end
        yield text[at : span.end]


def _is_written(node: Written) -> bool:
    """Tell whether a node's label is the text of the program, on fewer lines than it stands on."""
    return node.is_own and not node.has_parameters


def _is_number(span: Span) -> bool:
    return not span.text.isidentifier()


def tree_of(node: Written, functions: Functions) -> dict[str, Any]:
    """Return a node and all below it as ``answered`` of ``why.js`` takes them."""
    return {
        "label": functions.label(node),
        "kind": "and" if _links(node) else node.kind.value,
        "fn": functions.add(node.expr),
        "sides": _sides(node, functions),
        "parts": [
            *(tree_of(part, functions) for part in node.parts),
            *(_link(link, functions) for link in _links(node)),
        ],
    }


def _links(node: Written) -> list[Compare]:
    """Return the comparisons of a chain, as in ``0 <= q - k < n``."""
    if node.kind is not Kind.LEAF or not isinstance(node.expr, And):
        return []
    return [arg for arg in node.expr.args if isinstance(arg, Compare)]


def _link(expr: Compare, functions: Functions) -> dict[str, Any]:
    return tree_of(Written(Kind.LEAF, expr_text(expr), expr, (), True, False), functions)


def _sides(node: Written, functions: Functions) -> dict[str, Any] | None:
    match node.expr:
        case Compare(op, left, right) if node.kind is Kind.LEAF and left.type is not Type.BOOL:
            ends = {"left": _side(left, functions), "right": _side(right, functions)}
            return {"op": op.symbol, "holds": functions.add(node.expr), **ends}
        case _:
            return None


def _side(expr: Expr, functions: Functions) -> dict[str, Any]:
    is_plain = not children(expr) and not isinstance(expr, Load)
    work = 2 if not is_plain else 1 if expr.deps else 0
    return {
        "text": expr_text(_plain(expr)) if work == 2 and functions.is_fixed(expr) else None,
        "fn": functions.add(expr),
        "work": work,
        "isRead": isinstance(expr, Load | Coord),
    }


def _plain(expr: Expr) -> Expr:
    """Return a side of a comparison with its numbers worked out."""
    match worked_out(Compare(CompareOp.LT, expr, SCORE)):
        case Compare(_, found, _):
            return found
        case _:
            return expr
