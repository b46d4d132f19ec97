"""Syntax tree to typed nodes, for expressions: names get their meaning, macros are expanded.

A macro's body is given its meaning in the scope where the macro was written, with the finished
arguments in place of its parameters, so no name is ever captured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import assert_never

from maskc.elaborate import domains
from maskc.elaborate import scope as names
from maskc.elaborate import type_rules as typing
from maskc.elaborate.needs import Need
from maskc.elaborate.overloads import check_order, matched, overload
from maskc.elaborate.scope import Family, LetName, Macro, Meaning, Overloads, Scope
from maskc.elaborate.unknown import known_axes, unknown_function, unknown_name
from maskc.errors import MaskcError, MaskNameError, MaskTypeError, did_you_mean
from maskc.ir.nodes import (
    TRUE,
    And,
    Arith,
    Axis,
    Coord,
    Expr,
    Index,
    Input,
    Load,
    Size,
    TopK,
    Value,
    literal,
    placed,
    reads,
    relocated,
)
from maskc.ir.operators import ArithOp
from maskc.ir.types import Given, Ix, Type
from maskc.source import Span
from maskc.syntax import ast

MAX_LEVELS = 100
MAX_DEPTH = 100
MAX_EXPANSIONS = 40
MAX_WEIGHT = 10_000
MAX_STEPS = 20_000
"""Bounds on a program, so that its meaning is known in time and within Python's stack."""


@dataclass(slots=True)
class Expander:
    """Gives expressions their meaning; remembers how each input was subscripted.

    What definitions need of the sizes of a call gathers in ``needs``.

    With ``assumed`` some constants are placeholders: literals alone are held against bounds.
    """

    assumed: bool = False
    ranks: dict[Input, tuple[int, Span]] = field(default_factory=dict)
    docs: dict[Input, str] = field(default_factory=dict)
    needs: list[Need] = field(default_factory=list)
    _types: dict[str, Input] = field(default_factory=dict)
    _lets: dict[tuple[LetName, bool], Expr | MaskcError] = field(default_factory=dict)
    _needs: dict[tuple[LetName, bool], list[Need]] = field(default_factory=dict)
    _active: list[Macro | LetName] = field(default_factory=list)
    _is_live: bool = True
    _level: int = 0
    _steps: int = 0

    def expr(self, node: ast.Expr, scope: Scope) -> Expr:
        """Return the typed node of ``node``, whose names are those of ``scope``."""
        self._level += 1
        self._steps += 1
        try:
            if self._level > MAX_LEVELS or self._steps > MAX_STEPS:
                raise too_big(node.span)
            result = self._expr(node, scope)
        finally:
            self._level -= 1
        if not within_bounds(result):
            raise too_big(node.span)
        return result

    def anew(self, node: ast.Expr, scope: Scope) -> Expr:
        """Return the typed node of a part of a program that was elaborated as a whole before."""
        self._steps = 0
        return self.expr(node, scope)

    def unknown(self, node: ast.Expr, scope: Scope) -> Iterator[MaskNameError]:
        """Yield an error for each name in ``node`` that is unknown in ``scope``."""
        match node:
            case ast.Name(text):
                if scope.find(text) is None and text not in names.LANGUAGE:
                    yield unknown_name(text, node.span, scope)
            case ast.Call(function) if isinstance(scope.find(function.text), Family):
                return  # it takes names of axes, and says so itself
            case ast.Call(function):
                if scope.find(function.text) is None and function.text not in names.LANGUAGE:
                    yield unknown_function(node, scope)
            case ast.Subscript(base):
                if scope.find(base.text) is None and base.text not in names.LANGUAGE:
                    yield unknown_name(base.text, base.span, scope)
            case _:
                pass
        for part in ast.parts(node):
            yield from self.unknown(part, scope)

    def _expr(self, node: ast.Expr, scope: Scope) -> Expr:
        span = node.span
        match node:
            case ast.Literal(value):
                return literal(value, span)
            case ast.Name(text):
                return self._named(text, span, scope)
            case ast.Unary("-", operand):
                return typing.minus(self.expr(operand, scope), span)
            case ast.Unary(_, operand):
                return typing.negation(self.expr(operand, scope), span)
            case ast.Binary(op, left, right):
                return typing.binary(op, self.expr(left, scope), self.expr(right, scope), span)
            case ast.Connective(op, operands):
                parts = [part for each in operands for part in self._operand(op, each, scope)]
                return typing.connective(op, parts, span)
            case ast.Chain(operands, ops):
                return self._chain([self.expr(part, scope) for part in operands], ops, span)
            case ast.Conditional(then, test, other):
                return self._choice("`if`", (test, then, other), span, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.Subscript(base, indices):
                return self._load(base, [self.expr(index, scope) for index in indices], span, scope)
            case ast.Coordinate(position, axis):
                return self._coordinate(position, axis, span, scope)
            case _:
                assert_never(node)

    def _named(self, name: str, span: Span, scope: Scope) -> Expr:
        if (meaning := scope.find(name)) is not None:
            return self._value(name, meaning, span)
        if name in names.INDICES:
            return Index(names.INDICES[name], span=span)
        if name in names.SIZES:
            return Size(names.SIZES[name], span=span)
        if name in names.GIVEN:
            return Value(names.GIVEN[name], span=span)
        if name in names.FUNCTIONS or name in names.FORMS:
            message = f"`{name}` is a function, expected a value"
            raise MaskTypeError("M207", message, span, f"call it: `{name}(...)`")
        raise unknown_name(name, span, scope)

    def _value(self, name: str, meaning: Meaning, span: Span) -> Expr:
        match meaning:
            case LetName():
                return self._let(meaning, span)
            case Input():
                return self._element(meaning, [], span)
            case Axis():
                help = (
                    f"write the coordinate of a token, `q.{name}` or `k.{name}`, or `{name}.size`"
                )
                raise MaskTypeError("M208", f"`{name}` is an axis, expected a value", span, help)
            case Overloads(macros):
                shown = " or ".join(f"`{macro.signature}`" for macro in macros)
                raise MaskTypeError("M207", f"`{name}` takes arguments", span, f"call it: {shown}")
            case Family():
                help = f"call it: `{name}(h, w)`"
                raise MaskTypeError("M207", f"`{name}` takes arguments", span, help)
            case _:
                return meaning

    def _let(self, let: LetName, span: Span) -> Expr:
        key = let, self._is_live
        if key not in self._lets:
            with self._expanding(let, span), self.gathering() as self._needs[key]:
                try:
                    self._lets[key] = self.expr(let.value, let.scope)
                except MaskcError as error:
                    self._lets[key] = error
        result = self._lets[key]
        self.needs += [need.seen_from(span) for need in self._needs[key]]
        if isinstance(result, MaskcError):
            raise _seen_from(span, let.name, result)
        return _used(result, let.value.span, span)

    def _operand(self, op: str, node: ast.Expr, scope: Scope) -> tuple[Expr, ...]:
        """Return an operand; the links of a chain are operands of the `&` that it stands in."""
        match self.expr(node, scope):
            case And(links) if op == "&" and isinstance(node, ast.Chain):
                return links
            case operand:
                return (operand,)

    def _chain(self, operands: list[Expr], ops: tuple[str, ...], span: Span) -> Expr:
        pairs = zip(ops, operands, operands[1:], strict=False)
        links = [typing.comparison(op, left, right, span) for op, left, right in pairs]
        return links[0] if len(links) == 1 else And(tuple(links), span=span)

    def _choice(
        self, owner: str, nodes: tuple[ast.Expr, ast.Expr, ast.Expr], span: Span, scope: Scope
    ) -> Expr:
        """Return ``where(test, then, other)``; what a constant test rules out may be nonsense."""
        test = self.expr(nodes[0], scope)
        value = typing.constant(test)
        with self._living(value is not False), self.gathering() as needs:
            then = self.expr(nodes[1], scope)
        with self._living(value is not True), self.gathering() as others:
            other = self.expr(nodes[2], scope)
        self.needs += [need.within(test, True) for need in needs]
        self.needs += [need.within(test, False) for need in others]
        return typing.choice(owner, test, then, other, span)

    @contextmanager
    def gathering(self) -> Iterator[list[Need]]:
        """Gather what is needed within in a list of its own."""
        before, self.needs = self.needs, []
        try:
            yield self.needs
        finally:
            self.needs = before

    @contextmanager
    def _living(self, is_live: bool) -> Iterator[None]:
        """Tell whether what is elaborated within can be the value of the program."""
        before = self._is_live
        self._is_live = before and is_live
        try:
            yield
        finally:
            self._is_live = before

    def _load(self, base: ast.Identifier, indices: list[Expr], span: Span, scope: Scope) -> Expr:
        match scope.find(base.text):
            case Input() as source:
                return self._element(source, indices, span)
            case Overloads() | Family():
                help: str | None = f"call it: `{base.text}(...)`"
            case None if base.text not in names.LANGUAGE:
                raise unknown_name(base.text, base.span, scope)
            case _:
                help = "only an `input` is subscripted"
        raise MaskTypeError("M209", f"`{base.text}` is not an input", base.span, help)

    def _element(self, source: Input, indices: list[Expr], span: Span) -> Expr:
        for index in indices:
            if index.type is not Type.INT:
                message = f"a subscript is an int, found {index.type.article}"
                help = f"turn it into one, as in `int({index.span.text})`" if index.span else None
                raise MaskTypeError("M210", message, index.span, help)
        same = self._types.setdefault(source.name, source)
        if same != source:
            message = (
                f"`{source.name}` is {source.type.article} here, {same.type.article} elsewhere"
            )
            help = "one name is one tensor; the standard library's inputs are in `maskc list`"
            raise MaskTypeError("M230", message, span, help)
        rank, first = self.ranks.setdefault(source, (len(indices), span))
        if rank != len(indices):
            line, _ = first.source.position(first.start)
            result, known = _subscripts(len(indices)), _subscripts(rank)
            message = f"`{source.name}` has {result} here, {known} on line {line}"
            help = "every use has the same number of subscripts; the batch may be left out of all"
            raise MaskTypeError("M211", message, span, help)
        return Load(source, tuple(indices), span=span)

    def _coordinate(self, node: ast.Expr, axis: ast.Identifier, span: Span, scope: Scope) -> Expr:
        whole = scope.find(node.text) if isinstance(node, ast.Name) else None
        if isinstance(whole, Axis) and axis.text == "size":
            return literal(whole.size, span)
        position = self.expr(node, scope)
        if position.type is not Type.INT:
            message = f"a coordinate is of a token's position, found {position.type.article}"
            raise MaskTypeError("M212", message, node.span, "write `q.h` or `k.h`")
        match scope.find(axis.text):
            case Axis() as declared:
                return Coord(position, declared, span=span)
            case _:
                help = (
                    did_you_mean(axis.text, known_axes(scope))
                    or f"declare it: `axis {axis.text} = 16`"
                )
                raise MaskNameError("M302", f"unknown axis `{axis.text}`", axis.span, help)

    def _call(self, node: ast.Call, scope: Scope) -> Expr:
        name = node.function.text
        match scope.find(name):
            case Overloads(macros):
                return self._expand(overload(macros, node), node, scope)
            case Family():
                return self._relpos(node, scope)
            case None if name == "where" and _is_plain(node):
                test, then, other = (part.value for part in node.arguments)
                return self._choice("`where`", (test, then, other), node.span, scope)
            case None if name in names.FORMS or name in names.FUNCTIONS:
                positional, named = self._arguments(node, scope)
                return self._function(name, positional, named, node)
            case None if name not in names.LANGUAGE:
                raise unknown_function(node, scope)
            case _:
                help = f"it takes no arguments: write `{name}`"
                raise MaskTypeError("M213", f"`{name}` is not a function", node.span, help)

    def _arguments(
        self, node: ast.Call, scope: Scope
    ) -> tuple[list[Expr], Mapping[str, tuple[ast.Identifier, Expr]]]:
        check_order(node)
        positional = [self.expr(part.value, scope) for part in node.arguments if part.name is None]
        named = {
            part.name.text: (part.name, self.expr(part.value, scope))
            for part in node.arguments
            if part.name is not None
        }
        return positional, named

    def _function(
        self,
        name: str,
        args: list[Expr],
        named: Mapping[str, tuple[ast.Identifier, Expr]],
        node: ast.Call,
    ) -> Expr:
        for word, (identifier, _) in named.items():
            if (name, word) != ("topk", "where"):
                message = f"`{name}` has no parameter `{word}`"
                raise MaskTypeError("M214", message, identifier.span, "give it by position")
        match name:
            case "topk":
                where = named["where"][1] if named else TRUE
                return _topk(args, where, node.span)
            case "where":
                message = f"`where` takes 3 arguments, found {len(args)}"
                raise MaskTypeError(
                    "M204", message, node.span, "write `where(test, then, otherwise)`"
                )
            case _:
                return typing.call(names.FUNCTIONS[name], args, node.span)

    def _expand(self, macro: Macro, node: ast.Call, scope: Scope) -> Expr:
        """Give the macro's body its meaning, with the arguments for its parameters."""
        parts = matched(macro, node)
        inner = self.inside(macro, parts, scope)
        self._check_domains(macro, parts, inner, node)
        with self._expanding(macro, node.span), self.gathering() as needs:
            try:
                result = _used(self.expr(macro.body, inner), macro.body.span, node.span)
            except MaskcError as error:
                raise _seen_from(node.span, macro.signature, error) from None
        self.needs += [need.seen_from(node.span) for need in needs]
        return result

    def inside(self, macro: Macro, parts: list[ast.Expr], scope: Scope) -> Scope:
        """Return the scope of the macro's body: its parameters are the arguments of a call."""
        inner = Scope(macro.name, macro.scope)
        for parameter, part in zip(macro.parameters, parts, strict=True):
            home = macro.scope if part is parameter.default else scope
            inner.names[parameter.name.text] = self._passed(part, home)
        return inner

    def _check_domains(
        self, macro: Macro, parts: list[ast.Expr], inner: Scope, node: ast.Call
    ) -> None:
        """Hold the arguments against the domains of their parameters, types first."""
        if not self._is_live:
            return
        pairs = list(zip(macro.parameters, parts, strict=True))
        spans = {p: node.span if part is p.default else part.span for p, part in pairs}
        for parameter, span in spans.items():
            domains.check_type(macro, parameter, inner.names[parameter.name.text], span)
        # Bounds by other parameters come last: they may divide by one that is out of its own.
        for parameter, part in sorted(pairs, key=lambda pair: domains.is_relative(pair[0])):
            if not (self.assumed and (domains.is_relative(parameter) or domains.has_names(part))):
                need = domains.check_bounds(macro, parameter, inner, self.expr, spans[parameter])
                self.needs += [] if need is None else [need]

    def _passed(self, part: ast.Expr, scope: Scope) -> Meaning:
        """Return an argument: an input and an axis are passed by name, the rest as values."""
        if isinstance(part, ast.Name):
            match scope.find(part.text):
                case (Input() | Axis()) as meaning:
                    return meaning
        return self.expr(part, scope)

    def _relpos(self, node: ast.Call, scope: Scope) -> Expr:
        """Return the decomposed relative position bias of the axes given."""
        terms: list[Expr] = []
        for part in node.arguments:
            axis = scope.find(part.value.text) if isinstance(part.value, ast.Name) else None
            if not isinstance(axis, Axis) or part.name is not None:
                help = (
                    did_you_mean(part.value.span.text, known_axes(scope))
                    or "declare `axis h = 16, w = 16`"
                )
                message = f"`relpos` takes axes, found `{part.value.span.text}`"
                raise MaskTypeError("M215", message, part.span, help)
            table = Input(f"rel_{axis.name}", Type.FLOAT)
            self.docs[table] = f"relative position bias of each query along axis `{axis.name}`"
            row = [Index(which, span=part.span) for which in (Ix.BATCH, Ix.HEAD, Ix.Q_IDX)]
            place = Coord(Index(Ix.K, span=part.span), axis, span=part.span)
            terms.append(self._element(table, [*row, place], part.span))
        if not terms:
            message = "`relpos` takes at least one axis"
            raise MaskTypeError("M215", message, node.span, "write `relpos(h, w)`")
        total = terms[0]
        for term in terms[1:]:
            total = Arith(ArithOp.ADD, total, term, span=node.span)
        return total

    @contextmanager
    def _expanding(self, definition: Macro | LetName, span: Span) -> Iterator[None]:
        if definition in self._active:
            cycle = [*self._active[self._active.index(definition) :], definition]
            path = " -> ".join(step.name for step in cycle)
            message = f"`{definition.name}` is defined by itself: {path}"
            help = "a definition cannot use itself; write the cases out"
            raise MaskNameError("M304", message, span, help)
        if len(self._active) >= MAX_EXPANSIONS:
            raise too_big(span)
        self._active.append(definition)
        try:
            yield
        finally:
            self._active.pop()


def within_bounds(expr: Expr) -> bool:
    """Tell whether a term is small enough for what follows: deep terms exhaust Python's stack."""
    return expr.weight <= MAX_WEIGHT and expr.depth <= MAX_DEPTH


def too_big(span: Span) -> MaskcError:
    """Return the error of a program that is too large once it is written out."""
    message = "the program grows too large when its definitions are written out"
    return MaskTypeError("M219", message, span, "pass large tables as an `input`")


def _is_plain(node: ast.Call) -> bool:
    return len(node.arguments) == 3 and all(part.name is None for part in node.arguments)


def _topk(args: list[Expr], where: Expr, span: Span) -> Expr:
    if len(args) != 2:
        message = f"`topk` takes 2 arguments and `where`, found {len(args)}"
        raise MaskTypeError(
            "M204", message, span, "write `topk(values, n)` or `topk(values, n, where = mask)`"
        )
    typing.number(args[0], "`topk`", "to rank by")
    typing.boolean(where, "`topk`", "as `where`")
    count = typing.constant(args[1])
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        message = "`topk` selects a constant number of keys, at least 1"
        raise MaskTypeError("M216", message, args[1].span, "use a literal or a `param n: int`")
    for part in (args[0], where):
        if any(reads(part, given) for given in Given):
            message = "`topk` selects before there is a score"
            raise MaskTypeError("M217", message, part.span, "rank by an input")
    return TopK(args[0], count, where, span=span)


def _used(expr: Expr, written: Span, span: Span) -> Expr:
    """Return what a definition means where its name is used."""
    if written.source != span.source:
        return relocated(expr, span)
    return placed(expr, span)


def _seen_from(span: Span, owner: str, error: MaskcError) -> MaskcError:
    """Place an error of another text's definition where the user wrote its name."""
    if error.code == "M219":
        return too_big(span)
    if error.span is None or error.span.source == span.source:
        return error
    line, _ = error.span.source.position(error.span.start)
    note = f"in `{owner}`, {error.span.source.name}:{line}: `{error.span.text}`"
    return error.noting(note, span)


def _subscripts(count: int) -> str:
    return {0: "no subscript", 1: "1 subscript"}.get(count, f"{count} subscripts")
