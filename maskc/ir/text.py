"""Typed nodes back to text that parses to the same nodes."""

from __future__ import annotations

from itertools import count, pairwise
from typing import assert_never

from maskc.ir.nodes import (
    OUT,
    SCORE,
    TRUE,
    And,
    Arith,
    Axis,
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
    inputs,
    walk,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Type

_OR, _XOR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _NEGATION, _POWER, _ATOM = range(10)
"""How tightly an operator binds, loosest first, as in the grammar."""

_LEVELS = {
    ArithOp.ADD: _SUM,
    ArithOp.SUB: _SUM,
    ArithOp.MUL: _PRODUCT,
    ArithOp.DIV: _PRODUCT,
    ArithOp.FLOORDIV: _PRODUCT,
    ArithOp.MOD: _PRODUCT,
    ArithOp.POW: _POWER,
}

_CHAINED = (CompareOp.LT, CompareOp.LE)


def to_text(module: Module) -> str:
    """Return the canonical source of a module, a statement a line."""
    lines = [_axes(module), *(f"input {i.name}: {i.type.value}" for i in inputs(*module.roots))]
    if module.mask != TRUE:
        lines.append(expr_text(module.mask))
    if module.score != SCORE:
        lines.append(f"score = {expr_text(module.score)}")
    if module.out != OUT:
        lines.append(f"out = {expr_text(module.out)}")
    return "\n".join(line for line in lines if line) or "full"


def expr_text(expr: Expr) -> str:
    """Return the text of one expression."""
    return _text(expr)[0]


def _axes(module: Module) -> str:
    axes = list(dict.fromkeys(t.axis for t in walk(*module.roots) if isinstance(t, Coord)))
    if not axes:
        return ""
    axes.sort(key=lambda axis: (-axis.stride * axis.size, -axis.stride))
    taken = {axis.name for axis in axes} | {source.name for source in inputs(*module.roots)}
    declared = ", ".join(f"{name} = {size}" for name, size in _grid(axes, taken))
    start = f" from {axes[0].start}" if axes[0].start else ""
    return f"axis {declared}{start}"


def _grid(axes: list[Axis], taken: set[str]) -> list[tuple[str, int]]:
    """Return name and size of every axis of the grid; one that nothing reads gets a free name."""
    free = (name for name in map("axis{}".format, count()) if name not in taken)
    listed: list[tuple[str, int]] = []
    remaining = axes[0].count
    for axis in axes:
        if remaining > axis.stride * axis.size:
            listed.append((next(free), remaining // (axis.stride * axis.size)))
        listed.append((axis.name, axis.size))
        remaining = axis.stride
    if remaining > 1:
        listed.append((next(free), remaining))
    return listed


def _text(expr: Expr) -> tuple[str, int]:
    """Return the text and how tightly its outermost operator binds."""
    match expr:
        case BoolConst(value):
            return ("true" if value else "false"), _ATOM
        case IntConst(value):
            return str(value), (_ATOM if value >= 0 else _NEGATION)
        case FloatConst(value):
            return repr(value), (_ATOM if str(value)[0] != "-" else _NEGATION)
        case Index(which) | Value(which) | Size(which):
            return which.value, _ATOM
        case Coord(position, axis):
            return f"{_at(position, _ATOM)}.{axis.name}", _ATOM
        case Load(source, ()):
            return source.name, _ATOM
        case Load(source, indices):
            return f"{source.name}[{_list(indices)}]", _ATOM
        case Arith(ArithOp.POW, left, right):
            return f"{_at(left, _ATOM)} ** {_at(right, _NEGATION)}", _POWER
        case Arith(op, left, right):
            level = _LEVELS[op]
            return f"{_at(left, level)} {op.symbol} {_at(right, level + 1)}", level
        case Call(Fn.NEG, (arg,)):
            return _minus(arg), _NEGATION
        case Call(fn, args):
            return f"{fn.value.name}({_list(args)})", _ATOM
        case Compare(CompareOp.NE, left, right) if left.type is Type.BOOL:
            return f"{_at(left, _XOR)} ^ {_at(right, _AND)}", _XOR
        case Compare(op, left, right):
            return f"{_at(left, _SUM)} {op.symbol} {_at(right, _SUM)}", _COMPARE
        case Not(arg):
            return f"!{_at(arg, _NOT if isinstance(arg, Not) else _ATOM)}", _NOT
        case And(args):
            chains = _chains(args)
            level = _COMPARE if len(chains) == 1 else _AND
            return " & ".join(map(_conjunct, chains)), level
        case Or(args):
            return " | ".join(_at(arg, _XOR) for arg in args), _OR
        case Where(cond, then, other):
            return f"where({_list((cond, then, other))})", _ATOM
        case TopK(value, count, BoolConst(True)):
            return f"topk({expr_text(value)}, {count})", _ATOM
        case TopK(value, count, where):
            return f"topk({expr_text(value)}, {count}, where = {expr_text(where)})", _ATOM
        case _:
            assert_never(expr)


def _chains(args: tuple[Expr, ...]) -> list[tuple[Expr, ...]]:
    """Return operands of `&`, those together that are the links of a chain: ``0 <= x < n``."""
    chains = [args[:1]]
    for one, two in pairwise(args):
        match one, two:
            case Compare(first, _, middle), Compare(second, same, _) if (
                first in _CHAINED and second in _CHAINED and middle == same
            ):
                chains[-1] = (*chains[-1], two)
            case _:
                chains.append((two,))
    return chains


def _conjunct(links: tuple[Expr, ...]) -> str:
    """Return one operand, or a chain; a chain that is an operand of its own stays in brackets."""
    compared = [link for link in links if isinstance(link, Compare)]
    if len(compared) < 2:
        return _at(links[0], _NOT) if not isinstance(links[0], And) else f"({_text(links[0])[0]})"
    rest = (f"{link.op.symbol} {_at(link.right, _SUM)}" for link in compared)
    return " ".join([_at(compared[0].left, _SUM), *rest])


def _at(expr: Expr, level: int) -> str:
    """Return the text, in parentheses unless it binds at least as tightly as ``level``."""
    text, own = _text(expr)
    return text if own >= level else f"({text})"


def _minus(arg: Expr) -> str:
    """Return ``-arg``; a literal is set in parentheses, or it would take the minus for its own."""
    if isinstance(arg, IntConst | FloatConst):
        return f"-({_text(arg)[0]})"
    return f"-{_at(arg, _NEGATION)}"


def _list(parts: tuple[Expr, ...]) -> str:
    return ", ".join(expr_text(part) for part in parts)


_LONGEST = 60


def quoted(term: Expr, otherwise: Expr | None = None) -> str:
    """Return a term for a message: as it was written, cut where that is long.

    Args:
        term: the term.
        otherwise: what to print where nothing tells how it was written; the term itself if None.

    """
    if term.span is None:
        text = expr_text(term if otherwise is None else otherwise)
    else:
        text = " ".join(term.span.text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
