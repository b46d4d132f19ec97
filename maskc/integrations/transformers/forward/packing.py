"""Documents packed in one row: from position ids, and out of what transformers composed of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from maskc.analysis.translation import is_translation_invariant
from maskc.integrations.inputs import doc_ids_from_position_ids, positions_in_document
from maskc.integrations.transformers.forward.context import Context
from maskc.integrations.transformers.forward.derive import Derived
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import And, Compare, Expr, Index, Input, Load, Module, children, rewrite
from maskc.ir.operators import CompareOp
from maskc.ir.text import to_text
from maskc.ir.types import Ix, Type
from maskc.program import compile_mask

Q, K = Index(Ix.Q), Index(Ix.K)


@dataclass(frozen=True, slots=True)
class Packed:
    """Documents in the rows of a call.

    Attributes:
        document: the document of each token, ``[batch, tokens]``.
        position: the position of each token in its document, of the same shape.
        was_told: whether the model's own mask tells documents apart.

    """

    document: Tensor
    position: Tensor
    was_told: bool


def packed_of(context: Context, position_ids: Tensor | None) -> Packed | None:
    """Return the documents of a call; None where its rows are of one each, or have padding.

    Args:
        context: of the forward. Its own mask knows documents where the model told its mask maker.
        position_ids: what the layer was given; models of gpt-oss' kind tell only their layers.

    """
    batch, q_len, kv_len = context.sizes
    if context.was_told or q_len != kv_len:
        return None
    tables = [] if context.own is None else list(context.own.inputs.values())
    if position_ids is not None and position_ids.shape in ((1, q_len), (batch, q_len)):
        position = position_ids.expand(batch, -1)
        document = doc_ids_from_position_ids(position)
        if in_trace() or bool(document.any()):
            return Packed(document, position, bool(tables))
        return None
    if len(tables) == 1 and tables[0].shape == (batch, q_len) and bool((tables[0] >= 0).all()):
        return Packed(tables[0], positions_in_document(tables[0]), True)
    return None


def documents_as_ranges(own: Derived) -> Derived:
    """Return a mask over positions in documents as one over the row, where they are the same.

    Of ``document[q] == document[k] & f(position[q], position[k])`` the positions can go if ``f``
    only asks how far they are apart, since within a document of consecutive positions that is
    ``q - k``. Keys then lie in ranges, which costs far less than two tables of positions.
    """
    packed = _packed(own.text)
    if packed is None:
        return own
    document, position, text = packed
    ids, places = own.inputs[document], own.inputs[position]
    if ids.dim() != 2 or ids.shape != places.shape or not _consecutive(ids, places):
        return own
    return Derived(text, {document: ids})


def _consecutive(ids: Tensor, places: Tensor) -> bool:
    """Tell whether ids ascend, and places count on within each of them."""
    step = ids.diff(dim=-1)
    counts_on = (places.diff(dim=-1) == 1) | (step != 0)
    return bool((step >= 0).all()) and bool(counts_on.all())


@lru_cache(maxsize=256)
def _packed(text: str) -> tuple[str, str, str] | None:
    """Return the names of documents and positions, and the program without positions."""
    program = compile_mask(text)
    mask = program.module.mask
    clauses = mask.args if isinstance(mask, And) else (mask,)
    names = {load.name for load in (_same(clause) for clause in clauses) if load is not None}
    others = {source.name for source in program.inputs} - names
    if len(names) != 1 or len(others) != 1:
        return None
    (document,), (position,) = names, others

    def without(expr: Expr) -> Expr | None:
        match expr:
            case Load(Input(name), (Index(Ix.BATCH), Index(Ix.Q | Ix.K) as at)) if name == position:
                return at
            case _:
                return None

    rest = [clause for clause in clauses if _same(clause) is None]
    moved = [rewrite(clause, without) for clause in rest]
    if not is_translation_invariant(*moved) or any(_reads_index(clause) for clause in rest):
        return None
    kept = [clause for clause in clauses if _same(clause) is not None]
    module = program.module
    result = compile_mask(to_text(Module(And((*kept, *moved)), module.score, module.out)))
    if {source.name for source in result.inputs} != {document}:
        return None
    return document, position, result.text


def _same(clause: Expr) -> Input | None:
    """Return the input of ``document[batch, q] == document[batch, k]``."""
    match clause:
        case Compare(CompareOp.EQ, Load(first, (_, at)), Load(second, (_, other))):
            is_pair = {at, other} == {Q, K} and first == second and first.type is Type.INT
            return first if is_pair else None
        case _:
            return None


def _reads_index(clause: Expr) -> bool:
    """Tell whether a clause asks for q or k besides as the subscript of a table."""
    if isinstance(clause, Load):
        return False
    return clause in (Q, K) or any(_reads_index(kid) for kid in children(clause))
