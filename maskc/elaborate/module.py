"""Syntax tree to typed module: declarations fill a scope, statements become three expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maskc.elaborate.declare import Constant, Declarations
from maskc.elaborate.errors import Report
from maskc.elaborate.expressions import too_big, within_bounds
from maskc.elaborate.library import prelude, scope_of
from maskc.elaborate.needs import Need
from maskc.elaborate.scope import Scope
from maskc.errors import MaskcError, MaskTypeError
from maskc.ir.nodes import (
    OUT,
    SCORE,
    TRUE,
    Call,
    Expr,
    Input,
    Module,
    Value,
    children,
    inputs,
    rewrite,
    walk,
)
from maskc.ir.operators import Fn
from maskc.ir.types import Dim, Given, Type
from maskc.source import Source, Span
from maskc.syntax import ast

__all__ = ["Constant", "DeclaredInput", "Elaborated", "elaborate", "prelude"]


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
    constants and axis sizes in use; ``hidden`` tells which prelude names the text hides;
    ``assumed`` whether some constants are placeholders; ``needs`` what the definitions in use need
    of the sizes of a call.
    """

    module: Module
    inputs: tuple[DeclaredInput, ...]
    params: Mapping[str, Constant]
    hidden: tuple[str, ...]
    assumed: bool = False
    needs: tuple[Need, ...] = ()


def elaborate(
    tree: ast.Tree,
    constants: Mapping[str, Constant],
    libraries: Sequence[Source] = (),
    placeholders: bool = False,
    assumed: bool = False,
) -> tuple[Elaborated, list[MaskcError]]:
    """Give a program its meaning.

    Args:
        tree: the statements.
        constants: values of its params and sizes of its axes.
        libraries: definitions to use beside the prelude's, later ones over earlier ones.
        placeholders: take 1 for a param without a value instead of reporting it.
        assumed: some of the constants are placeholders.

    Returns:
        The module, and an error for every statement that has none.

    """
    report = Report(tree.lost)
    declarations = declare(tree, constants, libraries, report, placeholders, assumed)
    work = _Statements(declarations, report)
    for statement in tree.statements:
        report.run(work.run, statement)
    declarations.check_constants()
    return work.finish(), report.errors


def declare(
    tree: ast.Tree,
    constants: Mapping[str, Constant],
    libraries: Sequence[Source],
    report: Report,
    placeholders: bool = False,
    assumed: bool = False,
) -> Declarations:
    """Return the names of a program, with their meanings; ``report`` takes the errors."""
    scope = Scope("program", scope_of(tuple(libraries)))
    declarations = Declarations(scope, report, constants, placeholders)
    declarations.expander.assumed = assumed
    declarations.declare(tree.statements)
    return declarations


class _Statements:
    """The mask, the score and the epilogue so far."""

    def __init__(self, declarations: Declarations, report: Report) -> None:
        self.declarations = declarations
        self.report = report
        self._mask: Expr | None = None
        self._score: Expr = SCORE
        self._out: Expr = OUT
        self._needs: list[Need] = []

    def run(self, statement: ast.Statement) -> None:
        """Give an assignment its meaning."""
        if isinstance(statement, ast.Assignment):
            self._report_unknown(statement.value)
            self._assign(statement.target, statement.value)

    def _report_unknown(self, node: ast.Expr) -> None:
        """Report all unknown names of an expression, of which its meaning shows the first only."""
        for error in self.declarations.expander.unknown(node, self.declarations.scope):
            self.report.add(error)

    def finish(self) -> Elaborated:
        """Return the module and what was declared."""
        module = Module(TRUE if self._mask is None else self._mask, self._score, self._out)
        read = {source.name: source for source in inputs(*module.roots)}
        listed = [self._declared(source) for source in read.values()]
        listed += [
            DeclaredInput(name, node.type.text, None, node.doc, node.span)
            for name, node in self.declarations.inputs.items()
            if name not in read
        ]
        params, hidden = self.declarations.params, self.declarations.hidden
        assumed = self.declarations.expander.assumed
        needs = tuple(dict.fromkeys(self._needs))
        return Elaborated(module, tuple(listed), dict(params), tuple(hidden), assumed, needs)

    def _assign(self, target: ast.Identifier, node: ast.Expr) -> None:
        expander = self.declarations.expander
        with expander.gathering() as needs:
            expr = expander.expr(node, self.declarations.scope)
        self._needs += needs
        match target.text:
            case "mask":
                self._assign_mask(expr, node)
            case "score":
                _refuse(expr, (Given.OUT, Given.LSE), "a score", "`score`, indices and inputs")
                self._score = _after(_float(expr, "a score"), Given.SCORE, self._score, node.span)
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
            culprit = next(t for t in walk(expr) if Dim.K in t.deps and not _reads_k(children(t)))
            message = "an epilogue is computed once a query, it has no `k`"
            raise MaskTypeError("M225", message, culprit.span or node.span, "use `q` and `head`")
        self._out = _after(_float(expr, "an epilogue"), Given.OUT, self._out, node.span)

    def _declared(self, source: Input) -> DeclaredInput:
        rank, span = self.declarations.expander.ranks[source]
        written = self.declarations.inputs.get(source.name)
        if written is not None:
            return DeclaredInput(source.name, source.type.value, rank, written.doc, written.span)
        doc = self.declarations.expander.docs.get(source) or _doc(self.declarations.scope, source)
        return DeclaredInput(source.name, source.type.value, rank, doc, span)


def _doc(scope: Scope, source: Input) -> str:
    outer: Scope | None = scope
    while outer is not None:
        if outer.names.get(source.name) == source:
            return outer.docs.get(source.name, "")
        outer = outer.outer
    return ""


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


def _reads_k(parts: tuple[Expr, ...]) -> bool:
    return any(Dim.K in part.deps for part in parts)


def _after(expr: Expr, given: Given, before: Expr, span: Span) -> Expr:
    """Return ``expr`` of what the statements before it have made of ``given``."""

    def rule(term: Expr) -> Expr | None:
        return before if isinstance(term, Value) and term.which is given else None

    result = rewrite(expr, rule)
    if not within_bounds(result):
        raise too_big(span)
    return result
