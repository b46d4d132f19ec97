"""The hook of diffusers against its own models: joint attention (Flux), self and cross (Wan)."""

from __future__ import annotations

import gc
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from maskc import BindError, ModelError, compile_mask

if find_spec("diffusers") is None:
    pytest.skip("`make packages` installs diffusers", allow_module_level=True)

pytestmark = [pytest.mark.packages, pytest.mark.filterwarnings("ignore")]

CLOSE = {"atol": 2e-5, "rtol": 0}

TEXT, SIDE = 5, 4
TOKENS = TEXT + SIDE * SIDE
NEAR = f"axis h = {SIDE}, w = {SIDE} from {TEXT}\nabs(q.h - k.h) <= 1 & abs(q.w - k.w) <= 1"
LOCAL = f"{NEAR} | q < {TEXT} | k < {TEXT}"
"""Text attends to all and is attended by all; an image's token to its neighbours."""


def allowed() -> torch.Tensor:
    """Return by hand what ``LOCAL`` allows, ``[1, 1, tokens, tokens]``."""
    place = torch.arange(TOKENS) - TEXT
    row, column = place // SIDE, place % SIDE
    near = ((row[:, None] - row).abs() <= 1) & ((column[:, None] - column).abs() <= 1)
    is_text = place < 0
    return (near | is_text[:, None] | is_text)[None, None]


@pytest.fixture
def flux() -> Any:
    import diffusers

    model = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
    )
    return with_large_weights(model)


def flux_feed(mask: torch.Tensor | None = None) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    feed: dict[str, Any] = {
        "hidden_states": torch.randn(2, SIDE * SIDE, 4, generator=generator),
        "encoder_hidden_states": torch.randn(2, TEXT, 32, generator=generator),
        "pooled_projections": torch.randn(2, 32, generator=generator),
        "timestep": torch.tensor([1.0, 0.5]),
        "img_ids": torch.randn(SIDE * SIDE, 3, generator=generator),
        "txt_ids": torch.zeros(TEXT, 3),
    }
    return feed if mask is None else feed | {"joint_attention_kwargs": {"attention_mask": mask}}


@pytest.fixture
def wan() -> Any:
    import diffusers

    model = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    return with_large_weights(model)


def wan_feed(words: int = 7) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "hidden_states": torch.randn(1, 4, 3, 8, 8, generator=generator),
        "encoder_hidden_states": torch.randn(1, 7, 16, generator=generator)[:, :words],
        "timestep": torch.tensor([1]),
    }


def with_large_weights(model: Any) -> Any:
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model.eval()


def run(model: Any, feed: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        return model(**feed).sample


def test_a_program_does_as_the_dense_mask_does(flux: Any) -> None:
    from maskc.integrations.diffusers import attach, detach

    plain, expected = run(flux, flux_feed()), run(flux, flux_feed(allowed()))
    assert float((plain - expected).abs().max()) > 0.1
    attach(flux, LOCAL)
    torch.testing.assert_close(run(flux, flux_feed()), expected, **CLOSE)
    attach(flux, "full")
    torch.testing.assert_close(run(flux, flux_feed()), plain, **CLOSE)
    assert detach(flux) is flux
    assert torch.equal(run(flux, flux_feed()), plain)


def masks() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return masks that a model may have of its own, and what they are in four dimensions."""
    words = torch.ones(2, TOKENS, dtype=torch.bool)
    words[1, 3:TEXT] = False
    dense = torch.rand(TOKENS, TOKENS) < 0.8
    bias = torch.randn(2, 2, TOKENS, TOKENS)
    return {
        "keys": (words, words[:, None, None]),
        "pairs": (dense, dense[None, None]),
        "bias": (bias, bias),
        "padding as floats": (words.float().log(), words[:, None, None].float().log()),
    }


@pytest.mark.parametrize("case", masks())
def test_the_mask_of_the_model_holds_besides(flux: Any, case: str) -> None:
    from maskc.integrations.diffusers import attach, detach

    mask, whole = masks()[case]
    if mask.dtype is torch.bool:
        both = whole & allowed()
    else:
        both = whole.masked_fill(~allowed(), -torch.inf)
    expected = run(flux, flux_feed(both))
    attach(flux, LOCAL)
    for _ in range(2):  # another tensor each time, perhaps where the last one was
        found = run(flux, flux_feed(mask.clone()))
        torch.testing.assert_close(found, expected, **CLOSE)
    without = run(flux, flux_feed())
    torch.testing.assert_close(run(detach(flux), flux_feed(allowed())), without, **CLOSE)


def test_layers_by_their_paths(wan: Any) -> None:
    """Cross attention to the first words does as the model that is given no others."""
    from maskc.integrations.diffusers import attach

    plain, expected = run(wan, wan_feed()), run(wan, wan_feed(words=4))
    assert float((plain - expected).abs().max()) > 0.1
    attach(wan, {"*.attn2": "k < 4"})
    torch.testing.assert_close(run(wan, wan_feed()), expected, **CLOSE)
    attach(wan, {"blocks.0.attn1": "axis t = 3, h = 4, w = 4\nq.t == k.t"})
    assert float((run(wan, wan_feed()) - expected).abs().max()) > 0.05


def test_inputs_and_what_changes_in_them(flux: Any) -> None:
    from maskc.integrations.diffusers import attach

    gate = torch.ones(TOKENS, dtype=torch.bool)
    attach(flux, "input gate: bool\ngate[k]", inputs={"gate": gate, "unused": torch.ones(1)})
    plain = run(flux, flux_feed())
    gate[8:] = False
    mask = gate.expand(1, 1, TOKENS, TOKENS).clone()
    found = run(flux, flux_feed())
    assert float((found - plain).abs().max()) > 0.1
    attach(flux, "full")
    torch.testing.assert_close(found, run(flux, flux_feed(mask)), **CLOSE)


def test_gradients(flux: Any) -> None:
    from maskc.integrations.diffusers import attach

    def gradients(feed: dict[str, Any]) -> list[torch.Tensor]:
        flux.zero_grad()
        flux(**feed).sample.square().mean().backward()
        return [weight.grad.clone() for weight in flux.parameters() if weight.grad is not None]

    expected = gradients(flux_feed(allowed()))
    attach(flux, LOCAL)
    for found, wanted in zip(gradients(flux_feed()), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.compiled
def test_one_graph(flux: Any) -> None:
    from torch._dynamo.testing import CompileCounter

    from maskc.integrations.diffusers import attach

    torch._dynamo.reset()
    attach(flux, LOCAL)
    expected = run(flux, flux_feed())
    counter = CompileCounter()
    compiled = torch.compile(flux, fullgraph=True, backend=counter)
    torch.testing.assert_close(run(compiled, flux_feed()), expected, **CLOSE)
    assert counter.frame_count == 1


def refusal(call: Any) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    return str(caught.value)


def test_what_cannot_be_carried_is_refused(flux: Any, wan: Any) -> None:
    from maskc.integrations.diffusers import attach

    assert refusal(lambda: attach(wan, "full")) == (
        "error[M906]: one program is given for all layers, and `blocks.0.attn2` attends to other "
        "tokens\n"
        '    = help: name the layers: `attach(model, {"*.attn1": ...})`'
    )
    assert "did you mean `*.attn2`" in refusal(lambda: attach(wan, {"*.attn3": "full"}))
    assert "M901" in refusal(lambda: attach(nn.Linear(2, 2), "full"))
    text = "input attn_mask: bool\nattn_mask[k]"
    assert "`attn_mask` is an input that the layers give" in refusal(lambda: attach(flux, text))
    attach(flux, LOCAL)
    odd = flux_feed(torch.ones(2, TOKENS, TOKENS, dtype=torch.bool))
    assert "M903" in refusal(lambda: run(flux, odd))
    flux.transformer_blocks[0].attn.processor._parallel_config = object()
    assert "over ranks" in refusal(lambda: run(flux, flux_feed()))
    with pytest.raises(BindError, match="gate"):
        run(attach(wan, {"*.attn1": "input gate: bool\ngate[k]"}), wan_feed())


def test_layers_that_share_a_processor(wan: Any) -> None:
    from maskc.integrations.diffusers import attach

    wan.set_attn_processor(wan.blocks[0].attn1.processor)
    assert "share a processor" in refusal(lambda: attach(wan, {"*.attn2": "k < 4"}))


def test_one_program_for_layers_of_other_tokens(wan: Any) -> None:
    """A layer that does not say that it attends to other tokens shows it when it is called."""
    from maskc.integrations.diffusers import attach

    for block in wan.blocks:
        block.attn2.is_cross_attention = False
    attach(wan, "full")
    assert "a layer of 48 queries and 7 keys" in refusal(lambda: run(wan, wan_feed()))


def test_a_backend_goes_with_its_last_layer(flux: Any) -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    from maskc.integrations.diffusers import attach, detach

    gc.collect()
    before = len(_AttentionBackendRegistry._backends)
    for width in (1, 2, 3):
        attach(flux, compile_mask(f"window({width})"))
    assert len(_AttentionBackendRegistry._backends) == before + 1
    detach(flux)
    assert len(_AttentionBackendRegistry._backends) == before
