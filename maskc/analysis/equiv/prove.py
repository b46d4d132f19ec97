"""Proof that two programs mean the same, by z3: the extra ``prove``.

Ints are mathematical, ``//`` and ``%`` floor, an input is an unknown function of its subscripts.
Floats are opaque: ``x + y`` of floats is an unknown function of both, so that a proof never
relies on arithmetic that rounds. What z3 disproves that way may still hold; only a value that the
evaluator finds different is a counterexample.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
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
    Module,
    Not,
    Or,
    Size,
    TopK,
    Value,
    Where,
    children,
)
from maskc.ir.operators import CompareOp, Fn
from maskc.ir.text import expr_text
from maskc.ir.types import Dim, Ix, Sz, Type

TIMEOUT_MS = 2_000


class Proof(Enum):
    """What z3 says of two programs.

    ``OPEN``: they differ for some behaviour of what is opaque here, which may be no real one.
    ``UNDECIDED``: z3 gave up.
    """

    PROVED = "proved"
    OPEN = "open"
    UNDECIDED = "undecided"


def prove(first: Module, second: Module, timeout_ms: int = TIMEOUT_MS) -> Proof:
    """Tell whether two programs are proved to give the same attention.

    Masks must agree everywhere, scores where the mask holds, epilogues everywhere.

    Raises:
        ImportError: z3 is not installed.

    """
    import z3  # type: ignore[import-untyped, import-not-found, unused-ignore]

    work = _Translation(z3)
    masks = work.expr(first.mask), work.expr(second.mask)
    scores = work.as_float(first.score), work.as_float(second.score)
    outs = work.as_float(first.out), work.as_float(second.out)
    same = z3.And(
        masks[0] == masks[1],
        z3.Implies(masks[0], scores[0] == scores[1]),
        outs[0] == outs[1],
    )
    return _proof(z3, work, same, timeout_ms)


def prove_terms(first: Expr, second: Expr, timeout_ms: int = TIMEOUT_MS) -> Proof:
    """Tell whether two expressions of one type are proved to be equal everywhere."""
    import z3  # type: ignore[import-untyped, import-not-found, unused-ignore]

    work = _Translation(z3)
    return _proof(z3, work, work.expr(first) == work.expr(second), timeout_ms)


def _proof(z3: Any, work: _Translation, claim: Any, timeout_ms: int) -> Proof:
    solver = z3.Solver()
    solver.set("timeout", timeout_ms)
    solver.add(*work.known(), z3.Not(claim))
    answer = solver.check()
    if answer == z3.unsat:
        return Proof.PROVED
    return Proof.OPEN if answer == z3.sat else Proof.UNDECIDED


class _Translation:
    """Nodes to z3; equal nodes share one term."""

    def __init__(self, z3: Any) -> None:
        self._z3 = z3
        self._float = z3.DeclareSort("Float")
        self._sorts = {Type.BOOL: z3.BoolSort(), Type.INT: z3.IntSort(), Type.FLOAT: self._float}
        self._memo: dict[Expr, Any] = {}

    def known(self) -> list[Any]:
        """Return what holds in every call: the facts that ``maskc.passes.support.ranges`` uses."""
        z3 = self._z3
        index = {which: z3.Int(which.value) for which in Ix}
        size = {which: z3.Int(which.value) for which in Sz}
        return [
            *(term >= 0 for which, term in index.items() if which not in (Ix.Q, Ix.K)),
            *(term >= 1 for term in size.values()),
            index[Ix.Q_IDX] < size[Sz.Q_LEN],
            index[Ix.KV_IDX] < size[Sz.KV_LEN],
            index[Ix.BATCH] < size[Sz.BATCH_SIZE],
            index[Ix.KV_HEAD] <= index[Ix.HEAD],
            size[Sz.NUM_KV_HEADS] <= size[Sz.NUM_HEADS],
        ]

    def expr(self, expr: Expr) -> Any:
        """Return the z3 term of ``expr``."""
        if expr not in self._memo:
            self._memo[expr] = self._expr(expr)
        return self._memo[expr]

    def as_float(self, expr: Expr) -> Any:
        """Return the z3 term of a number as a float."""
        if expr.type is Type.FLOAT:
            return self.expr(expr)
        return self._opaque("float", Type.FLOAT, [expr])

    def _expr(self, expr: Expr) -> Any:
        z3 = self._z3
        match expr:
            case BoolConst(value):
                return z3.BoolVal(value)
            case IntConst(value):
                return z3.IntVal(value)
            case FloatConst(value):
                return z3.Const(f"float {value.hex()}", self._float)
            case Index(which) | Size(which):
                return z3.Int(which.value)
            case Value(which):
                return z3.Const(which.value, self._float)
            case Coord(position, axis):
                token = self.expr(position) - axis.start
                on_grid = z3.And(token >= 0, token < axis.count)
                return z3.If(on_grid, token / axis.stride % axis.size, -1)
            case Load(source, indices):
                by_key = any(Dim.K in index.deps for index in indices)
                name = f"input {source.name} {'k' if by_key else 'q'}"
                return self._opaque(name, source.type, indices)
            case Arith():
                return self._arith(expr)
            case Call(fn, args):
                return self._call(expr, fn, args)
            case Compare(op, left, right):
                return self._compare(op, left, right)
            case Not(arg):
                return z3.Not(self.expr(arg))
            case And(args):
                return z3.And(*(self.expr(arg) for arg in args))
            case Or(args):
                return z3.Or(*(self.expr(arg) for arg in args))
            case Where(cond, then, other):
                sides = [self._typed(side, expr.type) for side in (then, other)]
                return z3.If(self.expr(cond), *sides)
            case TopK():
                return z3.Bool(f"topk {expr_text(expr)}")
            case _:
                assert_never(expr)

    def _typed(self, expr: Expr, type: Type) -> Any:
        return self.as_float(expr) if type is Type.FLOAT else self.expr(expr)

    def _opaque(self, name: str, result: Type, args: Sequence[Expr]) -> Any:
        """Return an unknown function of ``args``, the same for the same name and types."""
        sorts = [self._sorts[arg.type] for arg in args]
        signature = f"{name} {' '.join(arg.type.value for arg in args)}"
        if not args:
            return self._z3.Const(signature, self._sorts[result])
        function = self._z3.Function(signature, *sorts, self._sorts[result])
        return function(*(self.expr(arg) for arg in args))

    def _arith(self, expr: Arith) -> Any:
        if expr.type is Type.FLOAT:
            return self._opaque(expr.op.symbol, Type.FLOAT, children(expr))
        meaning = expr.op.value.z3
        if meaning is None:
            return self._power(expr)
        return meaning(self._z3, self.expr(expr.left), self.expr(expr.right))

    def _power(self, expr: Arith) -> Any:
        match expr:
            case Arith(_, left, IntConst(exponent)) if 0 <= exponent <= 4:
                product = self._z3.IntVal(1)
                for _ in range(exponent):
                    product = product * self.expr(left)
                return product
            case _:
                return self._opaque("**", Type.INT, children(expr))

    def _call(self, expr: Expr, fn: Fn, args: tuple[Expr, ...]) -> Any:
        """Return the meaning that the table has for ints, or else an unknown function."""
        if fn is Fn.INT and args[0].type is Type.BOOL:
            return self._z3.If(self.expr(args[0]), 1, 0)
        meaning = fn.value.z3
        if meaning is None or {expr.type, *(arg.type for arg in args)} - {Type.INT, Type.BOOL}:
            return self._opaque(fn.value.name, expr.type, args)
        return meaning(self._z3, *map(self.expr, args))

    def _compare(self, op: CompareOp, left: Expr, right: Expr) -> Any:
        if Type.FLOAT in (left.type, right.type):
            equal = op is CompareOp.NE
            term = self._opaque("==" if equal else op.symbol, Type.BOOL, [left, right])
            return self._z3.Not(term) if equal else term
        meaning = op.value.z3
        if meaning is None:
            return self._opaque(op.symbol, Type.BOOL, [left, right])
        return meaning(self._z3, self.expr(left), self.expr(right))
