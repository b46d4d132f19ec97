"""Tiles of keys that stand in another order by whole blocks are those of the mask itself."""

from unittest import mock

import pytest
import torch
from torch import Tensor

from maskc import Bound, compile_mask
from maskc.blocks import moved_keys

MOVED = torch.tensor([4, 5, 0, 1, 6, 7, 2, 3])
MASKS = ["causal", "window(3) | k < 2", "(q - k) % 3 == 0", "k + kv_idx < q + 6"]


def bound_to(text: str, positions: Tensor, block: int = 2) -> Bound:
    return compile_mask(text).bind(q_len=8, kv_positions=positions, block_size=block)


def blocks_of(bound: Bound, block: int = 2) -> Tensor:
    return bound.dense_mask()[0, 0].unflatten(1, (-1, block)).unflatten(0, (-1, block))


@pytest.mark.parametrize("positions", [MOVED, MOVED[[1, 0, 2, 3, 4, 5, 6, 7]], MOVED + 2])
@pytest.mark.parametrize("text", MASKS)
def test_tiles_are_those_of_the_mask(text: str, positions: Tensor) -> None:
    bound = bound_to(text, positions)
    tiles = blocks_of(bound)
    assert torch.equal(bound.block_mask.to_dense()[0, 0].bool(), tiles.any(3).any(1))
    full = int(tiles.all(3).all(1).sum())
    assert bound.tiles.full == full


@pytest.mark.parametrize(
    ("text", "positions", "block", "applies"),
    [
        ("causal", MOVED, 2, True),
        ("causal", MOVED, (4, 1), True),
        ("causal", MOVED, 4, False),
        ("causal", MOVED + 2, 2, False),
        ("causal & kv_idx > 2", MOVED, 2, False),
    ],
)
def test_only_whole_blocks_of_the_sequence_move(
    text: str, positions: Tensor, block: int, applies: bool
) -> None:
    with mock.patch.object(moved_keys, "_relabeled", wraps=moved_keys._relabeled) as moved:
        assert bound_to(text, positions, block).tiles
    assert bool(moved.call_count) == applies


def test_offsets_by_batch_are_no_positions() -> None:
    """A mask that reads no key has neither, and an offset a batch is one number for all keys."""
    given = {"kv_offset": torch.tensor([3]), "block_size": 4}
    bound = compile_mask("input t: bool; t[q]").bind(q_len=8, t=MOVED > 3, **given)
    assert torch.equal(bound.block_mask.to_dense()[0, 0], torch.tensor([[1, 1], [1, 1]]))


@pytest.mark.planted
def test_a_mask_that_reads_the_keys_rows_is_left_alone() -> None:
    with mock.patch.object(moved_keys, "_reads_positions_alone", return_value=True):
        bound = bound_to("k + kv_idx < q + 6", MOVED)
        tiles = blocks_of(bound).any(3).any(1)
        assert not torch.equal(bound.block_mask.to_dense()[0, 0].bool(), tiles)
