"""Row programs to analyse: from text, or from a case that hypothesis drew."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from environments import Case

from maskc.elaborate.module import elaborate
from maskc.ir.nodes import Expr, Load, inputs, walk
from maskc.ir.rows import Layout, Position, Shape, side_name, to_rows
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain, everywhere, vectorize
from maskc.source import Source
from maskc.syntax.parse import parse


def domain_of(
    q_len: int, kv_len: int, batch: int = 1, heads: int = 1, **tensors: torch.Tensor
) -> Domain:
    """Return the domain of one call with as many kv heads as heads."""
    sizes = {
        Sz.BATCH_SIZE: batch,
        Sz.NUM_HEADS: heads,
        Sz.NUM_KV_HEADS: heads,
        Sz.Q_LEN: q_len,
        Sz.KV_LEN: kv_len,
    }
    return Domain(sizes, tensors, torch.device("cpu"))


def mask_of(text: str) -> Expr:
    """Return the mask of a program, not yet over rows."""
    tree, errors = parse(Source(text, "test"))
    module, more = elaborate(tree, {})
    assert not [*errors, *more]
    return module.module.mask


def row_mask(text: str, domain: Domain) -> Expr:
    """Return the mask of a program as a row program over ``domain``; rows are positions."""
    mask = mask_of(text)
    ranks = {source.name: source for source in inputs(mask)}
    shapes = {
        name: Shape(False, tuple(size == 1 for size in domain.tensors[name].shape))
        for name in ranks
    }
    return to_rows(mask, Layout(shapes=shapes))


def rows_of_case(mask: Expr, case: Case) -> tuple[Expr, Domain]:
    """Return a drawn mask over the rows of a drawn case."""
    tensors: dict[str, torch.Tensor] = {}
    shapes: dict[str, Shape | tuple[Shape, Shape]] = {}
    ranks = _ranks(mask)
    for name, bound in case.inputs.items():
        if isinstance(bound, tuple):
            tensors |= {side_name(name, side): t for side, t in zip("qk", bound, strict=True)}
            shapes[name] = (_shape(bound[0], ranks[name]), _shape(bound[1], ranks[name]))
        else:
            tensors[name] = bound
            shapes[name] = _shape(bound, ranks[name])
    positions = {"q_positions": case.q_positions, "kv_positions": case.kv_positions}
    tensors |= {name: table for name, table in positions.items() if table is not None}
    layout = Layout(
        q=_position(case.q_positions),
        k=_position(case.kv_positions),
        group=case.num_heads // case.num_kv_heads,
        shapes=shapes,
    )
    sizes = {which: getattr(case, which.value) for which in Sz}
    return to_rows(mask, layout), Domain(sizes, tensors, torch.device("cpu"))


def dense(mask: Expr, domain: Domain, batch: int, heads: int) -> torch.Tensor:
    """Return the mask at every point, ``[batch, heads, Q, K]``."""
    q_len, kv_len = domain.sizes[Sz.Q_LEN], domain.sizes[Sz.KV_LEN]
    return vectorize(mask, everywhere(domain), domain).expand(batch, heads, q_len, kv_len)


def _ranks(mask: Expr) -> Mapping[str, int]:
    return {term.input.name: len(term.indices) for term in walk(mask) if isinstance(term, Load)}


def _shape(bound: torch.Tensor, rank: int) -> Shape:
    return Shape(bound.dim() > rank, tuple(size == 1 for size in bound.shape))


def _position(table: torch.Tensor | None) -> Position:
    if table is None:
        return Position.ROW
    return Position.BATCH_TABLE if table.dim() == 2 else Position.TABLE
