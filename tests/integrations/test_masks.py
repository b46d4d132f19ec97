"""Masks in the forms of other libraries: torchtitan's block masks, a dense mask for timm."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from maskc import BindError, LoweringError, compile_mask
from maskc.integrations.inputs import (
    doc_ids_from_ends,
    doc_ids_from_packed_mask,
    doc_ids_from_position_ids,
)
from maskc.integrations.masks import attn_mask, get_attention_masks

TOKENS = torch.tensor([[5, 9, 4, 4, 9, 3, 2], [9, 1, 1, 1, 1, 9, 7]])
DOCUMENTS = [[0, 0, 1, 1, 1, 2, 2], [0, 1, 1, 1, 1, 1, 2]]


def test_documents_end_with_their_last_token() -> None:
    assert doc_ids_from_ends(TOKENS, 9).tolist() == DOCUMENTS


def test_documents_begin_where_positions_do() -> None:
    positions = torch.tensor([[0, 1, 0, 1, 2, 0, 1], [0, 0, 1, 2, 3, 4, 0]])
    assert doc_ids_from_position_ids(positions).tolist() == DOCUMENTS
    assert doc_ids_from_position_ids(torch.arange(3, 8)).tolist() == [0] * 5


def test_numbered_masks() -> None:
    doc, valid = doc_ids_from_packed_mask(torch.tensor([[1, 1, 2, 2, 0]]))
    assert doc.tolist() == [[1, 1, 2, 2, 0]]
    assert valid.tolist() == [[True] * 4 + [False]]
    for wrong in (torch.ones(1, 4, dtype=torch.bool), torch.tensor([[1, -1]])):
        with pytest.raises(BindError, match="M430"):
            doc_ids_from_packed_mask(wrong)


def test_block_masks_of_a_step() -> None:
    kinds = {"global": "causal & same_doc", "local": "causal & window(2) & same_doc", "all": "full"}
    programs = {kind: compile_mask(text) for kind, text in kinds.items()}
    found = get_attention_masks(programs, TOKENS, eos_id=9)
    assert isinstance(found, dict)
    assert found["all"].to_dense().all()
    doc = torch.tensor(DOCUMENTS)
    place = torch.arange(7)
    far = place[:, None] - place
    same = doc[:, :, None] == doc[:, None, :]
    for kind, expected in (("global", same & (far >= 0)), ("local", same & (far >= 0) & (far < 2))):
        mask = found[kind]
        assert mask is not None
        assert mask.seq_lengths == (7, 7)
        got = torch.vmap(
            torch.vmap(torch.vmap(mask.mask_mod, (None, None, None, 0)), (None, None, 0, None)),
            (0, None, None, None),
        )(torch.arange(2), torch.tensor(0), place, place)
        assert torch.equal(got, expected)


@pytest.mark.parametrize("text", ["causal; score = softcap(score, 3.0)", "full; out = out * 2.0"])
def test_a_block_mask_carries_no_score(text: str) -> None:
    with pytest.raises(LoweringError, match="M507"):
        get_attention_masks(compile_mask(text), TOKENS)


class Attention(nn.Module):
    """Attention as timm writes it: what it is given as a mask goes to SDPA as it is."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.heads = nn.Linear(width, 3 * width), heads

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return out.transpose(1, 2).reshape(batch, tokens, width)


def test_a_dense_mask_with_a_bias() -> None:
    """A window on a grid behind a class token, and a bias for each head."""
    layer = Attention(16, 2)
    text = (
        "axis h = 3, w = 3 from 1\n(k == 0 | q == 0 | abs(q.h - k.h) <= 1)\n"
        "input slope: float\nscore = score - slope[head] * float(abs(q - k))"
    )
    slope = torch.tensor([0.1, 0.5])
    x = torch.randn(2, 10, 16)
    found = layer(x, attn_mask=attn_mask(compile_mask(text), 10, 2, slope=slope))
    place = torch.arange(10)
    row = (place - 1) // 3
    near = (row[:, None] - row).abs() <= 1
    near[0], near[:, 0] = True, True
    bias = -slope[:, None, None] * (place[:, None] - place).abs()
    expected = layer(x, attn_mask=bias.masked_fill(~near, -torch.inf))
    torch.testing.assert_close(found, expected)
    assert attn_mask(compile_mask("full"), 10, 2) is None


@pytest.mark.parametrize("text", ["full; score = softcap(score, 3.0)", "full; out = out * 2.0"])
def test_a_dense_mask_carries_a_bias_at_most(text: str) -> None:
    with pytest.raises(LoweringError, match=r"M50[17]"):
        attn_mask(compile_mask(text), 10, 2)
