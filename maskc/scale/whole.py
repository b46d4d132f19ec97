"""A program of a whole sequence, for a rank that has a part of the rows.

A rank's ``q_idx`` and ``q_len`` are those of its rows, while the program and what is bound to it
speak of the sequence: there row i is position i, and ``q_len`` is its length. So a row's number
becomes its position, but for one place: a subscript ``q_idx`` or ``kv_idx`` of an input that is
left to the call, for that tensor is computed from the rank's own rows.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from maskc.compiled import Compiled
from maskc.ir.nodes import Expr, Index, IntConst, Load, Size, children, with_children
from maskc.ir.types import Ix, Sz

_POSITION_OF = {Ix.Q_IDX: Ix.Q, Ix.KV_IDX: Ix.K}


class LocalProgram(Compiled):
    """A program over a rank's rows; pickled as what it was made from."""

    _made_from: tuple[Compiled, int, frozenset[str]]

    def __reduce__(self) -> tuple[Any, ...]:
        return local_program, self._made_from


def local_program(program: Compiled, seq_len: int, bound: AbstractSet[str]) -> Compiled:
    """Return a program over a rank's rows: the same one if it speaks of no row.

    Args:
        program: of the whole sequence.
        seq_len: tokens of the sequence.
        bound: the names of the inputs that are of the whole sequence.

    """
    was = program.module
    module = was.map(lambda root: of_whole_sequence(root, seq_len, bound))
    if all(new is old for new, old in zip(module.roots, was.roots, strict=True)):
        return program
    local = LocalProgram(
        recipe=program.recipe,
        written=program.written,
        module=module,
        inputs=program.inputs,
        params=program.params,
        laws=program.laws,
        hidden=program.hidden,
        open_layer=program.open_layer,
    )
    vars(local)["_made_from"] = program, seq_len, frozenset(bound)
    return local


def of_whole_sequence(expr: Expr, seq_len: int, bound: AbstractSet[str]) -> Expr:
    """Return an expression that means on a rank's rows what it means on the whole sequence.

    Args:
        expr: of a program, over logical positions.
        seq_len: tokens of the sequence.
        bound: the names of the inputs that are of the whole sequence.

    """
    memo: dict[Expr, Expr] = {}

    def visit(term: Expr) -> Expr:
        if term not in memo:
            memo[term] = _replaced(term)
        return memo[term]

    def _replaced(term: Expr) -> Expr:
        match term:
            case Index(which) if which in _POSITION_OF:
                return Index(_POSITION_OF[which], span=term.span)
            case Size(Sz.Q_LEN | Sz.KV_LEN):
                return IntConst(seq_len, span=term.span)
            case Load(source, indices) if source.name not in bound:
                own = [_is_row(index) for index in indices]
                kept = zip(own, indices, strict=True)
                return with_children(term, tuple(i if row else visit(i) for row, i in kept))
            case _:
                return with_children(term, tuple(map(visit, children(term))))

    return visit(expr)


def _is_row(index: Expr) -> bool:
    return isinstance(index, Index) and index.which in _POSITION_OF
