"""Long rows that run on over those below them hold what they held, in little memory."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples, find_fault
from row_programs import domain_of, row_mask

from maskc.analysis.tables import run_on as rows_below
from maskc.analysis.tables.block_tables import block_tables
from maskc.analysis.tables.indices import counts
from maskc.analysis.tables.run_on import run_on
from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.matrices import of_matrix
from maskc.analysis.tiles.runs import Array, spelled_out

LONG = [1, 1, 1, 1, 2, 2, 0]
"""What the blocks of a long row are, mostly partial."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[Array, tuple[int, int]]:
    """Draw 0 for empty, 1 for partial and 2 for full blocks: few long rows and many short ones."""
    groups, rows, columns = (draw(st.integers(*ends)) for ends in ((1, 2), (3, 12), (3, 12)))
    blocks = np.zeros((groups * rows, columns), np.int8)
    for row in blocks:
        if draw(st.integers(0, 5)) == 0:
            row[:] = draw(st.lists(st.sampled_from(LONG), min_size=columns, max_size=columns))
        else:
            for column in draw(st.lists(st.integers(0, columns - 1), max_size=2)):
                row[column] = 1
    return blocks, (rows, columns)


def holds_what_it_held(drawn: tuple[Array, tuple[int, int]]) -> bool:
    blocks, (rows, columns) = drawn
    partial, full = (of_matrix(blocks == kind) for kind in (1, 2))
    with patch.object(rows_below, "WORTH", 0):
        found = run_on(partial, full, counts(partial, len(blocks)), (rows, columns))
    event(f"runs on: {found is not None}")
    if found is None:
        return True
    left = np.zeros(blocks.shape, np.bool_)
    left[spelled_out(found.full)] = True
    for line, own in enumerate(blocks):
        begin = line % rows * found.step
        listed = found.memory[line // rows, begin : begin + found.count[line]].tolist()
        if len(set(listed)) < len(listed):
            return False
        whole = {*listed, *np.flatnonzero(left[line]).tolist()}
        if whole != {*np.flatnonzero(own).tolist()} or not {*np.flatnonzero(own == 1)} <= {*listed}:
            return False
        if len(whole) != len(listed) + left[line].sum() or (own[left[line]] != 2).any():
            return False
    return True


@settings(max_examples=examples(300))
@given(tables())
def test_rows_hold_what_they_held(drawn: tuple[Array, tuple[int, int]]) -> None:
    assert holds_what_it_held(drawn)


@pytest.mark.planted
@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [
        (rows_below, "_may_stand", lambda columns, may_hold, taken: bool(may_hold[columns].all())),
        (rows_below, "_may_stand", lambda columns, may_hold, taken: not taken[columns].any()),
        (rows_below._Table, "_left_full", lambda table, sequences: table.full),
    ],
)
def test_a_fault_is_seen(
    place: object, name: str, fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, fault)

    def is_seen(drawn: tuple[Array, tuple[int, int]]) -> bool:
        try:
            return not holds_what_it_held(drawn)
        except ValueError:  # of numpy: more columns than places
            return True

    find_fault(tables(), is_seen)


@pytest.mark.parametrize(
    ("text", "batch"), [("causal & (sinks(4) | window(64))", 1), ("causal | prefix", 2)]
)
def test_one_long_column_does_not_make_a_table_wide(
    text: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_below, "WORTH", 2**16)
    length, block = 16384, 16
    prefix = {"prefix_len": torch.tensor([length // 8, length // 3])} if batch > 1 else {}
    domain = domain_of(length, length, batch, **prefix)
    found = tile_map(row_mask(text, domain), domain, (block, block))
    written, plain = block_tables(found, compact=True), block_tables(found)
    assert written.q_num_blocks is not None
    assert written.q_indices is not None
    assert plain.q_num_blocks is not None
    longest = int(plain.q_num_blocks.max())
    narrow = batch * longest * (length // block) * 4
    assert written.q_indices.untyped_storage().nbytes() < narrow / 3
    kinds = zip(written[4::2], written[5::2], plain[4::2], strict=True)
    counted = [(int(count.sum()), int(before.sum())) for count, _, before in kinds]
    assert sum(now for now, _ in counted) == sum(before for _, before in counted)
    assert counted[0][0] <= counted[0][1] * 1.1
