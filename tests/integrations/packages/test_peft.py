"""Adapters of PEFT around a model, and the program of the model under them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskc.integrations.transformers import attach, check, detach, programs

pytestmark = [pytest.mark.packages, pytest.mark.filterwarnings("ignore")]

TEXT = "causal & (window(4) | sinks(2))"


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 64}
    built = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4)).eval()
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return built


def logits(model: Any) -> torch.Tensor:
    ids = torch.randint(5, 60, (2, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits


def adapted(model: Any) -> Any:
    """Return a model with an adapter that changes what it gives."""
    peft = pytest.importorskip("peft", reason="`make packages` installs it")
    torch.manual_seed(1)
    config = peft.LoraConfig(
        target_modules=["q_proj", "v_proj"], r=2, task_type="CAUSAL_LM", init_lora_weights=False
    )
    return peft.get_peft_model(model, config).eval()


def test_before_and_after_are_the_same() -> None:
    before, after = adapted(attach(llama(), TEXT)), adapted(llama())
    own = logits(after)
    assert attach(after, TEXT) is after
    torch.testing.assert_close(logits(after), logits(before))
    assert not torch.allclose(logits(after), own, atol=0.1)
    assert {program.text for program in programs(after).values()} == {
        "k <= q & (k < 2 | q - k < 4)"
    }
    merged = after.merge_and_unload()
    torch.testing.assert_close(logits(merged), logits(before), atol=1e-4, rtol=0)
    torch.testing.assert_close(logits(detach(merged)), own, atol=1e-4, rtol=0)


def test_own_masks_under_an_adapter_do_as_eager() -> None:
    assert check(attach(adapted(llama()))) < 1e-4
