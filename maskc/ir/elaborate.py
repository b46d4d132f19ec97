"""Syntax tree to typed module: declarations fill a scope, statements become three expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from maskc.errors import MaskcError, MaskNameError, MaskTypeError, did_you_mean
from maskc.ir import names, typing
from maskc.ir.expressions import Expander
from maskc.ir.names import Family, LetName, Macro, Overloads, Scope
from maskc.ir.nodes import (
    OUT,
    SCORE,
    TRUE,
    Axis,
    Call,
    Expr,
    Input,
    Module,
    Value,
    inputs,
    rewrite,
    walk,
)
from maskc.ir.types import Dim, Fn, Given, Type
from maskc.source import Source, Span
from maskc.syntax import ast, resources
from maskc.syntax.parse import parse

Constant = bool | int | float

PRELUDE = "grammar/prelude.mask"
MAX_GRID = 2**31 - 1
UNKNOWN = frozenset({"M301", "M302", "M303"})
"""Codes of an unknown name; after a declaration that failed they say nothing new."""

RELPOS = Family(
    "relpos",
    "Decomposed relative positions: the sum of `rel_h[batch, head, q_idx, k.h]` over the axes "
    "given (Li et al. 2021, MViTv2, arXiv:2112.01526).",
)


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """An input as a user meets it: its name, type, number of subscripts, and doc."""

    name: str
    type: str
    rank: int | None
    doc: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Elaborated:
    """A typed module and what was declared on the way.

    ``inputs`` are those that the module reads or its text declares; ``params`` the compile-time
    constants and axis sizes in use; ``hidden`` tells which prelude names the text hides.
    """

    module: Module
    inputs: tuple[DeclaredInput, ...]
    params: Mapping[str, Constant]
    hidden: tuple[str, ...]


def elaborate(
    tree: ast.Tree,
    constants: Mapping[str, Constant],
    library: Source | None = None,
    placeholders: bool = False,
) -> tuple[Elaborated, list[MaskcError]]:
    """Give a program its meaning.

    Args:
        tree: the statements.
        constants: values of its params and sizes of its axes.
        library: definitions to use beside the prelude's.
        placeholders: take 1 for a param without a value instead of reporting it.

    Returns:
        The module, and an error for every statement that has none.

    """
    outer = prelude() if library is None else _library(library)
    work = _Elaboration(Scope("program", outer), constants, placeholders)
    for statement in tree.statements:
        work.run(work.declare, statement)
    for statement in tree.statements:
        work.run(work.define, statement)
    work.check_constants()
    return work.finish(), work.errors


@cache
def prelude() -> Scope:
    """Return the names of the standard library."""
    scope = Scope("prelude")
    scope.names[RELPOS.name], scope.docs[RELPOS.name] = RELPOS, RELPOS.doc
    _fill(scope, Source(resources.read("prelude.mask"), PRELUDE))
    return scope


@cache
def _library(source: Source) -> Scope:
    scope = Scope(source.name, prelude())
    _fill(scope, source)
    return scope


def _fill(scope: Scope, source: Source) -> None:
    """Declare the names of a library; it may hold declarations only."""
    tree, errors = parse(source)
    work = _Elaboration(scope, {}, placeholders=False)
    for statement in tree.statements:
        if isinstance(statement, ast.Assignment):
            message = "a library declares names, expected `let` or `def`"
            raise MaskTypeError("M220", message, statement.span, "name it: `let my_mask = ...`")
        work.run(work.declare, statement)
    if errors or work.errors:
        raise [*errors, *work.errors][0]


class _Elaboration:
    """The state of one elaboration: the scope, the statements so far, and the errors."""

    def __init__(self, scope: Scope, constants: Mapping[str, Constant], placeholders: bool) -> None:
        self.errors: list[MaskcError] = []
        self._scope = scope
        self._constants = constants
        self._placeholders = placeholders
        self._expander = Expander()
        self._places: dict[str, Span] = {}
        self._inputs: dict[str, ast.Input] = {}
        self._params: dict[str, Constant] = {}
        self._taken: set[str] = set()
        self._failed: set[str] = set()
        self._hidden: list[str] = []
        self._mask: Expr | None = None
        self._score: Expr = SCORE
        self._out: Expr = OUT

    def run(self, step: Callable[[ast.Statement], None], statement: ast.Statement) -> None:
        """Run ``step``; its error is kept, and the next statement goes on."""
        try:
            step(statement)
        except MaskcError as error:
            self._report(error.at(statement.span))
            self._failed |= _declared_names(statement)

    def _report(self, error: MaskcError) -> None:
        """Keep an error unless it only follows from one that is kept already."""
        follows = (
            error.code in UNKNOWN and error.span is not None and error.span.text in self._failed
        )
        known = {(other.code, other.span) for other in self.errors if other.span is not None}
        if not follows and (error.code, error.span) not in known:
            self.errors.append(error)

    def declare(self, statement: ast.Statement) -> None:
        """Put what ``statement`` declares into the scope."""
        match statement:
            case ast.Let(name, value, doc):
                self._enter(name, doc)
                self._scope.names[name.text] = LetName(name.text, value, self._scope, doc)
            case ast.Define(name):
                self._define_macro(statement, name)
            case ast.Param(name):
                self._enter(name, statement.doc, bound=True)
                self._scope.names[name.text] = self._param(statement)
            case ast.Input(name, kind, doc):
                self._enter(name, doc, bound=True)
                self._inputs[name.text] = statement
                self._scope.names[name.text] = Input(name.text, _type(kind))
            case ast.Axes():
                self._axes(statement)
            case ast.Assignment():
                pass

    def define(self, statement: ast.Statement) -> None:
        """Give an assignment its meaning, and check a ``let`` that nothing may use."""
        match statement:
            case ast.Assignment(target, value):
                self._assign(target, value)
            case ast.Let(name):
                self._expander.expr(ast.Name(name.text, name.span), self._scope)

    def check_constants(self) -> None:
        """Report constants that the program does not declare."""
        for name in self._constants:
            if name not in self._taken:
                help = did_you_mean(name, self._params) or f"declare it: `param {name}: int`"
                message = f"`{name}` is given, but the program has no such param or axis"
                self.errors.append(MaskNameError("M308", message, help=help))

    def finish(self) -> Elaborated:
        """Return the module and what was declared."""
        module = Module(TRUE if self._mask is None else self._mask, self._score, self._out)
        read = {source.name: source for source in inputs(*module.roots)}
        listed = [self._declared(source) for source in read.values()]
        listed += [
            DeclaredInput(name, node.type.text, None, node.doc, node.span)
            for name, node in self._inputs.items()
            if name not in read
        ]
        return Elaborated(module, tuple(listed), dict(self._params), tuple(self._hidden))

    def _enter(self, name: ast.Identifier, doc: str, bound: bool = False) -> None:
        """Take a name that is free; ``bound`` names are keywords of a call."""
        text = name.text
        if text in names.LANGUAGE:
            message = f"`{text}` is a name of the language"
            raise MaskNameError("M305", message, name.span, "choose another name")
        if bound and text in names.CALL:
            listed = ", ".join(f"`{word}`" for word in sorted(names.CALL))
            message = f"`{text}` is a keyword of a call"
            raise MaskNameError(
                "M306", message, name.span, f"choose a name that is none of {listed}"
            )
        if text in self._places:
            line, _ = name.span.source.position(self._places[text].start)
            message = f"`{text}` is declared twice, first on line {line}"
            raise MaskNameError("M307", message, name.span, "choose another name")
        self._places[text] = name.span
        self._scope.docs[text] = doc
        if (title := self._scope.hides(text)) is not None:
            self._hidden.append(f"`{text}` hides the {title}'s")

    def _define_macro(self, statement: ast.Define, name: ast.Identifier) -> None:
        _check_parameters(statement)
        macro = Macro(
            name.text, statement.parameters, statement.value, self._scope, statement.doc, name.span
        )
        match self._scope.names.get(name.text):
            case Overloads(macros) if all(other.arity != macro.arity for other in macros):
                self._scope.names[name.text] = Overloads((*macros, macro))
            case _:
                self._enter(name, statement.doc)
                self._scope.names[name.text] = Overloads((macro,))

    def _param(self, statement: ast.Param) -> Expr:
        name, span = statement.name.text, statement.name.span
        self._taken.add(name)
        kind = None if statement.type is None else _type(statement.type)
        default = None if statement.default is None else self._constant(statement.default)
        if name in self._constants:
            value, owner = self._constants[name], f"`{name}={self._constants[name]!r}`"
        elif default is not None:
            value, owner = default, f"the default of `{name}`"
        elif self._placeholders:
            value, owner = {Type.BOOL: True, Type.FLOAT: 1.0}.get(kind or Type.INT, 1), name
        else:
            help = f"give it: `compile_mask(..., {name}=...)`"
            raise MaskNameError("M309", f"param `{name}` has no value", span, help)
        if kind is None and default is not None:
            kind = typing.literal(default).type
        self._params[name] = _converted(value, kind, owner, span)
        return typing.literal(self._params[name], span)

    def _constant(self, node: ast.Expr) -> Constant:
        value = typing.constant(self._expander.expr(node, self._scope))
        if value is None:
            message = "expected a constant, found an expression of run-time values"
            raise MaskTypeError("M221", message, node.span, "use literals and params")
        return value

    def _axes(self, statement: ast.Axes) -> None:
        """Declare the axes of a grid: the last one runs fastest."""
        start = 0 if statement.start is None else self._constant(statement.start)
        if not isinstance(start, int) or isinstance(start, bool) or start < 0:
            span = statement.span if statement.start is None else statement.start.span
            raise MaskTypeError("M222", "a grid starts at a token, from 0", span)
        if any(isinstance(meaning, Axis) for meaning in self._scope.names.values()):
            message = "a program has one token grid"
            help = "declare its axes in one statement: `axis h = 16, w = 32`"
            raise MaskNameError("M310", message, statement.span, help)
        sizes = [self._axis_size(axis) for axis in statement.axes]
        count = stride = 1
        for size in sizes:
            count *= size
        if start + count > MAX_GRID:
            raise MaskTypeError("M222", f"the grid has more than {MAX_GRID} tokens", statement.span)
        stride = count
        for axis, size in zip(statement.axes, sizes, strict=True):
            stride //= size
            self._enter(axis.name, "", bound=True)
            self._scope.names[axis.name.text] = Axis(axis.name.text, size, stride, start, count)

    def _axis_size(self, axis: ast.Parameter) -> int:
        name, span = axis.name.text, axis.name.span
        self._taken.add(name)
        size: Constant
        if name in self._constants:
            size = self._constants[name]
        elif axis.default is not None:
            size = self._constant(axis.default)
        elif self._placeholders:
            size = 1
        else:
            help = f"give it: `axis {name} = 16` or `compile_mask(..., {name}=16)`"
            raise MaskNameError("M309", f"axis `{name}` has no size", span, help)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            message = f"the size of axis `{name}` is an int of at least 1, found {size!r}"
            raise MaskTypeError("M222", message, span)
        self._params[name] = size
        return size

    def _assign(self, target: ast.Identifier, node: ast.Expr) -> None:
        expr = self._expander.expr(node, self._scope)
        match target.text:
            case "mask":
                self._assign_mask(expr, node)
            case "score":
                _refuse(expr, (Given.OUT, Given.LSE), "a score", "`score`, indices and inputs")
                self._score = _replace(_float(expr, "a score"), {Given.SCORE: self._score})
            case _:
                self._assign_out(expr, node)

    def _assign_mask(self, expr: Expr, node: ast.Expr) -> None:
        if expr.type is not Type.BOOL:
            help = f"compare it, as in `{node.span.text} > 0`, or write `score = ...`"
            message = f"a mask is a boolean, found {expr.type.article}"
            raise MaskTypeError("M223", message, node.span, help)
        _refuse(expr, tuple(Given), "a mask", "indices and inputs")
        if self._mask is not None:
            help = "join them with `&` (both) or `|` (either)"
            raise MaskTypeError("M224", "the program has a second mask", node.span, help)
        self._mask = expr

    def _assign_out(self, expr: Expr, node: ast.Expr) -> None:
        _refuse(expr, (Given.SCORE,), "an epilogue", "`out`, `lse`, indices and inputs")
        if Dim.K in expr.deps:
            culprit = next(t for t in walk(expr) if Dim.K in t.deps and t.span is not None)
            message = "an epilogue is computed once a query, it has no `k`"
            raise MaskTypeError("M225", message, culprit.span or node.span, "use `q` and `head`")
        self._out = _replace(_float(expr, "an epilogue"), {Given.OUT: self._out})

    def _declared(self, source: Input) -> DeclaredInput:
        rank, span = self._expander.ranks[source]
        written = self._inputs.get(source.name)
        if written is not None:
            return DeclaredInput(source.name, source.type.value, rank, written.doc, written.span)
        return DeclaredInput(source.name, source.type.value, rank, _doc(self._scope, source), span)


def _doc(scope: Scope, source: Input) -> str:
    outer: Scope | None = scope
    while outer is not None:
        if outer.names.get(source.name) == source:
            return outer.docs.get(source.name, "")
        outer = outer.outer
    return ""


def _declared_names(statement: ast.Statement) -> set[str]:
    match statement:
        case ast.Assignment():
            return set()
        case ast.Axes(axes):
            return {axis.name.text for axis in axes}
        case _:
            return {statement.name.text}


def _type(kind: ast.Identifier) -> Type:
    try:
        return Type(kind.text)
    except ValueError:
        message = f"unknown type `{kind.text}`, expected `int`, `float` or `bool`"
        help = did_you_mean(kind.text, [known.value for known in Type])
        raise MaskTypeError("M226", message, kind.span, help) from None


def _converted(value: Constant, kind: Type | None, owner: str, span: Span) -> Constant:
    """Return the constant in its declared type; an int widens to float."""
    if not isinstance(value, bool | int | float):
        message = f"{owner} is no constant, expected an int, a float or a bool"
        raise MaskTypeError("M227", message, span, "a run-time value is an `input`")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > typing.MAX_CONSTANT:
        raise MaskTypeError("M206", f"{owner} is larger than {typing.MAX_CONSTANT}", span)
    if isinstance(value, float) and value != value:
        raise MaskTypeError("M227", f"{owner} is not a number", span)
    found = typing.literal(value).type
    if kind is None or kind is found:
        return value
    if kind is Type.FLOAT and found is Type.INT:
        return float(value)
    raise MaskTypeError("M227", f"{owner} is {found.article}, expected {kind.article}", span)


def _check_parameters(statement: ast.Define) -> None:
    seen: set[str] = set()
    defaults = False
    for parameter in statement.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in seen:
            raise MaskNameError("M307", f"`{name}` is a parameter twice", span)
        if defaults and parameter.default is None:
            message = f"`{name}` has no default, but a parameter before it has"
            raise MaskTypeError("M218", message, span, "put it first")
        seen.add(name)
        defaults = parameter.default is not None


def _refuse(expr: Expr, given: tuple[Given, ...], owner: str, allowed: str) -> None:
    for term in walk(expr):
        if isinstance(term, Value) and term.which in given:
            message = f"{owner} cannot read `{term.which.value}`"
            help = f"{owner} is made of {allowed}"
            raise MaskTypeError("M228", message, term.span, help)


def _float(expr: Expr, owner: str) -> Expr:
    if expr.type is Type.BOOL:
        message = f"{owner} is a number, found a bool"
        help = "a mask stands alone; a masked score is `where(test, score, -inf)`"
        raise MaskTypeError("M229", message, expr.span, help)
    return expr if expr.type is Type.FLOAT else Call(Fn.FLOAT, (expr,), span=expr.span)


def _replace(expr: Expr, values: Mapping[Given, Expr]) -> Expr:
    def rule(term: Expr) -> Expr | None:
        return values.get(term.which) if isinstance(term, Value) else None

    return rewrite(expr, rule)
