"""A dense mask for timm's vision transformers, with SDPA and without."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from stand_ins import standing_in

from maskc import LoweringError, compile_mask
from maskc.integrations.masks import attn_mask

if find_spec("timm") is None:
    pytest.skip("`make packages` installs timm", allow_module_level=True)

pytestmark = [pytest.mark.packages, pytest.mark.filterwarnings("ignore")]

TORCHVISION = [
    *("torchvision", "torchvision.datasets", "torchvision.models", "torchvision.ops"),
    *("torchvision.models.feature_extraction", "torchvision.ops.misc"),
    *("torchvision.transforms", "torchvision.transforms.functional"),
]
"""What timm imports of torchvision, whose wheels load beside a CUDA build of torch alone."""

TOKENS = 1 + 16
NEAR = "axis h = 4, w = 4 from 1\nk == 0 | q == 0 | (abs(q.h - k.h) <= 1 & abs(q.w - k.w) <= 1)"


@pytest.fixture(scope="module")
def vit() -> Any:
    with standing_in(*TORCHVISION):
        from timm.models.vision_transformer import VisionTransformer
    torch.manual_seed(0)
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 4}
    model = VisionTransformer(**sizes, num_classes=7).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return model


def allowed() -> torch.Tensor:
    """Return by hand what ``NEAR`` allows."""
    place = torch.arange(TOKENS) - 1
    row, column = place // 4, place % 4
    near = ((row[:, None] - row).abs() <= 1) & ((column[:, None] - column).abs() <= 1)
    near[0], near[:, 0] = True, True
    return near


def run(model: Any, mask: torch.Tensor | None) -> torch.Tensor:
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(images, attn_mask=mask)


@pytest.mark.parametrize("fused", [True, False])
def test_a_mask(vit: Any, fused: bool) -> None:
    for block in vit.blocks:
        block.attn.fused_attn = fused
    by_hand = torch.zeros(TOKENS, TOKENS).masked_fill(~allowed(), -torch.inf)
    expected = run(vit, by_hand)
    assert float((run(vit, None) - expected).abs().max()) > 0.1
    for dtype in (None, torch.float32):
        found = run(vit, attn_mask(compile_mask(NEAR), TOKENS, 4, dtype=dtype))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_bias_for_each_head(vit: Any) -> None:
    text = f"{NEAR}\ninput slope: float\nscore = score - slope[head] * float(abs(q - k))"
    slope = torch.tensor([0.5, 0.25, 0.1, 0.0])
    place = torch.arange(TOKENS)
    bias = -slope[:, None, None] * (place[:, None] - place).abs()
    expected = run(vit, bias.masked_fill(~allowed(), -torch.inf))
    mask = attn_mask(compile_mask(text), TOKENS, 4, slope=slope)
    torch.testing.assert_close(run(vit, mask), expected, atol=1e-5, rtol=0)


def test_pooling_that_adds_its_mask(vit: Any) -> None:
    """Without SDPA it adds booleans as 1 and 0; floats say what is meant."""
    with standing_in(*TORCHVISION):
        from timm.layers import AttentionPoolLatent
    pool = AttentionPoolLatent(32, num_heads=4).eval()
    x = torch.randn(2, TOKENS, 32)
    program = compile_mask("k < 6")
    with torch.no_grad():
        expected = pool(x[:, :6])
        for fused in (True, False):
            pool.fused_attn = fused
            mask = attn_mask(program, TOKENS, 4, dtype=torch.float32)
            assert mask is not None
            torch.testing.assert_close(pool(x, attn_mask=mask), expected, atol=1e-5, rtol=0)


def test_more_than_a_bias_is_refused() -> None:
    with pytest.raises(LoweringError):
        attn_mask(compile_mask("full; score = softcap(score, 30)"), TOKENS, 4)
