"""When a model counts as one that does by maskc what it does by eager."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskc import ModelError

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]


def test_roundings_that_grow_are_compared_layer_by_layer() -> None:
    """A rounding may send a token to other experts; then outputs have nothing in common."""
    from like_eager import small_model

    from maskc.integrations.transformers import attach, check

    model = small_model("CausalLM", "llama")
    model.model.layers[1].mlp.forward = lambda hidden: torch.sin(1e8 * hidden)
    assert check(attach(model)) > 0.1


@pytest.mark.parametrize("kind", ["gpt_oss", "qwen3_moe", "mixtral"])
def test_experts_of_bfloat16(kind: str) -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    attach(small_model("CausalLM", kind).to(torch.bfloat16), "causal & window(3)")


@pytest.mark.parametrize("where", ["within a layer", "between layers"])
def test_another_way_is_found_layer_by_layer(where: str) -> None:
    """Planted: code that asks what its mask is."""
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    model = small_model("CausalLM", "gpt_oss").to(torch.bfloat16)
    block = model.model.layers[1]
    layer = block.self_attn if where == "within a layer" else block
    heard = layer.forward

    def forward(*args: Any, **keywords: Any) -> Any:
        out = heard(*args, **keywords)
        if isinstance(keywords["attention_mask"], torch.Tensor):
            return out
        return (out[0].roll(1, 1), *out[1:]) if isinstance(out, tuple) else out.roll(1, 1)

    layer.forward = forward
    with pytest.raises(ModelError, match="differs from its own eager attention"):
        attach(model)


def test_float64_is_compared_without_padding_that_eager_makes_nan_of() -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach, check

    assert check(attach(small_model("CausalLM", "llama").double())) < 1e-4


def test_numbers_that_are_not_finite_are_no_comparison() -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    model = small_model("CausalLM", "llama")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="gives numbers that are not finite"):
        attach(model)
    assert model.config._attn_implementation != "maskc"


def test_a_model_without_weights_is_refused() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from maskc.integrations.transformers import attach, check, programs, report

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, attn_implementation="maskc"))
    for call in (attach, programs, check, report):
        with pytest.raises(ModelError, match="LlamaForCausalLM has no weights"):
            call(model)


def test_what_no_model_runs_on_is_refused_by_its_name() -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import programs, report

    model = small_model("CausalLM", "llama")
    for call, feed in ((report, {"lenght": 5}), (programs, {"input_ids": torch.ones(1, 3)})):
        with pytest.raises(ModelError, match=r"M904.*does not run on (lenght|input_ids)"):
            call(model, **feed)
