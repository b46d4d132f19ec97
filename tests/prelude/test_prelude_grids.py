"""Masks of grids of tokens, against rules written by hand."""

from itertools import product

import pytest
import torch
from by_hand import Mask

from maskc.integrations.inputs import tile_order
from maskc.program import compile_mask

Cell = tuple[int, ...]


def cells(*sizes: int) -> list[Cell]:
    """Return the coordinates of every token of a grid, row by row."""
    return list(product(*map(range, sizes)))


def neighbours(own: int, size: int, n: int, dilation: int = 1, stride: int = 1) -> list[int]:
    """Return the keys of a query along one axis (NATTEN, arXiv:2504.16922), written as a list.

    The axis falls into ``dilation`` interleaved groups. In the query's group the window of ``n``
    lies around the middle token of its run of ``stride`` queries, moved inwards at an edge.
    """
    group = list(range(own % dilation, size, dilation))
    run_start = group.index(own) // stride * stride
    leader = min(run_start + stride // 2, len(group) - 1)
    first = leader - n // 2
    first = max(0, min(first, len(group) - n))
    return group[first : first + n]


def past(own: int, size: int, n: int, dilation: int = 1, stride: int = 1) -> list[int]:
    """Return the keys of a causal query: its run's window ends at the run, its own at itself."""
    group = list(range(own % dilation, size, dilation))
    place = group.index(own)
    run_end = min(place // stride * stride + stride, len(group))
    return group[max(0, run_end - n) : place + 1]


def swin_region(cell: Cell, sizes: Cell, n: int, shift: int) -> list[tuple[int, int]]:
    """Return window and region of a token once the image is rolled (Swin, figure 4)."""
    labels = []
    for x, size in zip(cell, sizes, strict=True):
        rolled = (x - shift) % size
        region = 0 if rolled < size - n else (1 if rolled < size - shift else 2)
        labels.append((rolled // n, region))
    return labels


def natten(sizes: Cell, n: Cell, dilation: Cell, stride: Cell) -> object:
    tokens = cells(*sizes)

    def rule(batch: int, head: int, q: int, k: int) -> bool:
        return all(
            tokens[k][a] in neighbours(tokens[q][a], sizes[a], n[a], dilation[a], stride[a])
            for a in range(len(sizes))
        )

    return rule


G2 = cells(5, 7)
SWIN = cells(6, 9)
TILES = cells(4, 9)
VIDEO = cells(3, 4, 5)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(
            Mask("axis x = 23; natten(x, 5)", natten((23,), (5,), (1,), (1,))), id="NATTEN 1-D"
        ),
        pytest.param(
            Mask("axis x = 23; natten(x, 4)", natten((23,), (4,), (1,), (1,))),
            id="NATTEN of an even size",
        ),
        pytest.param(
            Mask("axis x = 23; natten(x, 5, stride = 3)", natten((23,), (5,), (1,), (3,))),
            id="NATTEN with stride",
        ),
        pytest.param(
            Mask("axis x = 23; natten(x, 3, 4)", natten((23,), (3,), (4,), (1,))),
            id="NATTEN with dilation",
        ),
        pytest.param(
            Mask("axis x = 23; natten(x, 4, 2, 4)", natten((23,), (4,), (2,), (4,))),
            id="NATTEN with dilation and stride",
        ),
        pytest.param(
            Mask(
                "axis h = 5, w = 7; natten(h, 3) & natten(w, 5)",
                natten((5, 7), (3, 5), (1, 1), (1, 1)),
                q_len=35,
            ),
            id="NATTEN 2-D",
        ),
        pytest.param(
            Mask(
                "axis t = 3, h = 4, w = 7\nnatten(t, 2) & natten(h, 3, 1, 2) & natten(w, 3, 2)",
                natten((3, 4, 7), (2, 3, 3), (1, 1, 2), (1, 2, 1)),
                q_len=84,
            ),
            id="NATTEN 3-D",
        ),
        pytest.param(
            Mask(
                "axis x = 23; natten_causal(x, 5)",
                lambda b, h, q, k: k in past(q, 23, 5),
            ),
            id="causal NATTEN 1-D",
        ),
        pytest.param(
            Mask(
                "axis x = 23; natten_causal(x, 4, 2, 3)",
                lambda b, h, q, k: k in past(q, 23, 4, 2, 3),
            ),
            id="causal NATTEN with dilation and stride",
        ),
        pytest.param(
            Mask(
                "axis t = 5, w = 7; natten_causal(t, 3) & natten(w, 5)",
                lambda b, h, q, k: (
                    G2[k][0] in past(G2[q][0], 5, 3) and G2[k][1] in neighbours(G2[q][1], 7, 5)
                ),
                q_len=35,
            ),
            id="NATTEN causal in time",
        ),
        pytest.param(
            Mask(
                "axis h = 4, w = 9; sliding_tile(h, 1, 2) & sliding_tile(w, 2, 3)",
                lambda b, h, q, k: (
                    TILES[q][0] // 2 == TILES[k][0] // 2
                    and TILES[k][1] // 3 in neighbours(TILES[q][1] // 3, 3, 2)
                ),
                q_len=36,
            ),
            id="sliding tiles 2-D",
        ),
        pytest.param(
            Mask(
                "axis t = 3, h = 4, w = 5; sliding_tile(t, 3, 1) & sliding_tile(h, 1, 2) "
                "& sliding_tile(w, 2, 2)",
                lambda b, h, q, k: (
                    VIDEO[q][1] // 2 == VIDEO[k][1] // 2
                    and VIDEO[k][2] // 2 in neighbours(VIDEO[q][2] // 2, 3, 2)
                ),
                q_len=60,
            ),
            id="sliding tiles 3-D",
        ),
        pytest.param(
            Mask(
                "input spatial: bool\naxis t = 3, h = 4, w = 5\n"
                "where(spatial[head], near(t, 1), same_line(h) & same_line(w))\\\n"
                "| near(t, 0) & k.t == 0",
                lambda b, h, q, k: (
                    (
                        abs(VIDEO[q][0] - VIDEO[k][0]) <= 1
                        if h == 1
                        else VIDEO[q][1:] == VIDEO[k][1:]
                    )
                    or VIDEO[q][0] == VIDEO[k][0] == 0
                ),
                {"spatial": torch.tensor([False, True])},
                q_len=60,
                heads=2,
            ),
            id="SparseVideoGen",
        ),
        pytest.param(
            Mask(
                "axis h = 5, w = 7; same_line(h) | same_line(w)",
                lambda b, h, q, k: G2[q][0] == G2[k][0] or G2[q][1] == G2[k][1],
                q_len=35,
            ),
            id="criss-cross",
        ),
        pytest.param(
            Mask("axis h = 5, w = 7; same_line(w)", lambda b, h, q, k: (q - k) % 7 == 0, q_len=35),
            id="axial",
        ),
        pytest.param(
            Mask(
                "axis h = 6, w = 9; shifted_window(h, 3) & shifted_window(w, 3)",
                lambda b, h, q, k: (
                    swin_region(SWIN[q], (6, 9), 3, 0) == swin_region(SWIN[k], (6, 9), 3, 0)
                ),
                q_len=54,
            ),
            id="Swin windows",
        ),
        pytest.param(
            Mask(
                "axis h = 6, w = 9; shifted_window(h, 3, 1) & shifted_window(w, 3, 1)",
                lambda b, h, q, k: (
                    swin_region(SWIN[q], (6, 9), 3, 1) == swin_region(SWIN[k], (6, 9), 3, 1)
                ),
                q_len=54,
            ),
            id="Swin windows, shifted",
        ),
        pytest.param(
            Mask(
                "axis h = 5, w = 7 from 2; near(h, 1) & near(w, 2) | off_grid(h)",
                lambda b, h, q, k: (
                    min(q, k) < 2
                    or max(q, k) >= 37
                    or (
                        abs(G2[q - 2][0] - G2[k - 2][0]) <= 1
                        and abs(G2[q - 2][1] - G2[k - 2][1]) <= 2
                    )
                ),
                q_len=40,
            ),
            id="a grid among other tokens",
        ),
    ],
)
def test_masks(mask: Mask) -> None:
    mask.check()


def test_sliding_tiles_fill_blocks_in_tile_order() -> None:
    text = "axis h = 8, w = 12; sliding_tile(h, 3, 2) & sliding_tile(w, 3, 2)"
    order = tile_order((8, 12), (2, 2))
    program = compile_mask(text)
    bound = program.bind(q_len=96, block_size=4, q_positions=order, kv_positions=order)
    assert (bound.tiles.full, bound.tiles.partial) == (24 * 9, 0)
    rows = program.bind(q_len=96, block_size=4)
    assert rows.tiles.partial > 0
    permuted = rows.dense_mask()[..., order, :][..., order]
    assert bound.dense_mask().equal(permuted)
