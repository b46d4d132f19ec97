"""Lark's tree to ours: one function for each rule of the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from lark import Token, Tree

from maskc.errors import MaskSyntaxError
from maskc.limits import MAX_FLOAT, MAX_INT, held
from maskc.source import Source, Span
from maskc.syntax import ast
from maskc.syntax.tokens import span_of

"""The largest int literal: index arithmetic in the kernels has 32 bits."""

CONNECTIVES = {"disjunction": "|", "conjunction": "&"}
TARGETS = ("mask", "score", "out")
TYPES = ("int", "float", "bool")

LarkTree = Tree[Token]


class Builder:
    """Builds the statements of one source; a comment becomes the doc of the statement it is at."""

    def __init__(self, source: Source, comments: Sequence[Token]) -> None:
        self._source = source
        self._comments = {cast(int, token.line): token for token in comments}
        self._lines = source.text.split("\n")

    def statement(self, tree: LarkTree | Token) -> ast.Statement:
        """Return the statement that ``tree`` is."""
        if isinstance(tree, Token):
            return self._mask(tree)
        span = self._span(tree)
        match tree.data, cast("list[Any]", tree.children):
            case "assignment", [target, value]:
                return self._assignment(target, value, span)
            case "let", [name, value]:
                return ast.Let(self._identifier(name), self.expr(value), self._doc(tree), span)
            case "define", [name, parameters, value]:
                listed = tuple(self._parameter(part) for part in parameters.children)
                body = self.expr(value)
                return ast.Define(self._identifier(name), listed, body, self._doc(tree), span)
            case "param", [name, kind, default]:
                declared = None if kind is None else self._identifier(kind)
                value = None if default is None else self.expr(default)
                return ast.Param(self._identifier(name), declared, value, self._doc(tree), span)
            case "input", [name, kind]:
                names = self._identifier(name), self._identifier(kind)
                return ast.Input(*names, self._doc(tree), span)
            case "axes", [*axes, start]:
                listed = tuple(self._axis_size(axis) for axis in axes)
                return ast.Axes(listed, None if start is None else self.expr(start), span)
            case "use", [path]:
                return ast.Use(path[1:-1], span)
            case "bare_mask", [value]:
                return self._mask(value)
            case _:
                return self._mask(tree)

    def expr(self, tree: LarkTree | Token) -> ast.Expr:
        """Return the expression that ``tree`` is."""
        assert isinstance(tree, Tree)
        span = self._span(tree)
        match str(tree.data), cast("list[Any]", tree.children):
            case "name", [token]:
                return ast.Name(str(token), span)
            case "int_literal", [token]:
                return ast.Literal(self._int(token), span)
            case "float_literal", [token]:
                return ast.Literal(self._float(token), span)
            case "bool_literal", [token]:
                return ast.Literal(token == "true", span)
            case "infinity", [_]:
                return ast.Literal(float("inf"), span)
            case "parenthesis", [inner]:
                return self.expr(inner)
            case "unary", [op, operand]:
                sign = "-" if op == "-" else "!"
                return ast.Unary(sign, self.expr(operand), span)
            case "binary", [left, op, right]:
                return ast.Binary(str(op), self.expr(left), self.expr(right), span)
            case ("disjunction" | "conjunction") as rule, operands:
                parts = tuple(self.expr(operand) for operand in operands)
                return ast.Connective(CONNECTIVES[rule], parts, span)
            case "chain", links:
                compared = tuple(self.expr(part) for part in links[::2])
                return ast.Chain(compared, tuple(str(op) for op in links[1::2]), span)
            case "conditional", [then, test, other]:
                return ast.Conditional(self.expr(then), self.expr(test), self.expr(other), span)
            case "call", [name, *arguments]:
                parsed = tuple(self._argument(part) for part in arguments)
                return ast.Call(self._identifier(name), parsed, span)
            case "subscript", [name, *indices]:
                parts = tuple(self.expr(index) for index in indices)
                return ast.Subscript(self._identifier(name), parts, span)
            case "coordinate", [position, axis]:
                return ast.Coordinate(self.expr(position), self._identifier(axis), span)
            case rule, _:
                raise AssertionError(f"the grammar has a rule that nothing builds: {rule}")

    def _mask(self, tree: LarkTree | Token) -> ast.Assignment:
        value = self.expr(tree)
        return ast.Assignment(ast.Identifier("mask", value.span), value, value.span)

    def _assignment(self, target: Token, value: LarkTree, span: Span) -> ast.Assignment:
        if target not in TARGETS:
            raise MaskSyntaxError(
                "M106",
                f"`{target}` cannot be assigned, expected `mask`, `score` or `out`",
                span_of(self._source, target),
                f"name an expression with `let {target} = ...`",
            )
        return ast.Assignment(self._identifier(target), self.expr(value), span)

    def _parameter(self, tree: LarkTree) -> ast.Parameter:
        name, domain, default = cast("list[Any]", tree.children)
        return ast.Parameter(
            self._identifier(name),
            None if default is None else self.expr(default),
            None if domain is None else self._domain(domain),
        )

    def _domain(self, tree: LarkTree) -> ast.Domain:
        span = self._span(tree)
        if tree.data == "axis_domain":
            return ast.Domain(ast.Identifier("axis", span), None, span)
        match self.expr(tree):
            case ast.Name(text) if text in TYPES:
                return ast.Domain(ast.Identifier(text, span), None, span)
            case ast.Chain(operands) as chain:
                kinds = [part for part in operands if isinstance(part, ast.Name)]
                match [part for part in kinds if part.text in TYPES]:
                    case [kind]:
                        return ast.Domain(ast.Identifier(kind.text, kind.span), chain, span)
        message = f"`{span.text}` is no type and no type within bounds"
        help = "write `n: int`, `n: int >= 1`, `p: 0 < float <= 2`, `on: bool` or `along: axis`"
        raise MaskSyntaxError("M110", message, span, help)

    def _axis_size(self, tree: LarkTree) -> ast.Parameter:
        name, size = cast("list[Any]", tree.children)
        return ast.Parameter(self._identifier(name), None if size is None else self.expr(size))

    def _argument(self, tree: LarkTree) -> ast.Argument:
        span = self._span(tree)
        if tree.data != "named":
            return ast.Argument(None, self.expr(tree), span)
        name, value = cast("list[Any]", tree.children)
        return ast.Argument(self._identifier(name), self.expr(value), span)

    def _identifier(self, token: Token) -> ast.Identifier:
        return ast.Identifier(str(token), span_of(self._source, token))

    def _int(self, token: Token) -> int:
        digits = token.replace("_", "")
        if len(digits.lstrip("0")) > 10 or int(digits) > MAX_INT:
            raise MaskSyntaxError(
                "M107",
                f"the int is larger than {MAX_INT}",
                span_of(self._source, token),
                "write a float, or `inf`",
            )
        return int(digits)

    def _float(self, token: Token) -> float:
        value = held(float(token.replace("_", "")))
        if value == float("inf"):
            span = span_of(self._source, token)
            message = f"the float is larger than {MAX_FLOAT:.7e}"
            raise MaskSyntaxError("M107", message, span, "write `inf`")
        return value

    def _span(self, tree: LarkTree) -> Span:
        return Span(self._source, tree.meta.start_pos, tree.meta.end_pos)

    def _doc(self, tree: LarkTree) -> str:
        """Return the comment at the end of the statement, or the comment lines right above it."""
        trailing = self._comments.get(tree.meta.end_line)
        if trailing is not None and cast(int, trailing.start_pos) >= tree.meta.end_pos:
            return _plain(trailing)
        lines: list[str] = []
        line = tree.meta.line - 1
        while (comment := self._comments.get(line)) is not None and self._alone(comment):
            lines.append(_plain(comment))
            line -= 1
        return " ".join(reversed(lines))

    def _alone(self, comment: Token) -> bool:
        line = self._lines[cast(int, comment.line) - 1]
        return not line[: cast(int, comment.column) - 1].strip()


def _plain(comment: Token) -> str:
    return comment.lstrip("# ").rstrip()
