"""Parts of a kernel that have one value for a whole row or column, and the names they get.

``in_doc[q_idx]`` depends on the query alone: read once as ``q_doc``, it leaves the line that
compares queries with keys short. A plain index, or a step or two from one, needs no name.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from maskc.ir.nodes import Arith, Expr, IntConst, Load, Where, children
from maskc.ir.operators import ArithOp
from maskc.ir.types import Dim, Type

TRIVIAL = 3
"""Nodes of a part without a subscript that needs no name."""

_SIDES = ((Dim.Q, "q"), (Dim.K, "kv"), (Dim.HEAD, "h"), (Dim.BATCH, "b"))
_BOTH = Dim.Q | Dim.K
_SCALED = (ArithOp.ADD, ArithOp.SUB, ArithOp.MUL)


def hoisted(root: Expr, shared: Set[Expr]) -> Set[Expr]:
    """Return the parts of ``root`` that get a line of their own.

    Args:
        root: a row expression.
        shared: its terms that have a line of their own anyway.

    """
    return set(_parts(root, shared))


def name_of(term: Expr) -> str | None:
    """Return what to call a part of one side: ``q_doc``, ``kv_block``; None for any other."""
    if not _is_one_sided(term):
        return None
    side = next(name for dim, name in _SIDES if dim & term.deps)
    what = _what(term)
    return what if what.startswith(f"{side}_") else f"{side}_{what}"


def _parts(root: Expr, shared: Set[Expr]) -> Iterator[Expr]:
    """Yield the largest parts of one side below ``root``, and all below them that have names."""
    for kid in children(root):
        if not _is_one_sided(kid):
            yield from _parts(kid, shared)
            continue
        yield from _named(kid, shared)
        if _weight(kid, shared) > TRIVIAL:
            yield kid


def _named(term: Expr, shared: Set[Expr]) -> Iterator[Expr]:
    if _has_name(term, shared) and _is_one_sided(term):
        yield term
    for kid in children(term):
        yield from _named(kid, shared)


def _is_one_sided(term: Expr) -> bool:
    return bool(term.deps) and _BOTH not in term.deps


def _has_name(term: Expr, shared: Set[Expr]) -> bool:
    return term in shared or (isinstance(term, Load) and bool(term.indices))


def _weight(term: Expr, shared: Set[Expr]) -> int:
    """Return the number of nodes, where what has a name counts as one."""
    if _has_name(term, shared):
        return 1
    return 1 + sum(_weight(kid, shared) for kid in children(term))


def _what(term: Expr) -> str:
    """Return what a part is: the input that it reads, a block of positions, a test."""
    match term:
        case Load(source, _):
            name, _, part = source.name.partition("@")
            return name if part in ("", "q", "k") else part
        case Arith(ArithOp.FLOORDIV):
            return "block"
        case Arith(ArithOp.MOD):
            return "phase"
        case Arith(op, part, IntConst()) | Arith(op, IntConst(), part) if op in _SCALED:
            return _what(part)
        case Where(_, _, IntConst(-1)):
            return "coord"
        case _:
            return "test" if term.type is Type.BOOL else "part"
