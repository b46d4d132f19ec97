"""The nodes of the typed IR: one closed union, immutable, compared by structure.

A node works out its type, its dependences, its hash and its size once, when it is made, from
those of its children: every analysis starts from these, and equal terms share one memo entry.
Spans ride along and never count in equality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, assert_never, cast

from maskc.ir.operators import ArithOp, CompareOp, Fn, Gives
from maskc.ir.types import Dim, Given, Ix, Sz, Type, wider
from maskc.source import Span

_KNOWN = ("type", "deps", "weight", "depth", "_hash")
"""What a node works out about itself when it is made."""


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor given at run time; the same name is the same tensor wherever it is declared."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of the token grid; rows ``start <= token < start + count`` are on the grid."""

    name: str
    size: int
    stride: int
    start: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """What all nodes share: their span, and properties computed once."""

    span: Span | None = field(default=None, kw_only=True, repr=False)
    type: Type = field(init=False, repr=False)
    deps: Dim = field(init=False, repr=False)
    weight: int = field(init=False, repr=False)
    """The number of nodes of the term, written out as a tree."""
    depth: int = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kids = children(cast("Expr", self))
        deps = _own_deps(cast("Expr", self))
        for kid in kids:
            deps |= kid.deps
        known = (
            _type(cast("Expr", self)),
            deps,
            1 + sum(kid.weight for kid in kids),
            1 + max((kid.depth for kid in kids), default=0),
            hash((type(self).__name__, *self._key())),
        )
        for name, value in zip(_KNOWN, known, strict=True):
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) or self._hash != hash(other):
            return False
        return isinstance(other, Node) and self._key() == other._key()

    def __reduce__(self) -> tuple[object, ...]:
        # A hash differs from process to process, so what was worked out is worked out again.
        return type(self), self._fields()

    def __bool__(self) -> bool:
        raise TypeError("a node has no truth value; build `And`, `Or`, `Not`, or compare with `is`")

    def _key(self) -> tuple[object, ...]:
        return self._fields()

    def _fields(self) -> tuple[object, ...]:
        kind: Any = type(self)
        return _read_fields(kind)(self)


@cache
def _read_fields(kind: Any) -> Callable[[Node], tuple[object, ...]]:
    """Return what reads the fields of a kind of node."""
    names: tuple[str, ...] = kind.__match_args__
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda node: (read(node),)


@dataclass(frozen=True, slots=True, eq=False)
class BoolConst(Node):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True, eq=False)
class IntConst(Node):
    """An int of any size."""

    value: int


@dataclass(frozen=True, slots=True, eq=False)
class FloatConst(Node):
    """A float; ``-0.0`` and ``0.0`` are two constants."""

    value: float

    def _key(self) -> tuple[object, ...]:
        return (self.value.hex(),)


@dataclass(frozen=True, slots=True, eq=False)
class Index(Node):
    """An index of the attention matrix."""

    which: Ix


@dataclass(frozen=True, slots=True, eq=False)
class Size(Node):
    """A size of the call."""

    which: Sz


@dataclass(frozen=True, slots=True, eq=False)
class Value(Node):
    """What the kernel hands over: the score so far, the output, or its log-sum-exp."""

    which: Given


@dataclass(frozen=True, slots=True, eq=False)
class Coord(Node):
    """The coordinate of a token along an axis, -1 for a token outside the grid."""

    position: Expr
    axis: Axis


@dataclass(frozen=True, slots=True, eq=False)
class Load(Node):
    """An element of an input."""

    input: Input
    indices: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Arith(Node):
    """Arithmetic on two numbers."""

    op: ArithOp
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    """A function of numbers."""

    fn: Fn
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Node):
    """A comparison of two numbers, or the equality of two booleans (``a ^ b`` is ``a != b``)."""

    op: CompareOp
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Not(Node):
    """Negation."""

    arg: Expr


@dataclass(frozen=True, slots=True, eq=False)
class And(Node):
    """Conjunction of two or more."""

    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Or(Node):
    """Disjunction of two or more."""

    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Where(Node):
    """``then`` where ``cond`` holds, ``other`` elsewhere; only the chosen side is evaluated."""

    cond: Expr
    then: Expr
    other: Expr


@dataclass(frozen=True, slots=True, eq=False)
class TopK(Node):
    """True for the ``count`` keys of the row with the largest ``value`` among those in ``where``.

    Keys are compared by value, then by index: the lower index wins a tie.
    """

    value: Expr
    count: int
    where: Expr


Expr = (
    BoolConst
    | IntConst
    | FloatConst
    | Index
    | Size
    | Value
    | Coord
    | Load
    | Arith
    | Call
    | Compare
    | Not
    | And
    | Or
    | Where
    | TopK
)


@dataclass(frozen=True, slots=True)
class Module:
    """A whole program: who attends to whom, the new score, and the epilogue."""

    mask: Expr
    score: Expr
    out: Expr

    @property
    def roots(self) -> tuple[Expr, Expr, Expr]:
        """The three expressions."""
        return self.mask, self.score, self.out

    def map(self, function: Callable[[Expr], Expr]) -> Module:
        """Return the module with ``function`` applied to its three expressions."""
        return Module(function(self.mask), function(self.score), function(self.out))


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """A term as a key of a cache whose results carry spans: equal only to itself.

    Equal terms of two programs stand at different places, and an error must show its own.
    """

    expr: Expr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.expr is other.expr

    def __hash__(self) -> int:
        return id(self.expr)


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct sub-terms, in the order of the text."""
    match expr:
        case BoolConst() | IntConst() | FloatConst() | Index() | Size() | Value():
            return ()
        case Coord(position):
            return (position,)
        case Load(_, parts) | Call(_, parts) | And(parts) | Or(parts):
            return parts
        case Arith(_, left, right) | Compare(_, left, right):
            return left, right
        case Not(arg):
            return (arg,)
        case Where(cond, then, other):
            return cond, then, other
        case TopK(value, _, where):
            return value, where
        case _:
            assert_never(expr)


def with_children(expr: Expr, kids: tuple[Expr, ...]) -> Expr:
    """Return ``expr`` with other sub-terms, at the same place in the source."""
    if all(new is old for new, old in zip(kids, children(expr), strict=True)):
        return expr
    span = expr.span
    match expr:
        case BoolConst() | IntConst() | FloatConst() | Index() | Size() | Value():
            return expr
        case Coord(_, axis):
            return Coord(kids[0], axis, span=span)
        case Load(source, _):
            return Load(source, kids, span=span)
        case Call(fn, _):
            return Call(fn, kids, span=span)
        case And() | Or():
            return type(expr)(kids, span=span)
        case Arith(op, _, _):
            return Arith(op, *kids, span=span)
        case Compare(compare, _, _):
            return Compare(compare, *kids, span=span)
        case Not():
            return Not(*kids, span=span)
        case Where():
            return Where(*kids, span=span)
        case TopK(_, count, _):
            return TopK(kids[0], count, kids[1], span=span)
        case _:
            assert_never(expr)


def literal(value: bool | int | float, span: Span | None = None) -> Expr:
    """Return the constant node of a Python value."""
    if isinstance(value, bool):
        return BoolConst(value, span=span)
    if isinstance(value, int):
        return IntConst(value, span=span)
    return FloatConst(value, span=span)


def placed(expr: Expr, span: Span | None) -> Expr:
    """Return ``expr`` as it would be if it had been written at ``span``."""
    copy = object.__new__(type(expr))
    for name in (*expr.__match_args__, *_KNOWN):
        object.__setattr__(copy, name, getattr(expr, name))
    object.__setattr__(copy, "span", span)
    return copy


def relocated(expr: Expr, span: Span) -> Expr:
    """Return ``expr`` with ``span`` at every sub-term that was written in another source.

    A user's error is shown where the user wrote the name, not in the library that defines it.
    """
    kept = with_children(expr, tuple(relocated(kid, span) for kid in children(expr)))
    foreign = expr.span is None or expr.span.source != span.source
    return placed(kept, span) if foreign else kept


def walk(*roots: Expr) -> Iterator[Expr]:
    """Yield every different sub-term of ``roots`` once, parents before children."""
    seen: set[Expr] = set()
    stack = list(reversed(roots))
    while stack:
        expr = stack.pop()
        if expr not in seen:
            seen.add(expr)
            yield expr
            stack.extend(reversed(children(expr)))


def rewrite(expr: Expr, rule: Callable[[Expr], Expr | None]) -> Expr:
    """Apply ``rule`` to every sub-term, children first; None leaves a term as it is."""
    memo: dict[Expr, Expr] = {}

    def visit(term: Expr) -> Expr:
        if term not in memo:
            rebuilt = with_children(term, tuple(visit(kid) for kid in children(term)))
            replaced = rule(rebuilt)
            memo[term] = rebuilt if replaced is None else replaced
        return memo[term]

    return visit(expr)


@lru_cache(maxsize=8192)
def inputs(*roots: Expr) -> tuple[Input, ...]:
    """Return the inputs that ``roots`` read, in the order of the text."""
    return tuple(dict.fromkeys(term.input for term in walk(*roots) if isinstance(term, Load)))


def reads(expr: Expr, which: Given) -> bool:
    """Tell whether ``expr`` reads what the kernel hands over as ``which``."""
    return any(isinstance(term, Value) and term.which is which for term in walk(expr))


def _type(expr: Expr) -> Type:
    match expr:
        case BoolConst() | Compare() | Not() | And() | Or() | TopK():
            return Type.BOOL
        case IntConst() | Index() | Size() | Coord():
            return Type.INT
        case FloatConst() | Value():
            return Type.FLOAT
        case Load(source, _):
            return source.type
        case Arith(ArithOp.DIV, _, _):
            return Type.FLOAT
        case Arith(ArithOp.POW, left, IntConst(exponent)) if exponent >= 0:
            return left.type
        case Arith(ArithOp.POW, _, _):
            return Type.FLOAT
        case Arith(_, left, right):
            return wider([left.type, right.type])
        case Call(fn, args):
            return _given(fn.value.gives, args)
        case Where(_, then, other):
            return then.type if then.type is other.type else wider([then.type, other.type])
        case _:
            assert_never(expr)


def _given(gives: Gives, args: tuple[Expr, ...]) -> Type:
    match gives:
        case Gives.FLOAT:
            return Type.FLOAT
        case Gives.WIDEST:
            return wider([arg.type for arg in args])
        case Gives.ROUNDED:
            return Type.INT
        case Gives.BOOL:
            return Type.BOOL
        case _:
            assert_never(gives)


def _own_deps(expr: Expr) -> Dim:
    match expr:
        case Index(which):
            return which.dim
        case Value(Given.SCORE):
            return Dim.ALL
        case Value():
            return Dim.ROW
        case TopK():
            return Dim.K
        case _:
            return Dim.NONE


TRUE = BoolConst(True)
FALSE = BoolConst(False)
SCORE = Value(Given.SCORE)
OUT = Value(Given.OUT)
"""The constants, and what an untouched score and output are (below what their nodes need)."""
