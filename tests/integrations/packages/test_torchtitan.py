"""Block masks for torchtitan's own model, in the place of those that it makes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from stand_ins import standing_in
from torch.nn.attention.flex_attention import flex_attention

from maskc import compile_mask
from maskc.integrations.masks import get_attention_masks

if find_spec("torchtitan") is None:
    pytest.skip("`make packages` installs torchtitan", allow_module_level=True)

pytestmark = [pytest.mark.packages, pytest.mark.filterwarnings("ignore")]

KERNELS = "torchtitan.distributed.minimal_async_ep"
"""Exchange of experts among GPUs, which needs triton; no test here has experts."""

LENGTHS = (70, 31, 99)


@pytest.fixture(scope="module")
def model() -> Any:
    with standing_in(KERNELS, f"{KERNELS}.api", f"{KERNELS}.kernels"):
        from torchtitan.models.llama3 import Llama3Model, _debugmodel
    config = _debugmodel("flex")
    config.layers = config.layers[:2]
    torch.manual_seed(0)
    built = Llama3Model(config)
    built.init_states(buffer_device=torch.device("cpu"))
    return built


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the compiler, which tunes kernels of a GPU; eager flex evaluates the mask."""
    from torchtitan.models.common.attention import FlexAttention

    monkeypatch.setattr(FlexAttention, "_compiled_flex_attn", staticmethod(flex_attention))


def feed() -> tuple[torch.Tensor, torch.Tensor]:
    count = sum(LENGTHS)
    tokens = torch.randint(0, 2048, (2, count), generator=torch.Generator().manual_seed(0))
    first = torch.cat([torch.arange(n) for n in LENGTHS])
    return tokens, torch.stack([first, torch.arange(count)])


@pytest.mark.usefixtures("uncompiled")
def test_documents_do_as_torchtitan_has_them(model: Any) -> None:
    tokens, positions = feed()
    own = model.get_attention_masks(positions)
    ours = get_attention_masks(compile_mask("causal & same_doc"), positions=positions)
    assert torch.equal(ours.to_dense(), own.to_dense())
    with torch.no_grad():
        expected = model(tokens, positions, own)
        found = model(tokens, positions, ours)
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
        every = get_attention_masks(compile_mask("full"), positions=positions)
        assert float((model(tokens, positions, every) - expected).abs().max()) > 0.1


@pytest.mark.usefixtures("uncompiled")
def test_a_window_as_torchtitan_has_it(model: Any) -> None:
    from torch.nn.attention.flex_attention import and_masks, create_block_mask
    from torchtitan.models.common.attention import (
        get_document_mask_mod,
        get_sliding_window_mask_mod,
    )

    tokens, positions = feed()
    count = tokens.shape[1]
    mods = get_sliding_window_mask_mod(16), get_document_mask_mod(positions)
    theirs = create_block_mask(and_masks(*mods), 2, None, count, count, device="cpu")
    kinds = {"basic_mask": compile_mask("causal & same_doc & window(16)")}
    ours = get_attention_masks(kinds, positions=positions)
    with torch.no_grad():
        expected = model(tokens, positions, theirs)
        found = model(tokens, positions, ours["basic_mask"])
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
