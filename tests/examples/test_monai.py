"""MONAI's blocks on fused attention give what MONAI's own blocks give, gradients included."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytestmark = pytest.mark.packages

WIDTH, HEADS, BATCH = 48, 3, 2
GRIDS = [(16, 32), (8, 8, 8)]
KINDS = ["causal", "rel", "causal + rel", "key mask", "key mask + rel", "plain"]
BLOCKS = ["self", "cross"]


@cache
def blocks() -> dict[str, tuple[type[nn.Module], type[nn.Module]]]:
    """Return MONAI's block and the fused one of each kind; MONAI takes seconds to import."""
    pytest.importorskip("monai", reason="MONAI is not installed: `pip install 'maskc[dev]'`")
    pytest.importorskip("einops", reason="MONAI's blocks need einops")
    from monai.networks.blocks.crossattention import CrossAttentionBlock
    from monai.networks.blocks.selfattention import SABlock

    from examples.monai.blocks import FusedCrossAttentionBlock, FusedSABlock

    return {
        "self": (SABlock, FusedSABlock),
        "cross": (CrossAttentionBlock, FusedCrossAttentionBlock),
    }


def fused(block: str) -> type[nn.Module]:
    return blocks()[block][1]


def documented(
    attn: Tensor, q: Tensor, tables: nn.ParameterList, q_size: tuple, k_size: tuple
) -> Tensor:
    """Add ``sum over axes of q_i . R[axis](i) - R[axis](j)``, as MONAI's documentation has it.

    The released code puts the terms of a 3-D grid on the wrong axes; in 2-D this is what it does.
    """
    places = torch.cartesian_prod(*(torch.arange(size) for size in q_size))
    for axis, table in enumerate(tables):
        distance = places[:, None, axis] - places[None, :, axis] + q_size[axis] - 1
        attn = attn + torch.einsum("bid,ijd->bij", q, table[distance])
    return attn


def pair(
    block: str, grid: tuple[int, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[nn.Module, nn.Module]:
    """Return MONAI's block and the fused one, with the same random weights and tables."""
    theirs, ours = (make(**options(grid, kind)) for make in blocks()[block])
    if len(grid) == 3:
        from monai.networks.blocks import rel_pos_embedding

        monkeypatch.setattr(rel_pos_embedding, "add_decomposed_rel_pos", documented)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def options(grid: tuple[int, ...], kind: str) -> dict[str, Any]:
    return {
        "hidden_size": WIDTH,
        "num_heads": HEADS,
        "causal": "causal" in kind,
        "sequence_length": 512,
        "rel_pos_embedding": "decomposed" if "rel" in kind else None,
        "input_size": grid,
    }


def masks(kind: str, keys: int = 512) -> dict[str, Tensor]:
    keep = (torch.rand(BATCH, keys) < 0.7).long()
    return {"attn_mask": keep} if "key mask" in kind else {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_self_attention_is_monais(
    grid: tuple[int, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    theirs, ours = pair("self", grid, kind, monkeypatch)
    x, masked = torch.randn(BATCH, 512, WIDTH), masks(kind)
    weight = torch.randn(BATCH, 512, WIDTH)
    outs = [block(x, **masked) for block in (theirs, ours)]
    torch.testing.assert_close(outs[1], outs[0], atol=1e-4, rtol=0)
    for out in outs:
        (out * weight).mean().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad.any(), name
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["plain", "causal", "rel", "causal + rel"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_cross_attention_is_monais(
    grid: tuple[int, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    theirs, ours = pair("cross", grid, kind, monkeypatch)
    keys = 512 if "rel" in kind else 77
    x, context = torch.randn(BATCH, 512, WIDTH), torch.randn(BATCH, keys, WIDTH)
    torch.testing.assert_close(ours(x, context), theirs(x, context), atol=1e-4, rtol=0)


def test_masked_keys_of_a_context_do_not_count() -> None:
    torch.manual_seed(0)
    ours = fused("cross")(WIDTH, HEADS)
    x, context = torch.randn(BATCH, 40, WIDTH), torch.randn(BATCH, 30, WIDTH)
    keep = torch.arange(30).expand(BATCH, 30) < 20
    torch.testing.assert_close(ours(x, context, keep), ours(x, context[:, :20]))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("kind", "causal"), [("plain", False), ("causal", True)])
def test_without_a_mask_tensor_torch_may_take_its_flash_kernel(
    block: str, kind: str, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def spy(*args: Any, **keywords: Any) -> Tensor:
        calls.append(keywords)
        return real(*args, **keywords)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    _, ours = pair(block, (16, 32), kind, monkeypatch)
    ours(torch.randn(BATCH, 512, WIDTH))
    assert [(call["attn_mask"], call["is_causal"]) for call in calls] == [(None, causal)]


@pytest.mark.parametrize("kind", BLOCKS)
def test_weights_asked_of_the_fused_path_are_refused(kind: str) -> None:
    block = fused(kind)(WIDTH, HEADS, save_attn=True)
    with pytest.raises(ValueError, match="fused attention has no weights to save"):
        block(torch.randn(1, 8, WIDTH))


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    block = fused("self")(WIDTH, HEADS, dropout_rate=0.5)
    x = torch.randn(1, 8, WIDTH)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
