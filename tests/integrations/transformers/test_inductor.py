"""Whole models through torch's default compiler: forward, backward, a step with a static cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.models, pytest.mark.compiled, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def model() -> Any:
    from like_eager import small_model

    torch._dynamo.reset()
    return small_model("CausalLM", "llama", num_hidden_layers=2)


def share(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, of numbers above 1 as a share of the largest."""
    return float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))


def test_forward_and_backward(model: Any) -> None:
    """A program in the place of the model's own, with padding that changes."""
    from like_eager import text

    from maskc.integrations.transformers import attach, check

    def step(run: Any, first: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        tokens = torch.ones_like(ids)
        tokens[1, :first] = 0
        model.zero_grad()
        outputs = run(input_ids=ids, attention_mask=tokens, labels=ids, use_cache=False)
        outputs.loss.backward()
        logits = outputs.logits.detach() * tokens[..., None]
        return logits, [weight.grad.clone() for weight in model.parameters()]

    ids = text()
    attach(model, "causal & (window(6) | sinks(2))")
    assert check(model, input_ids=ids) > 0.1
    compiled = torch.compile(model, fullgraph=True)
    for first in (3, 7):
        logits, grads = step(compiled, first)
        expected, wanted = step(model, first)
        assert share(logits, expected) <= 2e-5
        for one, other in zip(grads, wanted, strict=True):
            assert share(one, other) <= 2e-5


def test_decoding_as_eager(model: Any) -> None:
    """The model's own mask, compiled, against its eager attention, not compiled."""
    from like_eager import feeds
    from transformers import StaticCache

    from maskc.integrations.transformers.implementation import using

    compiled = torch.compile(model, fullgraph=True)
    ids = feeds(model)["plain"]["input_ids"][:, :12].contiguous()
    rows = {}
    for implementation, run in (("eager", model), ("maskc", compiled)):
        with using(model, implementation), torch.no_grad():
            cache = StaticCache(config=model.config, max_cache_len=32)
            found = [run(ids, past_key_values=cache).logits]
            for token in range(20, 26):
                one = torch.full((2, 1), token)
                found.append(run(one, past_key_values=cache).logits)
            rows[implementation] = torch.cat(found, 1)
    assert share(rows["maskc"], rows["eager"]) <= 2e-5
