"""Full tiles that are called partial are few, were full, and save what they are given up for."""

from __future__ import annotations

import pytest
import torch
from literature import LITERATURE, Draw, Mask
from row_programs import domain_of, row_mask

import maskc
from maskc.analysis.tables import strays
from maskc.analysis.tables.strays import without_strays
from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.runs import Runs, spelled_out
from maskc.analysis.tiles.tile_map import TileMap


def tiles_of(mask: Mask) -> TileMap:
    draw = Draw(200, 230, 2, 2)
    domain = domain_of(200, 230, 2, 2, **mask.inputs(draw))
    return tile_map(row_mask(mask.text, domain), domain, (8, 8))


def blocks_of(runs: Runs) -> set[tuple[int, int]]:
    row, column = spelled_out(runs)
    return set(zip(row.tolist(), column.tolist(), strict=True))


def check_strays(mask: Mask) -> int:
    """Return how many tiles are strays."""
    before = tiles_of(mask)
    after = without_strays(before)
    full, partial = blocks_of(after.full), blocks_of(after.partial)
    assert full <= blocks_of(before.full)
    assert not full & partial
    assert full | partial == blocks_of(before.full) | blocks_of(before.partial)
    return len(blocks_of(before.full) - full)


@pytest.fixture
def _any_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strays, "WORTH", 0)
    monkeypatch.setattr(strays, "RARE", 1)


@pytest.mark.usefixtures("_any_table")
def test_the_tiles_stay_the_same() -> None:
    assert sum(check_strays(mask) > 0 for mask in LITERATURE) >= 3


@pytest.mark.usefixtures("_any_table")
def test_a_lost_tile_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strays, "_joined", lambda one, other: one)
    with pytest.raises(AssertionError):
        test_the_tiles_stay_the_same()


def test_small_tables_are_left_alone() -> None:
    for mask in LITERATURE[::5]:
        before = tiles_of(mask)
        assert without_strays(before) is before


def test_one_long_document_beside_short_ones_has_small_tables() -> None:
    tokens, block = 2**16, 16
    long = tokens * 3 // 4
    doc = torch.cat([torch.zeros(long), torch.arange(tokens - long) // 64 + 1]).long()
    program = maskc.compile_mask("causal & same_doc")
    bound = program.bind(q_len=tokens, doc=doc, block_size=block, compact=True)
    stored = {x.untyped_storage().data_ptr(): x for x in bound.block_mask.as_tuple()[2:10]}
    assert sum(x.untyped_storage().nbytes() for x in stored.values()) < 2**20
    full = bound.block_mask.full_kv_num_blocks[0, 0]
    assert torch.equal(full[: long // block], torch.arange(long // block, dtype=torch.int32))
    assert not full[long // block :].any()
    assert int(bound.block_mask.kv_num_blocks.max()) == 64 // block
