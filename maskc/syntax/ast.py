"""The syntax tree: what was written, before any name has a meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from maskc.source import Span


@dataclass(frozen=True, slots=True)
class Identifier:
    """A name where one is declared."""

    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name where one is used."""

    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """An int, a float or a boolean."""

    value: bool | int | float
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """``-x`` or ``!x``."""

    op: str
    operand: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """``left op right`` for arithmetic and ``^``."""

    op: str
    left: Expr
    right: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Connective:
    """``a & b & ...`` or ``a | b | ...``."""

    op: str
    operands: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """``a < b <= c``: every neighbouring pair is compared."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Conditional:
    """``then if test else other``."""

    then: Expr
    test: Expr
    other: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call, by position or by name."""

    name: Identifier | None
    value: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """``function(argument, ...)``."""

    function: Identifier
    arguments: tuple[Argument, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subscript:
    """``base[index, ...]``."""

    base: Identifier
    indices: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Coordinate:
    """``position.axis``."""

    position: Expr
    axis: Identifier
    span: Span = field(compare=False, repr=False)


Expr = (
    Name
    | Literal
    | Unary
    | Binary
    | Connective
    | Chain
    | Conditional
    | Call
    | Subscript
    | Coordinate
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """``mask = EXPR`` (also a bare expression), ``score = EXPR``, ``out = EXPR``."""

    target: Identifier
    value: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Let:
    """``let NAME = EXPR``."""

    name: Identifier
    value: Expr
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Domain:
    """What an argument may be: a type, a type within bounds (``1 <= int <= n``), or ``axis``.

    In ``bounds`` the name of the type stands for the argument.
    """

    kind: Identifier
    bounds: Chain | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a ``def``, or an axis: with or without a domain, a default or a size."""

    name: Identifier
    default: Expr | None
    domain: Domain | None = None


@dataclass(frozen=True, slots=True)
class Define:
    """``def NAME(A, B = DEFAULT) = EXPR``."""

    name: Identifier
    parameters: tuple[Parameter, ...]
    value: Expr
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Param:
    """``param NAME: TYPE = DEFAULT``."""

    name: Identifier
    type: Identifier | None
    default: Expr | None
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Input:
    """``input NAME: TYPE``."""

    name: Identifier
    type: Identifier
    doc: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Axes:
    """``axis NAME = SIZE, ... from START``; one statement may declare several axes."""

    axes: tuple[Parameter, ...]
    start: Expr | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Use:
    """``use "PATH"``: the definitions of a library, by its path from the file that it stands in."""

    path: str
    span: Span = field(compare=False, repr=False)


Statement = Assignment | Let | Define | Param | Input | Axes | Use


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole program, in the order of its text.

    ``lost`` are the names that statements with an error were to declare: they are not unknown.
    """

    statements: tuple[Statement, ...]
    lost: frozenset[str] = frozenset()


def parts(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct sub-expressions."""
    match expr:
        case Name() | Literal():
            return ()
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return left, right
        case Connective(_, operands) | Chain(operands):
            return operands
        case Conditional(then, test, other):
            return then, test, other
        case Call(_, arguments):
            return tuple(argument.value for argument in arguments)
        case Subscript(_, indices):
            return indices
        case Coordinate(position):
            return (position,)
        case _:
            assert_never(expr)
