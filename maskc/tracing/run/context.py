"""What the symbols of one run share: the captured tensors, the sizes, and who translates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from maskc.ir.nodes import Expr, Index, Input, IntConst, Load
from maskc.ir.types import Type
from maskc.limits import EXACT_FLOAT, MAX_INT
from maskc.tracing.callables.captured import Captured
from maskc.tracing.operations.dtypes import type_of
from maskc.tracing.run.steps import Row, Table
from maskc.tracing.run.views import selected

Dispatch = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Any]
"""Gives the result of an aten operation, from its arguments and keywords."""

LARGEST = {torch.int32: MAX_INT, torch.float32: EXACT_FLOAT}
"""The largest ints that dtypes hold, of those that hold few."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the symbols of one run share.

    Attributes:
        captured: the tensors that the callable holds; those of a table join them.
        device: of the tensors that the callable holds.
        sizes: of the call, as far as they are known: ``batch_size``, ``num_heads``, ``q_len`` and
            ``kv_len``.
        is_mask: whether a mask is traced; scores may round.
        dispatch: translates what torch is asked to do with symbols. It makes symbols itself, so
            that they are given it here instead of knowing it.
        tables: what stands for operations without a translation.
        limits: ints that torch holds in few bits, and the largest absolute value that fits.

    """

    captured: Captured
    device: torch.device
    sizes: Mapping[str, int]
    is_mask: bool
    dispatch: Dispatch
    tables: list[Table] = field(default_factory=list)
    limits: dict[Expr, int] = field(default_factory=dict)

    def row_of(self, tensor: Tensor) -> Row:
        """Return a tensor with data as a part of the captured tensor that it is a view of."""
        base = self.captured.base(tensor)
        at = None if base is None else selected(tensor, base)
        if base is None or at is None:
            return Row(tensor, (None,) * tensor.dim())
        return Row(base, tuple(None if index is None else IntConst(index) for index in at))

    def load(self, row: Row) -> Load:
        """Return the element that a row without whole dimensions is."""
        indices = tuple(index for index in row.at if index is not None)
        return Load(Input(self.name_of(row.base), type_of(row.base.dtype)), indices)

    def name_of(self, tensor: Tensor) -> str:
        """Return the name of the input that a tensor is."""
        return self.captured.name(tensor)

    def limit(self, terms: Iterable[Expr], dtype: torch.dtype) -> None:
        """Note ints that torch computes in ``dtype``, where larger ones wrap or are rounded.

        A program's ints do neither; binding sees from the values whether that is the same.
        """
        if dtype not in LARGEST:
            return
        most = LARGEST[dtype]
        for term in terms:
            if term.type is Type.INT and not isinstance(term, Index):
                self.limits[term] = min(most, self.limits.get(term, most))

    def add_table(self, table: Table) -> None:
        """Take a table in the place of what has no translation."""
        self.captured.add(table.empty, table.name)
        self.tables.append(table)
