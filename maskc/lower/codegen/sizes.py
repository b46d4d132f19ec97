"""Terms of constants and sizes to Python numbers, worked out once when tensors are bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    FloatConst,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    Value,
    Where,
    children,
    walk,
)
from maskc.ir.operators import ArithOp, Fn, Gives
from maskc.ir.types import Type
from maskc.limits import MAX_INT, MAX_ROUNDED

WIDTH = 84
"""Characters of a term, above which it is written in several lines."""


def is_number(expr: Expr) -> bool:
    """Tell whether a term is a Python number: made of constants and sizes alone."""
    return not any(isinstance(term, Index | Load | Value) for term in walk(expr))


def literal(expr: BoolConst | IntConst | FloatConst | Size) -> str:
    """Return the text of a number that stands alone."""
    return expr.which.value if isinstance(expr, Size) else repr(expr.value)


def is_negative(expr: BoolConst | IntConst | FloatConst | Size) -> bool:
    """Tell whether the text of a number begins with a minus."""
    return not isinstance(expr, Size) and math.copysign(1, expr.value) < 0


def binary_places(expr: Expr) -> int | None:
    """Return n for the constant ``2 ** n``, as far as 32 bits hold it; None for any other term.

    ``x // 2 ** n`` is then ``x >> n`` and ``x % 2 ** n`` is ``x & 2 ** n - 1``, for negative ``x``
    too. Compiled on CPU that is much faster than a division (a neighbourhood of 7 x 7 on a grid of
    64 x 64: 1.6 times).
    """
    if not isinstance(expr, IntConst) or not 0 < expr.value <= MAX_INT:
        return None
    places = expr.value.bit_length() - 1
    return places if expr.value == 2**places else None


def bare(text: str) -> str:
    """Return a text without parentheses around the whole of it."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for index, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return text[1:-1] if index == len(text) - 1 else text
    return text


def rounded(text: str) -> tuple[str, str]:
    """Return how a float becomes an int: toward zero, saturating, 0 for NaN.

    The first text is a step of its own, the second is what is called on its result.
    """
    largest = float(MAX_ROUNDED)
    limits = f"{-largest}, {largest}"
    finite = f"torch.nan_to_num({text}, 0.0, {largest}, {-largest})"
    return finite, f".clamp({limits}).to(torch.int64)"


@dataclass(slots=True)
class Numbers:
    """Writes numbers; ``lines`` are the steps so far."""

    lines: list[str] = field(default_factory=list)
    _names: dict[Expr, str] = field(default_factory=dict)

    def name(self, expr: Expr) -> str:
        """Return the name of a number, or its text if it is a literal."""
        return self._named(expr) if children(expr) else self._text(expr)

    def _named(self, expr: Expr) -> str:
        if expr not in self._names:
            self._names[expr] = self._line(self._text(expr))
        return self._names[expr]

    def _line(self, text: str) -> str:
        name = f"n{len(self.lines)}"
        self.lines.append(f"{name} = {bare(text)}")
        return name

    def _text(self, expr: Expr) -> str:
        """Return a number as text that binds as an atom does; a long one uses names."""
        if expr in self._names:
            return self._names[expr]
        kids = () if isinstance(expr, And | Or) else children(expr)
        if sum(len(self._text(kid)) for kid in kids) > WIDTH // 2:
            for kid in kids:
                self.name(kid)
        return self._write(expr)

    def _write(self, expr: Expr) -> str:
        match expr:
            case BoolConst() | IntConst() | FloatConst() | Size():
                return f"({literal(expr)})" if is_negative(expr) else literal(expr)
            case Arith(op, left, right):
                return self._arith(op, self._text(left), self._text(right), expr.type)
            case Call(fn, args):
                return self._call(fn, args, expr.type)
            case Compare(op, left, right):
                return f"({self._text(left)} {op.symbol} {self._text(right)})"
            case Not(arg):
                return f"(not {self._text(arg)})"
            case And(args):
                return self._joined("and", args)
            case Or(args):
                return self._joined("or", args)
            case Where(cond, then, other):
                return f"({self._text(then)} if {self._text(cond)} else {self._text(other)})"
            case _:
                raise AssertionError(f"{type(expr).__name__} is not made of sizes")

    def _joined(self, word: str, args: tuple[Expr, ...]) -> str:
        text = ""
        for arg in args:
            part = self._text(arg)
            if text and len(text) + len(part) + 5 > WIDTH:
                text = self._line(text)
            text = f"{text} {word} {part}" if text else part
        return f"({text})"

    def _arith(self, op: ArithOp, left: str, right: str, kind: Type) -> str:
        match op:
            case ArithOp.FLOORDIV | ArithOp.MOD if kind is Type.INT:
                return f"({left} {op.symbol} ({right} or 1))"
            case ArithOp.ADD | ArithOp.SUB | ArithOp.MUL:
                return f"({left} {op.symbol} {right})"
            case ArithOp.FLOORDIV:
                return f"torch.floor({self._double(left)} / {right}).item()"
            case ArithOp.POW if kind is Type.INT:
                return f"({power(left, right)})"
            case ArithOp.POW:
                return f"({power(self._double(left), right)}).item()"
            case _:
                return f"({self._double(left)} {op.symbol} {right}).item()"

    def _call(self, fn: Fn, args: tuple[Expr, ...], gives: Type) -> str:
        texts = [self._text(arg) for arg in args]
        entry = fn.value
        if entry.number is not None:
            return entry.number.format(*texts, args=", ".join(map(bare, texts)))
        if entry.gives is Gives.ROUNDED and args[0].type is not Type.FLOAT:
            return f"int({bare(texts[0])})"
        assert entry.tensor is not None, f"`{entry.name}` has no meaning on tensors"
        tensors = [
            self._double(text) if Type.FLOAT in (arg.type, gives) else self._whole(text)
            for text, arg in zip(texts, args, strict=True)
        ]
        text = entry.tensor.format(*tensors)
        return self._int(text) if entry.gives is Gives.ROUNDED else f"{text}.item()"

    def _int(self, text: str) -> str:
        finite, end = rounded(self._short(text))
        return f"{self._line(finite)}{end}.item()"

    def _double(self, text: str) -> str:
        short = self._short(bare(text))
        return f"torch.tensor(float({short}), dtype=torch.float64)"

    def _whole(self, text: str) -> str:
        return f"torch.tensor({self._short(bare(text))})"

    def _short(self, text: str) -> str:
        return text if len(text) <= WIDTH // 4 else self._line(text)


def power(base: str, exponent: str) -> str:
    """Return a power, written close where both sides are plain, as formatters have it."""
    plain = _is_plain(base) and _is_plain(exponent)
    return f"{base}**{exponent}" if plain else f"{base} ** {exponent}"


def _is_plain(text: str) -> bool:
    """Tell whether a text is a name or a number."""
    word = text.removeprefix("-").replace(".", "")
    return word.isidentifier() or word.isdecimal()
