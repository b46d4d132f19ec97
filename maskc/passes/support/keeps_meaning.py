"""Whether an operator still means the same with simpler operands."""

from __future__ import annotations

from maskc.ir.nodes import Arith, Expr, IntConst, Load
from maskc.ir.operators import ArithOp
from maskc.ir.types import Dim, Type
from maskc.passes.numbers.fold_constants import fold_constants


def keeps_meaning(term: Expr, rebuilt: Expr) -> bool:
    """Tell whether new operands preserve the operator's meaning.

    ``2 ** n`` is an int only if n is an int constant when it is written; of a pair of tensors a
    subscript takes the one for q or for k by which of them it mentions; and the text of a constant
    division by zero or overflow would be refused.
    """
    match rebuilt:
        case Load():
            return sides(term) == sides(rebuilt)
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, IntConst(0)) if rebuilt.type is Type.INT:
            return rebuilt == term
        case Arith(_, IntConst(), IntConst()) if rebuilt.type is term.type is Type.INT:
            return rebuilt == term or fold_constants(rebuilt) is not None
        case _:
            return rebuilt.type is term.type


def sides(term: Expr) -> Dim:
    """Return which of q and k a term depends on."""
    return term.deps & (Dim.Q | Dim.K)
