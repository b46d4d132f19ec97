"""``generate`` writes the same tokens as eager, with every cache and padding on the left."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

FAMILIES = (
    *("llama", "mistral", "qwen2", "gemma2", "gemma3_text"),
    *("gpt_oss", "llama4_text", "phi3", "olmo3", "cohere2"),
)
CACHES = ("dynamic", "sliding", "static", "none")
NEW = 14  # past the windows of 8


def generated(model: Any, ids: torch.Tensor, cache: str, **changes: Any) -> torch.Tensor:
    from transformers import DynamicCache

    keywords: dict[str, Any] = {"do_sample": False, "pad_token_id": 0, "disable_compile": True}
    keywords |= {"max_new_tokens": NEW, "min_new_tokens": NEW}
    match cache:
        case "dynamic":
            keywords["past_key_values"] = DynamicCache()
        case "sliding":
            keywords["past_key_values"] = DynamicCache(config=model.config)
        case "static":
            keywords["cache_implementation"] = "static"
        case "none":
            keywords["use_cache"] = False
    return model.generate(ids, **keywords | changes)


def padded() -> tuple[torch.Tensor, torch.Tensor]:
    from like_eager import text

    ids = text(12)
    attention_mask = torch.ones_like(ids)
    attention_mask[1, :5] = 0
    return ids, attention_mask


@pytest.mark.parametrize("family", FAMILIES)
def test_same_tokens_as_eager(family: str) -> None:
    from like_eager import small_model

    from maskc.integrations.transformers.implementation import using

    model = small_model("CausalLM", family)
    ids, attention_mask = padded()
    for cache in CACHES:
        with using(model, "eager"):
            expected = generated(model, ids, cache, attention_mask=attention_mask)
        with using(model, "maskc"):
            found = generated(model, ids, cache, attention_mask=attention_mask)
        assert torch.equal(found, expected), cache


@pytest.mark.parametrize("text", ["causal & window(4)", "causal & (window(4) | sinks(2))"])
def test_an_attached_program_decodes_as_it_reads(text: str) -> None:
    """With any cache, and whatever padding stands before a row, the same tokens follow."""
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    model = attach(small_model("CausalLM", "llama"), text)
    ids, attention_mask = padded()
    alone = generated(model, ids[1:, 5:], "none")[0, -NEW:]
    for cache in ("none", "dynamic", "static"):
        found = generated(model, ids, cache, attention_mask=attention_mask)
        assert torch.equal(found[1, -NEW:], alone), cache


def test_a_window_over_future_slots_of_a_static_cache_sees_none_of_them() -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    model = attach(small_model("CausalLM", "llama"), "window(6)")
    ids, _ = padded()
    expected = generated(model, ids, "dynamic")
    assert torch.equal(generated(model, ids, "static"), expected)


def test_a_program_that_needs_dropped_keys_is_refused() -> None:
    from like_eager import small_model
    from transformers import DynamicCache

    from maskc import ModelError
    from maskc.integrations.transformers import attach

    model = attach(small_model("CausalLM", "gemma3_text"), "causal & window(12)")
    ids, _ = padded()
    with pytest.raises(ModelError) as caught:
        generated(model, ids, "sliding")
    assert str(caught.value) == (
        "error[M905]: the program looks back 11 tokens, and the cache of this layer keeps 7\n"
        "    = help: pass a cache that keeps all keys: `past_key_values=DynamicCache()`; "
        "`program.max_distance()` tells how far a program looks"
    )
    kept = generated(model, ids, "sliding", past_key_values=DynamicCache())
    assert torch.equal(kept, generated(model, ids, "none"))
    narrow = attach(model, "causal & window(8)")
    assert torch.equal(generated(narrow, ids, "sliding"), generated(narrow, ids, "none"))
