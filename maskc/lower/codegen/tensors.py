"""Row expressions to readable Python: the source of ``mask_mod`` and ``score_mod``.

One expression gives one code object, whatever tensors it later runs over: dynamo keys its caches
on the code, so new documents or offsets never compile anything again. Tensors and sizes are the
arguments of an outer ``build``; what depends on sizes alone is computed there, once. All names in
the code are ours: an input ``doc`` is ``in_doc``.
"""

from __future__ import annotations

import hashlib
import linecache
import math
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from threading import Lock
from typing import Any, assert_never

from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Coord,
    Expr,
    FloatConst,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    TopK,
    Value,
    Where,
    children,
    inputs,
    walk,
)
from maskc.ir.operators import ArithOp, Fn, Gives
from maskc.ir.types import Ix, Sz, Type, Word
from maskc.lower.codegen.hoist import hoisted, name_of
from maskc.lower.codegen.key_side import sides
from maskc.lower.codegen.sizes import (
    WIDTH,
    Numbers,
    bare,
    binary_places,
    is_negative,
    is_number,
    literal,
    power,
    rounded,
)

LINE = 100
"""Columns of a line."""

ROOM = 8
"""Characters that a line needs for a name and an operator before its last operand."""

SHORT = 12
"""Characters of an operand that needs no name of its own in a long term."""

_COMPARE, _OR, _AND, _SHIFT, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(9)
"""How tightly Python's operators bind; ``&`` binds tighter than a comparison here."""

_LEVELS = {
    ArithOp.ADD: _SUM,
    ArithOp.SUB: _SUM,
    ArithOp.MUL: _PRODUCT,
    ArithOp.DIV: _PRODUCT,
    ArithOp.FLOORDIV: _PRODUCT,
    ArithOp.MOD: _PRODUCT,
}

_INDEX_NAMES = {Ix.BATCH: "b", Ix.HEAD: "h", Ix.Q_IDX: "q_idx", Ix.KV_IDX: "kv_idx"}


_TAKEN = frozenset({*_INDEX_NAMES.values(), *(size.value for size in Sz)})
"""Names that always stand for an index or a size."""

_NO_LITERAL = {"inf": math.isinf, "nan": math.isnan}
"""What ``repr`` writes as a name."""


class Kind(Word):
    """What a function is for; the value is its parameters in torch's order."""

    MASK = "b, h, q_idx, kv_idx"
    SCORE = "score, b, h, q_idx, kv_idx"
    OUT = "out, lse, b, h, q_idx, kv_idx"


@dataclass(frozen=True, slots=True)
class Generated:
    """Python source for one expression, and the function that builds it over tensors.

    ``build(*tensors, *sizes)`` takes ``inputs`` and then ``sizes``, in their order.
    """

    source: str
    build: Callable[..., Callable[..., Any]]
    inputs: tuple[str, ...]
    sizes: tuple[Sz, ...]

    def show(self) -> None:
        """Let tracebacks show the source; torch's compiler clears what they read."""
        filename, lines = self.build.__code__.co_filename, self.source.splitlines(keepends=True)
        linecache.cache[filename] = (len(self.source), None, lines, filename)


@lru_cache(maxsize=4096)
def generate(expr: Expr, kind: Kind) -> Generated:
    """Return the code of a row expression: one code object, whichever thread comes first.

    Each code object would be compiled by itself.
    """
    with _writing:
        return _generated(expr, kind)


_writing = Lock()


@lru_cache(maxsize=4096)
def _generated(expr: Expr, kind: Kind) -> Generated:
    source = "\n".join([*imports(expr), "", "", *definition(expr, kind), ""])
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    filename = f"<maskc {kind.name.lower()}_mod {digest}>"
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope)
    code = Generated(source, scope["build"], *arguments(expr))
    code.show()
    return code


def identifier(name: str, what: str = "in") -> str:
    """Return our name for an input; a tensor of a pair carries its side in front."""
    base, _, side = name.partition("@")
    return f"{side}_{what}_{base}" if side else f"{what}_{base}"


def arguments(expr: Expr) -> tuple[tuple[str, ...], tuple[Sz, ...]]:
    """Return what the code of an expression is built over: its inputs, and the sizes it reads."""
    read = tuple(source.name for source in inputs(expr))
    return read, tuple(dict.fromkeys(t.which for t in walk(expr) if isinstance(t, Size)))


def imports(*exprs: Expr) -> list[str]:
    """Return the lines that the code of these expressions starts with."""
    floats = [term.value for term in walk(*exprs) if isinstance(term, FloatConst)]
    names = [name for name, test in _NO_LITERAL.items() if any(map(test, floats))]
    named = [f"from math import {', '.join(names)}", ""] if names else []
    return [*named, "import torch"]


def definition(expr: Expr, kind: Kind, build: str = "build") -> list[str]:
    """Return the lines of the function that builds an expression's function over tensors.

    Args:
        expr: the row expression.
        kind: what its function is for.
        build: the name of the outer function.

    """
    read, sizes = arguments(expr)
    written = sides(expr)
    listed = [*(identifier(name) for name in read), *(size.value for size in sizes)]
    shared = _shared(written)
    writer = _Writer(shared, hoisted(written, shared), {*_TAKEN, *listed})
    result = writer.text(written)
    if is_number(expr):
        result = _filled(result, kind)
    elif kind is Kind.SCORE and writer.minds_dtypes:
        result = writer.as_score(result)
    outer = [f"    {line}" for line in (*_wide_dtypes(expr), *writer.numbers.lines)]
    return [
        *signature(f"def {build}(", listed, "):"),
        *([*outer, ""] if outer else []),
        f"    def {kind.name.lower()}_mod({kind.value}):",
        *(f"        {line}" for line in writer.inner),
        f"        return {bare(result)}",
        "",
        f"    return {kind.name.lower()}_mod",
    ]


def _wide_dtypes(expr: Expr) -> list[str]:
    """Return the lines that say in which dtype each float input is read: 32 bits at least."""
    names = [source.name for source in inputs(expr) if source.type is Type.FLOAT]
    given = [[f"{identifier(name)}.dtype", "torch.float32"] for name in names]
    calls = [f"{_wide(name)} = torch.promote_types(" for name in names]
    return [
        line
        for call, types in zip(calls, given, strict=True)
        for line in signature(call, types, ")")
    ]


def _wide(name: str) -> str:
    """Return our name for the dtype in which a float input is read."""
    return identifier(name, "wide")


def signature(start: str, arguments: list[str], end: str) -> list[str]:
    """Return a definition or a call in one line, or an argument a line where that is too long."""
    line = f"{start}{', '.join(arguments)}{end}"
    if len(line) <= LINE:
        return [line]
    indent = " " * (len(start) - len(start.lstrip()))
    return [start, *(f"{indent}    {argument}," for argument in arguments), f"{indent}{end}"]


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, then with a number behind it."""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _filled(number: str, kind: Kind) -> str:
    """Make a tensor of a result that is the same for all elements."""
    if kind is Kind.MASK:
        return f"kv_idx.new_full((), {number}, dtype=torch.bool)"
    return f"torch.full_like({kind.name.lower()}, {number})"


def _shared(expr: Expr) -> set[Expr]:
    """Return the terms that are worth a name: not leaves, and used more than once."""
    uses: Counter[Expr] = Counter()
    for term in walk(expr):
        uses.update(set(children(term)))
    return {term for term, count in uses.items() if count > 1 and children(term)}


@dataclass(slots=True)
class _Writer:
    """Writes terms; ``inner`` are lines of the function, ``numbers`` has those that run once.

    ``minds_dtypes`` tells whether a float is clamped, or one of another dtype than the score's may
    meet it: what ``as_score`` is for.

    Args:
        shared: terms that get a name because they are used more than once.
        hoisted: terms that get one because they have one value for a row or a column.
        taken: names that stand for something else.

    """

    shared: set[Expr]
    hoisted: Set[Expr]
    taken: set[str]
    inner: list[str] = field(default_factory=list)
    numbers: Numbers = field(default_factory=Numbers)
    minds_dtypes: bool = False
    _steps: int = 0
    _names: dict[Expr, str] = field(default_factory=dict)
    _texts: dict[Expr, tuple[str, int]] = field(default_factory=dict)

    def text(self, expr: Expr, level: int = _COMPARE) -> str:
        """Return the text of a term, in parentheses unless it binds as tightly as ``level``."""
        if expr in self._names:
            return self._names[expr]
        if is_number(expr) and children(expr):
            return self.numbers.name(expr)
        text, own = self._fitted(expr)
        if expr in self.shared or expr in self.hoisted:
            return self._name(expr)
        return text if own >= level else f"({text})"

    def as_score(self, text: str) -> str:
        """Widen the score to 32 bits at least before anything else, and return it in that dtype.

        Compiled FlexAttention on CPU computes scores in float32, but traces their function with a
        score of the queries' dtype. There ``torch.clamp`` of a half gives other numbers, and a
        result of 64 bits is read as if it had 32.
        """
        self.inner.insert(0, "score = score.to(torch.promote_types(score.dtype, torch.float32))")
        return f"{self._line(text, 'changed')}.to(score.dtype)"

    def _fitted(self, expr: Expr) -> tuple[str, int]:
        """Return the text of a term and how it binds; long operands get names first."""
        if expr not in self._texts:
            if not isinstance(expr, And | Or):
                self._shorten(children(expr))
            self._texts[expr] = self._write(expr)
        return self._texts[expr]

    def _shorten(self, kids: tuple[Expr, ...]) -> None:
        if sum(len(self.text(kid)) for kid in kids) > WIDTH // 2:
            for kid in kids:
                if not is_number(kid) and len(self.text(kid)) > SHORT:
                    self._name(kid)

    def _name(self, expr: Expr) -> str:
        if expr not in self._names:
            self._names[expr] = self._line(self._fitted(expr)[0], name_of(expr))
        return self._names[expr]

    def _line(self, text: str, asked: str | None = None) -> str:
        """Emit ``name = text``, with the requested name if it is free and short."""
        text = bare(text)
        if asked is None or len(asked) + len(text) > WIDTH:
            self._steps += 1
            asked = f"t{self._steps - 1}"
        name = next(name for name in _numbered(asked) if name not in self.taken)
        self.taken.add(name)
        self.inner.append(f"{name} = {text}")
        return name

    def _joined(self, sign: str, args: tuple[Expr, ...], level: int) -> str:
        """Join operands; what would be too long for a line goes on in the next."""
        text = ""
        for arg in args:
            part = self.text(arg, level)
            if text and len(text) + len(part) + 3 > WIDTH:
                text = self._line(text)
                part = self._name(arg) if len(part) > WIDTH - ROOM else part
            text = f"{text} {sign} {part}" if text else part
        return text

    def _write(self, expr: Expr) -> tuple[str, int]:
        match expr:
            case BoolConst() | IntConst() | FloatConst() | Size():
                return literal(expr), (_UNARY if is_negative(expr) else _ATOM)
            case Index(which):
                return _INDEX_NAMES[which], _ATOM
            case Value(which):
                return which.value, _ATOM
            case Load():
                return self._load(expr), _ATOM
            case Arith():
                return self._arith(expr)
            case Call(fn, args):
                return self._call(fn, args)
            case Compare(op, left, right):
                return f"{self.text(left, _OR)} {op.symbol} {self.text(right, _OR)}", _COMPARE
            case Not(arg):
                return f"~{self.text(arg, _UNARY)}", _UNARY
            case And(args):
                return self._joined("&", args, _AND), _AND
            case Or(args):
                return self._joined("|", args, _OR), _OR
            case Where(cond, then, other):
                parts = self._condition(cond), self.text(then), self.text(other)
                return f"torch.where({', '.join(parts)})", _ATOM
            case Coord() | TopK():
                raise AssertionError(f"a row program has no {type(expr).__name__}")
            case _:
                assert_never(expr)

    def _condition(self, expr: Expr) -> str:
        """Write the condition of ``torch.where``, which takes no Python number."""
        text = self.text(expr)
        return self._line(_filled(text, Kind.MASK)) if is_number(expr) else text

    def _load(self, expr: Load) -> str:
        text = self._element(expr)
        if expr.type is not Type.FLOAT:
            return text
        self.minds_dtypes = True
        end = f".to({_wide(expr.input.name)})"
        return f"{self._short(text, WIDTH - len(end))}{end}"

    def _element(self, expr: Load) -> str:
        name = identifier(expr.input.name)
        if not expr.indices:
            return name
        places = [self._place(index, name, dim) for dim, index in enumerate(expr.indices)]
        if len(", ".join(places)) > WIDTH - len(name) - 2:
            places = [self._line(place) if len(place) > SHORT else place for place in places]
        return f"{name}[{', '.join(places)}]"

    def _place(self, index: Expr, name: str, dim: int) -> str:
        """Write a subscript; one that is no row is kept inside the tensor."""
        match index:
            case Index():
                return self.text(index)
            case IntConst(0):
                return "0"
            case _ if is_number(index):
                return f"min(max({self.text(index)}, 0), {name}.shape[{dim}] - 1)"
            case _:
                return f"{self.text(index, _ATOM)}.clamp(0, {name}.shape[{dim}] - 1)"

    def _arith(self, expr: Arith) -> tuple[str, int]:
        op, left, right = expr.op, expr.left, expr.right
        match op:
            case ArithOp.POW if expr.type is Type.FLOAT:
                return power(self._float(left, _ATOM), self._float(right, _UNARY)), _POWER
            case ArithOp.POW:
                return power(self.text(left, _ATOM), self.text(right, _UNARY)), _POWER
            case ArithOp.FLOORDIV if expr.type is Type.FLOAT:
                return (
                    f"torch.floor({self.text(left, _PRODUCT)} / {self.text(right, _UNARY)})",
                    _ATOM,
                )
            case ArithOp.FLOORDIV | ArithOp.MOD if expr.type is Type.INT:
                return self._divided(op, left, right)
            case _:
                level = _LEVELS[op]
                return f"{self.text(left, level)} {op.symbol} {self.text(right, level + 1)}", level

    def _divided(self, op: ArithOp, left: Expr, right: Expr) -> tuple[str, int]:
        """Write a division of ints; by a power of two it is of bits, as processors have it."""
        match binary_places(right):
            case None:
                divisor = self._divisor(right)
                return f"{self.text(left, _PRODUCT)} {op.symbol} {divisor}", _PRODUCT
            case places if op is ArithOp.FLOORDIV:
                return f"{self.text(left, _UNARY)} >> {places}", _SHIFT
            case places:
                return f"({self.text(left, _UNARY)} & {2**places - 1})", _ATOM

    def _divisor(self, expr: Expr) -> str:
        """Write a divisor; one that could be 0 becomes 1, for an int division by 0 is a crash."""
        text = self.text(expr, _UNARY)
        if isinstance(expr, IntConst) and expr.value:
            return text
        if is_number(expr):
            return f"({text} or 1)"
        text = self._short(self.text(expr))
        return f"torch.where({text} == 0, 1, {text})"

    def _call(self, fn: Fn, args: tuple[Expr, ...]) -> tuple[str, int]:
        first = args[0]
        match fn:
            case Fn.NEG:
                return f"-{self.text(first, _UNARY)}", _UNARY
            case Fn.MIN | Fn.MAX:
                return self._extreme(fn, args), _ATOM
            case Fn.CLAMP:
                return self._extreme(Fn.MIN, (Call(Fn.MAX, args[:2]), args[2])), _ATOM
            case Fn.FLOAT:
                return self._float(first, _ATOM), _ATOM
            case Fn.BOOL if first.type is Type.BOOL:
                return self.text(first), _COMPARE
            case Fn.BOOL:
                return f"{self.text(first, _OR)} != 0", _COMPARE
            case _ if fn.value.gives is Gives.ROUNDED and first.type is not Type.FLOAT:
                return f"{self.text(first, _ATOM)}.to(torch.int64)", _ATOM
            case _ if fn.value.gives is Gives.ROUNDED:
                return self._int(self._function(fn, args)), _ATOM
            case _:
                return self._function(fn, args), _ATOM

    def _function(self, fn: Fn, args: tuple[Expr, ...]) -> str:
        """Write what the table has for tensors; an argument that it reads twice gets a name."""
        pattern = fn.value.tensor
        assert pattern is not None, f"`{fn.value.name}` has no meaning on tensors"
        widths = [SHORT if pattern.count(f"{{{n}}}") > 1 else LINE for n in range(len(args))]
        gives_float = fn.value.gives is Gives.FLOAT
        texts = [self._float(arg, _COMPARE) if gives_float else self.text(arg) for arg in args]
        return pattern.format(*map(self._short, texts, widths))

    def _extreme(self, fn: Fn, args: tuple[Expr, ...]) -> str:
        """Write ``min`` or ``max`` as clamps of a tensor, which take numbers and tensors alike."""
        self.minds_dtypes |= any(arg.type is Type.FLOAT for arg in args)
        bound = "max" if fn is Fn.MIN else "min"
        tensors = [arg for arg in args if not is_number(arg)]
        numbers = [arg for arg in args if is_number(arg)]
        text = self.text(tensors[0])
        for arg in [*tensors[1:], *numbers]:
            text = f"torch.clamp({self._short(text)}, {bound}={self._short(self.text(arg))})"
        return text

    def _int(self, text: str) -> str:
        self.minds_dtypes = True
        finite, end = rounded(self._short(text, WIDTH // 3))
        return f"{self._line(finite)}{end}"

    def _short(self, text: str, width: int = WIDTH // 2) -> str:
        return text if len(text) <= width else self._line(text)

    def _float(self, expr: Expr, level: int) -> str:
        if expr.type is Type.FLOAT or is_number(expr):
            return self.text(expr, level)
        self.minds_dtypes = True
        return f"{self.text(expr, _ATOM)}.to(torch.get_default_dtype())"
