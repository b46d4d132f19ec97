"""A small mask by the evaluator alone: a picture in the terminal that does not wait for torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maskc.compiled import Compiled
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Arith, Expr, IntConst, TopK, inputs, walk
from maskc.ir.operators import ArithOp
from maskc.ir.types import Sz

MOST_PAIRS = 2**14
"""More are evaluated faster on tensors, the import of torch included."""


def by_point(
    program: Compiled, sizes: Mapping[str, int], batch: int, head: int
) -> NDArray[np.bool_] | None:
    """Return the mask of one head, ``[Q, K]``; None where it is large, or takes tensors.

    Args:
        program: the program.
        sizes: of the call, by the names of ``bind``'s arguments.
        batch: which batch.
        head: which head.

    """
    mask = program.module.mask
    rows, columns = sizes["q_len"], sizes["kv_len"]
    takes_tensors = bool(inputs(mask)) or any(map(_is_checked, walk(mask)))
    if takes_tensors or rows * columns > MOST_PAIRS or program.empty_rows != "zero":
        return None
    program.refuse_open()
    env = Env({which: sizes[which.value] for which in Sz})
    values = [
        [bool(evaluate(mask, Point(batch, head, q, k), env)) for k in range(columns)]
        for q in range(rows)
    ]
    return np.array(values)


def _is_checked(term: Expr) -> bool:
    """Tell whether a term selects, or may divide by zero, which binding refuses."""
    match term:
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor):
            return not isinstance(divisor, IntConst)
        case _:
            return isinstance(term, TopK)
