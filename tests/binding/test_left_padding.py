"""Logical positions below 0: a batch padded on the left, whose first real tokens are at 0.

What a program says of such a batch is what it says of each sequence alone.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from torch import Tensor

import maskc

H, S, D = 2, 12, 8
PAD = torch.tensor([5, 0, 2])
ROWS = torch.arange(S)

TEXTS = [
    "causal & k >= 0",
    "causal & window(4) & k >= 0",
    "causal & chunked(4) & k >= 0",
    "causal & (q - k) % 3 == 0 & k >= 0",
    "q // 4 % 2 == k // 4 % 2 & q >= 0 & k >= 0",
    "causal & k >= 0 & (sinks(2) | window(3))",
    "q >= 0 & k >= 0 & causal & same_doc",
    "k >= 0 & q >= 0 & same_doc & topk(float(k), 4, where = causal & k >= 0 & q >= 0)",
    "axis h = 3, w = 4; q.h == k.h & k.w <= q.w & k.h >= 0",
    "causal & k >= 0; score = softcap(score + alibi, 20)",
    "causal & k >= 0; input t: float; score = score + t[min(q - k, 3)]",
    "causal & k >= 0; input t: float; score = score + t[q // 2]",
]


def inputs_of(program: maskc.Program) -> dict[str, Any]:
    known = {"doc": ROWS // 5, "slopes": torch.tensor([0.5, 0.25]), "t": torch.linspace(-1, 1, S)}
    return {one.name: known[one.name] for one in program.inputs}


def given_as(form: str) -> dict[str, Any]:
    if form == "offset":
        return {"q_offset": -PAD, "kv_offset": -PAD}
    table = ROWS - PAD[:, None]
    return {"q_positions": table, "kv_positions": table}


@pytest.mark.parametrize("form", ["offset", "positions"])
@pytest.mark.parametrize("backend", ["sdpa", "banded", "reference"])
@pytest.mark.parametrize("text", TEXTS)
def test_padding_on_the_left_leaves_each_sequence_alone(text: str, backend: str, form: str) -> None:
    program = maskc.compile_mask(text)
    given = inputs_of(program)
    q, k, v = torch.randn(3, len(PAD), H, S, D)
    found = program(q, k, v, backend=backend, **given, **given_as(form))
    for batch, pad in enumerate(PAD.tolist()):
        alone = [x[batch : batch + 1, :, pad:] for x in (q, k, v)]
        expected = program(*alone, backend="reference", **given)
        torch.testing.assert_close(found[batch : batch + 1, :, pad:], expected)


@pytest.mark.parametrize("text", TEXTS)
def test_the_tiles_of_a_padded_batch_are_those_of_its_mask(text: str) -> None:
    program = maskc.compile_mask(text)
    sizes = {"q_len": S, "batch_size": len(PAD), "num_heads": H, "block_size": 1}
    bound = program.bind(**sizes, **inputs_of(program), **given_as("offset"))
    blocks, mask = bound.block_mask, bound.dense_mask()
    assert blocks is not None
    tiles = blocks.to_dense().bool()
    assert torch.equal(tiles.expand(len(PAD), H, S, S), mask.expand(len(PAD), H, S, S))


@settings(max_examples=examples(40))
@given(
    st.sampled_from(TEXTS[:6]), st.integers(-40, 5), st.integers(-40, 5), st.sampled_from([1, 4])
)
def test_masks_are_those_of_their_positions(text: str, first: int, second: int, block: int) -> None:
    """A mask of offsets is a part of the mask of the whole line of positions, shifted to 0."""
    program = maskc.compile_mask(text)
    offsets = {"q_offset": first, "kv_offset": second}
    bound = program.bind(q_len=7, kv_len=9, block_size=block, **offsets)
    by_hand = torch.tensor(
        [[_by_hand(text, first + i, second + j) for j in range(9)] for i in range(7)]
    )
    assert torch.equal(bound.dense_mask()[0, 0], by_hand)
    blocks = bound.block_mask
    if blocks is not None and block == 1:
        assert torch.equal(blocks.to_dense()[0, 0].bool(), by_hand)


def _by_hand(text: str, q: int, k: int) -> bool:
    return {
        TEXTS[0]: k <= q,
        TEXTS[1]: k <= q and q - k < 4,
        TEXTS[2]: k <= q and q // 4 == k // 4,
        TEXTS[3]: k <= q and (q - k) % 3 == 0,
        TEXTS[4]: q // 4 % 2 == k // 4 % 2 and q >= 0,
        TEXTS[5]: k <= q and (k < 2 or q - k < 3),
    }[text] and k >= 0


def test_a_table_is_refused_only_where_it_is_read_below_0() -> None:
    q, k, v = torch.randn(3, len(PAD), H, S, D)
    doc: Tensor = ROWS // 5
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.compile_mask("causal & same_doc")(q, k, v, doc=doc, **given_as("offset"))
    assert str(caught.value) == (
        "error[M417]: input `doc` starts at entry 0, and `same_doc` reads down to -5, "
        "first at batch 0, query 0, key 0\n"
        " --> <mask>:1:10\n"
        "  1 | causal & same_doc\n"
        "    |          ^^^^^^^^\n"
        "    = help: guard it by a test on its left (`q >= 0 & ...`), or shift the subscript"
    )


def test_no_proof_takes_positions_for_at_least_0() -> None:
    assert not maskc.compile_mask("causal & k >= 0").equivalent(maskc.compile_mask("causal")).equal
