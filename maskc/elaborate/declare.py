"""Declarations to a scope: names get their meaning, params and axes their values.

All names are entered first and lets, macros and inputs next, so that their order does not matter;
then params and axes get their values, in the order of the text.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping

from maskc.elaborate import scope as names
from maskc.elaborate import type_rules as typing
from maskc.elaborate.errors import Report
from maskc.elaborate.expressions import Expander
from maskc.elaborate.scope import LetName, Macro, Overloads, Scope
from maskc.errors import MaskcError, MaskNameError, MaskTypeError, did_you_mean
from maskc.ir.nodes import Axis, Expr, Input, literal
from maskc.ir.types import Type
from maskc.limits import MAX_FLOAT, MAX_INT, held
from maskc.source import Span
from maskc.syntax import ast

Constant = bool | int | float

DTYPES = {
    **dict.fromkeys(["long", "int8", "int16", "int32", "int64", "uint8", "integer"], "int"),
    **dict.fromkeys(["half", "double", "float16", "bfloat16", "float32", "float64"], "float"),
    "boolean": "bool",
}
"""Names of tensor dtypes, and the type that stands for them."""
GIVEN_FOR = {Type.BOOL: True, Type.INT: 1, Type.FLOAT: 1.0}
"""What stands for a param without a value where a program is only checked."""


class Declarations:
    """Fills a scope with what statements declare.

    Attributes: ``scope``, ``params`` (the values in use), ``inputs`` (the statements), ``hidden``
    (which outer names the scope hides), ``expander``.
    """

    def __init__(
        self,
        scope: Scope,
        report: Report,
        constants: Mapping[str, Constant],
        placeholders: bool,
    ) -> None:
        self.scope = scope
        self.params: dict[str, Constant] = {}
        self.inputs: dict[str, ast.Input] = {}
        self.hidden: list[str] = []
        self.expander = Expander()
        self._report = report
        self._constants = constants
        self._placeholders = placeholders
        self._places: dict[str, ast.Statement] = {}
        self._given: set[str] = set()

    def declare(self, statements: Iterable[ast.Statement]) -> None:
        """Declare what ``statements`` declare, and check what nothing may use."""
        entered = [node for node in statements if self._report.run(self._enter, node)]
        for node in entered:
            self._report.run(self._define, node)
        for node in entered:
            self._report.run(self._value, node)
        for node in entered:
            self._report.run(self._check, node)

    def check_constants(self) -> None:
        """Report constants that the program does not declare."""
        for name in self._constants:
            if name not in self._given | self._report.lost:
                help = did_you_mean(name, self.params) or f"declare it: `param {name}: int`"
                if isinstance(self.scope.find(name), Input):
                    help = "it is an input: give it to `bind` or to the call"
                message = f"`{name}` is given, but the program has no such param or axis"
                self._report.add(MaskNameError("M308", message, help=help))

    def _enter(self, statement: ast.Statement) -> None:
        """Take the names of a statement, if they are free."""
        match statement:
            case ast.Assignment():
                pass
            case ast.Use():
                self._check_use(statement)
            case ast.Axes(axes):
                for axis in axes:
                    self._take(axis.name, statement, "")
            case _:
                self._take(statement.name, statement, statement.doc)

    def _check_use(self, statement: ast.Use) -> None:
        """Refuse a library that nothing has read: the text of a string has no folder."""
        if statement.span.source.folder is None:
            message = "`use` names a file from the folder of its own, and this text is of no file"
            help = f'load it from a file, or give it: `library="{statement.path}"`'
            raise MaskNameError("M610", message, statement.span, help)

    def _take(self, name: ast.Identifier, statement: ast.Statement, doc: str) -> None:
        text = name.text
        if text in names.LANGUAGE:
            message = f"`{text}` is a name of the language"
            raise MaskNameError("M305", message, name.span, _kept("language", names.LANGUAGE))
        if text in names.CALL and not isinstance(statement, ast.Let | ast.Define):
            message = f"`{text}` is a keyword of a call"
            raise MaskNameError("M306", message, name.span, _kept("call", names.CALL))
        first = self._places.get(text)
        if first is not None and not _are_overloads(first, statement):
            line, _ = first.span.source.position(first.span.start)
            message = f"`{text}` is declared twice, first on line {line}"
            raise MaskNameError("M307", message, name.span, "choose another name")
        if first is None and (title := self.scope.hides(text)) is not None:
            self.hidden.append(f"`{text}` hides the {title}'s")
        self._places.setdefault(text, statement)
        self.scope.docs.setdefault(text, doc)

    def _define(self, statement: ast.Statement) -> None:
        """Give lets, macros and inputs their meaning."""
        match statement:
            case ast.Let(name, value, doc):
                self.scope.names[name.text] = LetName(name.text, value, self.scope, doc)
            case ast.Define(name):
                self._define_macro(statement, name)
            case ast.Input(name, kind):
                self.inputs[name.text] = statement
                self.scope.names[name.text] = Input(name.text, _type(kind))
            case _:
                pass

    def _define_macro(self, statement: ast.Define, name: ast.Identifier) -> None:
        _check_parameters(statement)
        macro = Macro(
            name.text, statement.parameters, statement.value, self.scope, statement.doc, name.span
        )
        before = self.scope.names.get(name.text)
        others = before.macros if isinstance(before, Overloads) else ()
        least, most = macro.arity
        for other in others:
            if other.arity[0] <= most and least <= other.arity[1]:
                line, _ = other.span.source.position(other.span.start)
                message = f"`{macro.signature}` takes as many arguments as the one on line {line}"
                help = "definitions of one name are told apart by their number of arguments"
                raise MaskNameError("M307", message, name.span, help)
        self.scope.names[name.text] = Overloads((*others, macro))

    def _value(self, statement: ast.Statement) -> None:
        """Give params and axes their values."""
        match statement:
            case ast.Param(name):
                self.scope.names[name.text] = self._param(statement)
            case ast.Axes():
                self._axes(statement)
            case _:
                pass

    def _check(self, statement: ast.Statement) -> None:
        """Check a let and the names of a macro, whether or not something uses them."""
        match statement:
            case ast.Let(name, value):
                for error in self.expander.unknown(value, self.scope):
                    self._report.add(error)
                self.expander.expr(ast.Name(name.text, name.span), self.scope)
            case ast.Define(_, parameters, value):
                inner = Scope(statement.name.text, self.scope)
                for parameter in parameters:
                    inner.names[parameter.name.text] = literal(1)
                bounds = [one.domain.bounds for one in parameters if one.domain is not None]
                for part in (value, *(bound for bound in bounds if bound is not None)):
                    for error in self.expander.unknown(part, inner):
                        self._report.add(error)
            case _:
                pass

    def _param(self, statement: ast.Param) -> Expr:
        name, span = statement.name.text, statement.name.span
        self._given.add(name)
        kind = None if statement.type is None else _type(statement.type)
        default = None if statement.default is None else self._constant(statement.default)
        if name in self._constants:
            value, owner = self._constants[name], f"`{name}={self._constants[name]!r}`"
        elif default is not None:
            value, owner = default, f"the default of `{name}`"
        elif self._placeholders:
            value, owner = GIVEN_FOR[kind or Type.INT], f"`{name}`"
            self.expander.assumed = True
        else:
            help = f"give it: `compile_mask(..., {name}=...)`"
            raise MaskNameError("M309", f"param `{name}` has no value", span, help)
        if kind is None and default is not None:
            kind = literal(default).type
        self.params[name] = _converted(value, kind, owner, span)
        return literal(self.params[name], span)

    def _constant(self, node: ast.Expr) -> Constant:
        try:
            expr = self.expander.expr(node, self.scope)
        except MaskcError as error:
            raise self._too_early(error) from None
        value = typing.constant(expr)
        if value is None:
            message = "expected a constant, found an expression of run-time values"
            raise MaskTypeError("M221", message, node.span, "use literals and params")
        return value

    def _too_early(self, error: MaskcError) -> MaskcError:
        """Say that a param stands further down, where it is not just unknown."""
        name = "" if error.span is None else error.span.text
        if error.code != "M301" or not isinstance(self._places.get(name), ast.Param):
            return error
        message = f"param `{name}` has no value yet"
        return MaskNameError("M310", message, error.span, f"declare `{name}` above this line")

    def _axes(self, statement: ast.Axes) -> None:
        """Declare the axes of a grid: the last one runs fastest."""
        start = 0 if statement.start is None else self._constant(statement.start)
        if not isinstance(start, int) or isinstance(start, bool) or start < 0:
            span = statement.span if statement.start is None else statement.start.span
            message = f"a grid starts at a token, an int of at least 0, found {_shown(start)}"
            raise MaskTypeError("M222", message, span, "write `from 1` after one class token")
        if any(isinstance(meaning, Axis) for meaning in self.scope.names.values()):
            message = "a program has one token grid"
            help = "declare its axes in one statement: `axis h = 16, w = 32`"
            raise MaskNameError("M312", message, statement.span, help)
        sizes = [self._axis_size(axis) for axis in statement.axes]
        stride = count = math.prod(sizes)
        if start + count > MAX_INT:
            message = f"the grid has more than {MAX_INT} tokens"
            raise MaskTypeError("M222", message, statement.span, "choose smaller sizes")
        for axis, size in zip(statement.axes, sizes, strict=True):
            stride //= size
            self.scope.names[axis.name.text] = Axis(axis.name.text, size, stride, start, count)

    def _axis_size(self, axis: ast.Parameter) -> int:
        name, span = axis.name.text, axis.name.span
        self._given.add(name)
        size: Constant
        if name in self._constants:
            size = self._constants[name]
        elif axis.default is not None:
            size, span = self._constant(axis.default), axis.default.span
        elif self._placeholders:
            size = 1
            self.expander.assumed = True
        else:
            help = f"give it: `axis {name} = 16` or `compile_mask(..., {name}=16)`"
            raise MaskNameError("M309", f"axis `{name}` has no size", span, help)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            message = f"the size of axis `{name}` is an int of at least 1, found {_shown(size)}"
            raise MaskTypeError("M222", message, span, f"write `axis {name} = 16`")
        self.params[name] = size
        return size


def _kept(owner: str, words: Iterable[str]) -> str:
    listed = ", ".join(f"`{word}`" for word in sorted(words))
    return f"choose another name; the {owner} keeps {listed}"


def _are_overloads(first: ast.Statement, second: ast.Statement) -> bool:
    return isinstance(first, ast.Define) and isinstance(second, ast.Define)


def _type(kind: ast.Identifier) -> Type:
    try:
        return Type(kind.text)
    except ValueError:
        message = f"unknown type `{kind.text}`, expected `int`, `float` or `bool`"
        close = DTYPES.get(kind.text)
        help = f"write `{close}`; the tensor may have any dtype of the kind" if close else None
        help = help or did_you_mean(kind.text, [known.value for known in Type])
        raise MaskTypeError("M226", message, kind.span, help or "choose one of them") from None


def _converted(value: Constant, kind: Type | None, owner: str, span: Span) -> Constant:
    """Return the constant in its declared type; an int widens to float."""
    value = _plain(value, owner, span)
    result = literal(value).type
    if kind is None or kind is result:
        return value
    if kind is Type.FLOAT and result is Type.INT:
        return float(value)
    message = f"{owner} is {result.article}, expected {kind.article}"
    raise MaskTypeError("M227", message, span, f"give {kind.article}, or declare `{result.value}`")


def _plain(value: object, owner: str, span: Span) -> Constant:
    """Return the constant as Python's own bool, int or float, and within bounds."""
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        if abs(int(value)) > MAX_INT:
            message = f"{owner} is larger than {MAX_INT}"
            raise MaskTypeError("M206", message, span, "index arithmetic has 32 bits")
        return int(value)
    if isinstance(value, numbers.Real):
        if math.isnan(value):
            raise MaskTypeError("M227", f"{owner} is nan", span, "give a number, or `inf`")
        if math.isinf(held(float(value))) and not math.isinf(value):
            message = f"{owner} is larger than {MAX_FLOAT:.7e}"
            raise MaskTypeError("M206", message, span, "floats have 32 bits; give `inf`")
        return held(float(value))
    message = f"{owner} is no constant, expected an int, a float or a bool"
    raise MaskTypeError("M227", message, span, "a run-time value is an `input`")


def _check_parameters(statement: ast.Define) -> None:
    seen: set[str] = set()
    defaults = False
    for parameter in statement.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in seen:
            help = "choose another name"
            raise MaskNameError("M307", f"`{name}` is a parameter twice", span, help)
        if defaults and parameter.default is None:
            message = f"`{name}` has no default, but a parameter before it has"
            raise MaskTypeError("M218", message, span, "put it first")
        seen.add(name)
        defaults = parameter.default is not None


def _shown(value: Constant) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
