"""A program as JavaScript: the meaning of the language once more, for a page without a server.

Every function takes ``(c, b, h, i, j, q, k)``: the call, batch and head, the rows of the query and
the key, and their logical positions. What an operator means stands in the table
(``maskc.ir.operators``), in terms of ``evaluate.js``. As in the evaluator, what is not chosen is
not evaluated. A number that the reader may change is read from the call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from maskc.errors import LoweringError
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
    Input,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    TopK,
    Value,
    Where,
    inputs,
)
from maskc.ir.operators import Fn, Gives, Operator
from maskc.ir.types import Dim, Ix, Type
from maskc.source import Span

ARGUMENTS = "c, b, h, i, j, q, k"

EXACT = 2**53
"""Ints up to this are numbers of JavaScript."""

_INDICES = {
    Ix.BATCH: "b",
    Ix.HEAD: "h",
    Ix.KV_HEAD: "Math.floor(h / Math.floor(c.num_heads / c.num_kv_heads))",
    Ix.Q: "q",
    Ix.K: "k",
    Ix.Q_IDX: "i",
    Ix.KV_IDX: "j",
}


@dataclass(frozen=True, slots=True)
class Javascript:
    """The functions of a program.

    Attributes:
        functions: text of one for each expression, in order.
        inputs: what they read, in the order in which a call lists them.

    """

    functions: tuple[str, ...]
    inputs: tuple[Input, ...]


def to_javascript(roots: Sequence[Expr], knobs: Mapping[Span | None, int]) -> Javascript:
    """Return expressions as functions.

    Args:
        roots: the expressions.
        knobs: which value of the call stands for the constant that was written at a span.

    Raises:
        LoweringError: a function has no meaning in JavaScript, or an int more than 53 bits.

    """
    read = inputs(*roots)
    writer = _Writer({source: place for place, source in enumerate(read)}, knobs)
    return Javascript(tuple(writer.function(root) for root in roots), read)


@dataclass(slots=True)
class _Writer:
    inputs: Mapping[Input, int]
    knobs: Mapping[Span | None, int]
    selections: Iterator[int] = field(default_factory=lambda: iter(range(2**31)))

    def function(self, expr: Expr) -> str:
        return f"({ARGUMENTS}, score, out, lse) => {self.text(expr)}"

    def text(self, expr: Expr) -> str:
        """Return a text that binds as tightly as any."""
        match expr:
            case BoolConst() | IntConst() | FloatConst() if expr.span in self.knobs:
                return f"c.knobs[{self.knobs[expr.span]}]"
            case BoolConst(value):
                return "true" if value else "false"
            case IntConst(value):
                return _int(value, expr.span)
            case FloatConst(value):
                return _float(value)
            case Index(which):
                return _INDICES[which]
            case Size(which):
                return f"c.{which.value}"
            case Value(which):
                return which.value
            case Coord(position, axis):
                grid = f"{axis.start}, {axis.count}, {axis.stride}, {axis.size}"
                return f"coordinate({self.text(position)}, {grid})"
            case Load():
                return self._element(expr)
            case Arith(op, left, right):
                operator, is_int = op.value, expr.type is Type.INT
                text = (is_int and operator.javascript_ints) or operator.javascript
                filled = self._operation(operator, text, left, right)
                return f"exact({filled})" if is_int else filled
            case Call(fn, args):
                return self._call(fn, args, expr)
            case Compare(op, left, right):
                return self._operation(op.value, op.value.javascript, left, right)
            case Not(arg):
                return f"!{self.text(arg)}"
            case And(args):
                return f"({' && '.join(map(self.text, args))})"
            case Or(args):
                return f"({' || '.join(map(self.text, args))})"
            case Where(cond, then, other):
                return f"({self.text(cond)} ? {self.text(then)} : {self.text(other)})"
            case TopK(value, count, where):
                ranked, allowed = self.function(value), self.function(where)
                row = f"{next(self.selections)}, {count}, {ranked}, {allowed}, b, h, i, j"
                return f"isSelected(c, {row})"
            case _:
                assert_never(expr)

    def _element(self, expr: Load) -> str:
        side = int(any(Dim.K in index.deps for index in expr.indices))
        table = f"c.inputs[{self.inputs[expr.input]}][{side}]"
        text = f"element({', '.join([table, 'b', *map(self.text, expr.indices)])})"
        return f"({text} !== 0)" if expr.type is Type.BOOL else text

    def _operation(self, operator: Operator, text: str | None, left: Expr, right: Expr) -> str:
        if text is None:
            raise _refused(f"`{operator.symbol}`", left.span)
        return text.format(self.text(left), self.text(right))

    def _call(self, fn: Fn, args: tuple[Expr, ...], expr: Expr) -> str:
        texts = [self.text(arg) for arg in args]
        if fn.value.javascript is None:
            raise _refused(f"`{fn.value.name}`", expr.span)
        match fn.value.gives:
            case Gives.ROUNDED if args[0].type is not Type.FLOAT:
                return f"Number({texts[0]})"
            case Gives.ROUNDED:
                return f"saturated({_filled(fn.value.javascript, texts)})"
            case Gives.WIDEST if expr.type is Type.INT:
                return f"exact({_filled(fn.value.javascript, texts)})"
            case _:
                return _filled(fn.value.javascript, texts)


def _filled(text: str, args: list[str]) -> str:
    return text.format(*args, args=", ".join(args))


def _int(value: int, span: Span | None) -> str:
    if abs(value) >= EXACT:
        message = f"`{value}` has more than 53 bits, and so no page can compute with it"
        raise LoweringError("M522", message, span, "draw a picture instead: `-o mask.png`")
    return str(value) if value >= 0 else f"({value})"


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "(-Infinity)"
    return f"({json.dumps(value)})"


def _refused(name: str, span: Span | None) -> LoweringError:
    message = f"{name} has no meaning in JavaScript, and so no page can evaluate it"
    return LoweringError("M522", message, span, "draw a picture instead: `-o mask.png`")
