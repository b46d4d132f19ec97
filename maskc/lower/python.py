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
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, assert_never

from maskc.ir.evaluate import LARGEST_INT
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
from maskc.ir.types import ArithOp, Fn, Ix, Sz, Type
from maskc.ir.vectorize import TORCH_FUNCTIONS

_COMPARE, _OR, _AND, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(8)
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


_NO_LITERAL = {"inf": math.isinf, "nan": math.isnan}
"""What ``repr`` writes as a name."""


class Kind(Enum):
    """What a function is for; the value is its parameters in torch's order."""

    MASK = "b, h, q_idx, kv_idx"
    SCORE = "score, b, h, q_idx, kv_idx"


@dataclass(frozen=True, slots=True)
class Generated:
    """Python source for one expression, and the function that builds it over tensors.

    ``build(*tensors, *sizes)`` takes ``inputs`` and then ``sizes``, in their order.
    """

    source: str
    build: Callable[..., Callable[..., Any]]
    inputs: tuple[str, ...]
    sizes: tuple[Sz, ...]


@lru_cache(maxsize=4096)
def generate(expr: Expr, kind: Kind) -> Generated:
    """Return the code of a row expression."""
    read = tuple(source.name for source in inputs(expr))
    sizes = tuple(dict.fromkeys(t.which for t in walk(expr) if isinstance(t, Size)))
    source = _source(expr, kind, read, sizes)
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    filename = f"<maskc {kind.name.lower()}_mod {digest}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope)
    return Generated(source, scope["build"], read, sizes)


def identifier(name: str) -> str:
    """Return our name for an input; a tensor of a pair carries its side in front."""
    base, _, side = name.partition("@")
    return f"{side}_in_{base}" if side else f"in_{base}"


def _source(expr: Expr, kind: Kind, read: tuple[str, ...], sizes: tuple[Sz, ...]) -> str:
    writer = _Writer(_shared(expr))
    result = writer.text(expr)
    if _is_number(expr):
        result = _filled(result, kind)
    arguments = ", ".join([*(identifier(name) for name in read), *(size.value for size in sizes)])
    name = f"{kind.name.lower()}_mod"
    code = [
        f"def build({arguments}):",
        *(f"    {line}" for line in writer.outer),
        f"    def {name}({kind.value}):",
        *(f"        {line}" for line in writer.inner),
        f"        return {result}",
        "",
        f"    return {name}",
    ]
    return "\n".join([*_imports(expr), "", "", *code]) + "\n"


def _imports(expr: Expr) -> list[str]:
    floats = [term.value for term in walk(expr) if isinstance(term, FloatConst)]
    names = [name for name, test in _NO_LITERAL.items() if any(map(test, floats))]
    return (
        [f"from math import {', '.join(names)}", "", "import torch"] if names else ["import torch"]
    )


def _filled(number: str, kind: Kind) -> str:
    """Make a tensor of a result that is the same for all elements."""
    if kind is Kind.MASK:
        return f"kv_idx.new_full((), {number}, dtype=torch.bool)"
    return f"torch.full_like(score, {number})"


def _shared(expr: Expr) -> set[Expr]:
    """Return the terms that are worth a name: not leaves, and used more than once."""
    uses: Counter[Expr] = Counter()
    for term in walk(expr):
        uses.update(set(children(term)))
    return {term for term, count in uses.items() if count > 1 and children(term)}


def _is_number(expr: Expr) -> bool:
    """Tell whether a term is a Python number: made of constants and sizes alone."""
    return not any(isinstance(term, Index | Load | Value) for term in walk(expr))


@dataclass(slots=True)
class _Writer:
    """Writes terms; ``inner`` are lines of the function, ``outer`` lines that run once."""

    shared: set[Expr]
    inner: list[str] = field(default_factory=list)
    outer: list[str] = field(default_factory=list)
    _names: dict[Expr, str] = field(default_factory=dict)

    def text(self, expr: Expr, level: int = _COMPARE) -> str:
        """Return the text of a term, in parentheses unless it binds as tightly as ``level``."""
        if expr in self._names:
            return self._names[expr]
        if _is_number(expr) and children(expr):
            return self._named(expr, f"n{len(self.outer)}", _number(expr), self.outer)
        text, own = self._write(expr)
        if expr in self.shared:
            return self._named(expr, f"t{len(self.inner)}", text, self.inner)
        return text if own >= level else f"({text})"

    def _named(self, expr: Expr, name: str, text: str, lines: list[str]) -> str:
        lines.append(f"{name} = {text}")
        self._names[expr] = name
        return name

    def _write(self, expr: Expr) -> tuple[str, int]:
        match expr:
            case BoolConst() | IntConst() | FloatConst() | Size():
                return _literal(expr)
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
                return f"{self.text(left, _OR)} {op.value} {self.text(right, _OR)}", _COMPARE
            case Not(arg):
                return f"~{self.text(arg, _UNARY)}", _UNARY
            case And(args):
                return " & ".join(self.text(arg, _AND) for arg in args), _AND
            case Or(args):
                return " | ".join(self.text(arg, _OR) for arg in args), _OR
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
        return _filled(text, Kind.MASK) if _is_number(expr) else text

    def _load(self, expr: Load) -> str:
        name = identifier(expr.input.name)
        if not expr.indices:
            return name
        places = [self._place(index, name, dim) for dim, index in enumerate(expr.indices)]
        return f"{name}[{', '.join(places)}]"

    def _place(self, index: Expr, name: str, dim: int) -> str:
        """Write a subscript; one that is no row is kept inside the tensor."""
        match index:
            case Index():
                return self.text(index)
            case IntConst(0):
                return "0"
            case _ if _is_number(index):
                return f"min(max({self.text(index)}, 0), {name}.shape[{dim}] - 1)"
            case _:
                return f"{self.text(index, _ATOM)}.clamp(0, {name}.shape[{dim}] - 1)"

    def _arith(self, expr: Arith) -> tuple[str, int]:
        op, left, right = expr.op, expr.left, expr.right
        match op:
            case ArithOp.POW if expr.type is Type.FLOAT:
                return f"{self._float(left, _ATOM)} ** {self._float(right, _UNARY)}", _POWER
            case ArithOp.POW:
                return f"{self.text(left, _ATOM)} ** {self.text(right, _UNARY)}", _POWER
            case ArithOp.FLOORDIV if expr.type is Type.FLOAT:
                return (
                    f"torch.floor({self.text(left, _PRODUCT)} / {self.text(right, _UNARY)})",
                    _ATOM,
                )
            case ArithOp.FLOORDIV | ArithOp.MOD if expr.type is Type.INT:
                divisor = self._divisor(right)
                return f"{self.text(left, _PRODUCT)} {op.value} {divisor}", _PRODUCT
            case _:
                level = _LEVELS[op]
                return f"{self.text(left, level)} {op.value} {self.text(right, level + 1)}", level

    def _divisor(self, expr: Expr) -> str:
        """Write a divisor; one that could be 0 becomes 1, for an int division by 0 is a crash."""
        text = self.text(expr, _UNARY)
        if isinstance(expr, IntConst) and expr.value:
            return text
        if _is_number(expr):
            return f"({text} or 1)"
        text = self.text(expr)
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
            case Fn.FLOOR | Fn.CEIL | Fn.ROUND if first.type is Type.INT:
                return self.text(first), _COMPARE
            case Fn.FLOOR | Fn.CEIL | Fn.ROUND:
                return _to_int(f"torch.{TORCH_FUNCTIONS[fn]}({self.text(first)})"), _ATOM
            case Fn.INT if first.type is Type.FLOAT:
                return _to_int(self.text(first)), _ATOM
            case Fn.INT:
                return f"{self.text(first, _ATOM)}.to(torch.int64)", _ATOM
            case Fn.FLOAT:
                return self._float(first, _ATOM), _ATOM
            case Fn.BOOL if first.type is Type.BOOL:
                return self.text(first), _COMPARE
            case Fn.BOOL:
                return f"{self.text(first, _OR)} != 0", _COMPARE
            case _:
                return f"torch.{TORCH_FUNCTIONS[fn]}({self.text(first)})", _ATOM

    def _extreme(self, fn: Fn, args: tuple[Expr, ...]) -> str:
        """Write ``min`` or ``max`` as clamps of a tensor, which take numbers and tensors alike."""
        bound = "max" if fn is Fn.MIN else "min"
        tensors = [arg for arg in args if not _is_number(arg)]
        numbers = [arg for arg in args if _is_number(arg)]
        text = self.text(tensors[0])
        for arg in [*tensors[1:], *numbers]:
            text = f"torch.clamp({text}, {bound}={self.text(arg)})"
        return text

    def _float(self, expr: Expr, level: int) -> str:
        if expr.type is Type.FLOAT or _is_number(expr):
            return self.text(expr, level)
        return f"{self.text(expr, _ATOM)}.to(torch.get_default_dtype())"


def _to_int(text: str) -> str:
    """Convert as ``int`` does: toward zero, saturating, 0 for NaN."""
    largest = float(LARGEST_INT)
    finite = f"torch.nan_to_num({text}, 0.0, {largest}, {-largest})"
    return f"{finite}.clamp({-largest}, {largest}).to(torch.int64)"


def _literal(expr: BoolConst | IntConst | FloatConst | Size) -> tuple[str, int]:
    match expr:
        case Size(which):
            return which.value, _ATOM
        case BoolConst(value) | IntConst(value) | FloatConst(value):
            return repr(value), (_UNARY if math.copysign(1, value) < 0 else _ATOM)


def _number(expr: Expr) -> str:
    """Write a term of constants and sizes as Python; it runs once, when tensors are bound."""
    match expr:
        case BoolConst() | IntConst() | FloatConst() | Size():
            text, level = _literal(expr)
            return text if level == _ATOM else f"({text})"
        case Arith(op, left, right):
            return _number_arith(op, _number(left), _number(right), expr.type)
        case Call(fn, args):
            return _number_call(fn, [_number(arg) for arg in args], args[0].type)
        case Compare(op, left, right):
            return f"({_number(left)} {op.value} {_number(right)})"
        case Not(arg):
            return f"(not {_number(arg)})"
        case And(args):
            return f"({' and '.join(map(_number, args))})"
        case Or(args):
            return f"({' or '.join(map(_number, args))})"
        case Where(cond, then, other):
            return f"({_number(then)} if {_number(cond)} else {_number(other)})"
        case _:
            raise AssertionError(f"{type(expr).__name__} is not made of sizes")


def _number_arith(op: ArithOp, left: str, right: str, kind: Type) -> str:
    match op:
        case ArithOp.FLOORDIV | ArithOp.MOD if kind is Type.INT:
            return f"({left} {op.value} ({right} or 1))"
        case ArithOp.ADD | ArithOp.SUB | ArithOp.MUL:
            return f"({left} {op.value} {right})"
        case ArithOp.FLOORDIV:
            return f"torch.floor({_double(left)} / {right}).item()"
        case ArithOp.POW if kind is Type.INT:
            return f"({left} ** {right})"
        case _:
            return f"({_double(left)} {op.value} {right}).item()"


def _number_call(fn: Fn, args: list[str], kind: Type) -> str:
    first = args[0]
    match fn:
        case Fn.NEG:
            return f"(-{first})"
        case Fn.ABS | Fn.MIN | Fn.MAX | Fn.BOOL | Fn.FLOAT:
            return f"{fn.value}({', '.join(args)})"
        case Fn.CLAMP:
            return f"min(max({first}, {args[1]}), {args[2]})"
        case Fn.INT | Fn.FLOOR | Fn.CEIL | Fn.ROUND if kind is not Type.FLOAT:
            return f"int({first})"
        case Fn.INT:
            return f"{_to_int(_double(first))}.item()"
        case Fn.FLOOR | Fn.CEIL | Fn.ROUND:
            return f"{_to_int(f'torch.{TORCH_FUNCTIONS[fn]}({_double(first)})')}.item()"
        case _:
            return f"torch.{TORCH_FUNCTIONS[fn]}({_double(first)}).item()"


def _double(text: str) -> str:
    return f"torch.tensor(float({text}), dtype=torch.float64)"
