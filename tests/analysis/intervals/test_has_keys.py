"""A mask that is known to show every row a key does."""

from typing import Any

import pytest
import torch
from environments import Case, environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import domain_of, row_mask, rows_of_case
from strategies import masks

from maskc.analysis.intervals.has_keys import has_keys
from maskc.ir.nodes import Expr


@settings(max_examples=examples(150))
@given(st.data(), masks(depth=2))
def test_no_row_is_empty(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask, positions=True, pairs=True))
    row, domain = rows_of_case(mask, case)
    known = has_keys(row, domain.sizes)
    event(f"known: {known}")
    assert not known or case.matrix(mask).any(-1).all()


DOC = {"doc": torch.tensor([0, 0, 1, 1, 1])}


@pytest.mark.parametrize(
    ("text", "lengths", "tensors", "known"),
    [
        ("full", (5, 5), {}, True),
        ("causal", (5, 2), {}, True),
        ("window(3)", (5, 5), {}, True),
        ("window(3)", (5, 4), {}, False),
        ("causal & doc[q] == doc[k]", (5, 5), DOC, True),
        ("k < q", (5, 5), {}, False),
        ("k < q | k < 1", (5, 5), {}, True),
    ],
)
def test_known(text: str, lengths: tuple[int, int], tensors: dict[str, Any], known: bool) -> None:
    domain = domain_of(*lengths, **tensors)
    declared = "input doc: int; " if tensors else ""
    assert has_keys(row_mask(declared + text, domain), domain.sizes) is known
