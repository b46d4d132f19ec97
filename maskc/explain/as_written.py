"""A compiled program back to the tree that its user wrote, by a second walk over the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maskc.compiled import Compiled
from maskc.elaborate.errors import Report
from maskc.elaborate.expressions import Expander
from maskc.elaborate.module import declare
from maskc.elaborate.open_layer import LAYER
from maskc.elaborate.overloads import matched, overload
from maskc.elaborate.scope import LetName, Macro, Overloads, Scope
from maskc.elaborate.type_rules import constant
from maskc.explain.tree import Kind, Written, WrittenProgram
from maskc.ir.types import Type
from maskc.source import Source, Span
from maskc.syntax import ast
from maskc.syntax.parse import parse

MOST_NODES = 2000
"""Of one tree; a definition that comes after so many is not looked into."""

KINDS = {"&": Kind.AND, "|": Kind.OR}


def as_written(program: Compiled) -> WrittenProgram:
    """Return the mask, the scores and the epilogues of a program as trees of its text."""
    recipe = program.recipe
    tree, _ = parse(recipe.source)
    is_open = program.open_layer is not None
    constants = {**recipe.values, LAYER: 0} if is_open else recipe.values
    known = declare(tree, constants, recipe.libraries, Report(), assumed=is_open)
    walk = _Walk(known.expander, recipe.source)
    parts: dict[str, list[Written]] = {"mask": [], "score": [], "out": []}
    for statement in tree.statements:
        if isinstance(statement, ast.Assignment):
            parts[statement.target.text].append(walk.tree(statement.value, _Frame(known.scope)))
    mask = parts["mask"][0] if parts["mask"] else None
    return WrittenProgram(mask, tuple(parts["score"]), tuple(parts["out"]))


def one_line(span: Span) -> str:
    """Return the text of a span on one line, without comments."""
    lines = (line.partition("#")[0] for line in span.text.splitlines())
    return " ".join(" ".join(lines).split())


@dataclass(frozen=True, slots=True)
class _Frame:
    """The names where a text stands: a scope, and the arguments of the call that it is within."""

    scope: Scope
    arguments: Mapping[str, tuple[ast.Expr, _Frame]] = field(default_factory=dict)


@dataclass(slots=True)
class _Walk:
    expander: Expander
    source: Source
    count: int = 0

    def tree(self, node: ast.Expr, frame: _Frame) -> Written:
        """Return the tree of an expression; a parameter stands for the argument itself."""
        if isinstance(node, ast.Name) and node.text in frame.arguments:
            return self.tree(*frame.arguments[node.text])
        self.count += 1
        expr = self.expander.anew(node, frame.scope)
        kind, parts = self._parts(node, frame) if expr.type is Type.BOOL else (Kind.LEAF, ())
        is_own = node.span.source == self.source
        return Written(kind, one_line(node.span), expr, parts, bool(frame.arguments), is_own)

    def _parts(self, node: ast.Expr, frame: _Frame) -> tuple[Kind, tuple[Written, ...]]:
        match node:
            case ast.Connective(op, operands):
                return KINDS[op], tuple(self.tree(operand, frame) for operand in operands)
            case ast.Binary("^", left, right):
                return Kind.XOR, (self.tree(left, frame), self.tree(right, frame))
            case ast.Unary("!", operand):
                return Kind.NOT, (self.tree(operand, frame),)
            case ast.Conditional(then, test, other):
                return self._choice((test, then, other), frame)
            case ast.Call() if frame.scope.find(node.function.text) is None:
                values = [argument.value for argument in node.arguments]
                is_choice = node.function.text == "where"
                return self._choice(values, frame) if is_choice else (Kind.LEAF, ())
            case ast.Name() | ast.Call():
                body = None if self.count >= MOST_NODES else self._body(node, frame)
                return (Kind.LEAF, ()) if body is None else (Kind.NAME, (self.tree(*body),))
            case _:
                return Kind.LEAF, ()

    def _choice(
        self, nodes: tuple[ast.Expr, ...] | list[ast.Expr], frame: _Frame
    ) -> tuple[Kind, tuple[Written, ...]]:
        """Return the three parts of a choice; what a constant test rules out may be nonsense."""
        test, then, other = nodes
        value = constant(self.expander.anew(test, frame.scope))
        if value is not None:
            return Kind.NAME, (self.tree(then if value else other, frame),)
        return Kind.CHOICE, tuple(self.tree(node, frame) for node in nodes)

    def _body(self, node: ast.Name | ast.Call, frame: _Frame) -> tuple[ast.Expr, _Frame] | None:
        """Return what a name or a call stands for, and the names there; None for a plain value."""
        if isinstance(node, ast.Call):
            match frame.scope.find(node.function.text):
                case Overloads(macros):
                    return self._inside(overload(macros, node), node, frame)
                case _:
                    return None
        match frame.scope.find(node.text):
            case LetName(_, value, scope):
                return value, _Frame(scope)
            case _:
                return None

    def _inside(self, macro: Macro, node: ast.Call, frame: _Frame) -> tuple[ast.Expr, _Frame]:
        parts = matched(macro, node)
        inner = self.expander.inside(macro, parts, frame.scope)
        given = {
            parameter.name.text: (part, _Frame(macro.scope) if part is parameter.default else frame)
            for parameter, part in zip(macro.parameters, parts, strict=True)
        }
        return macro.body, _Frame(inner, given)
