"""Programs for the attentions of an encoder-decoder: encoder, decoder, and between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maskc import ModelError

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

KINDS = ("t5", "bart", "t5gemma")
ENCODED, DECODED = 24, 13


def built(kind: str) -> Any:
    from like_eager import small_model

    return small_model("Seq2SeqLM", kind)


def feed(padding: int = 0, first: int = 0) -> dict[str, torch.Tensor]:
    """Return two rows, the second with some padding, without the first tokens of the encoder."""
    from like_eager import text

    ids = text()
    tokens = torch.ones_like(ids)
    tokens[1, :padding] = 0
    found = {"input_ids": ids, "attention_mask": tokens}
    found = {name: value[:, first:].contiguous() for name, value in found.items()}
    return found | {"decoder_input_ids": ids[:, :DECODED].contiguous()}


def logits(model: Any, given: dict[str, torch.Tensor]) -> torch.Tensor:
    from maskc.integrations.transformers.feeds import run

    return run(model, given)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1.0))


def seen(model: Any, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return which keys each query sees in the first layer of each attention."""
    from maskc.integrations.transformers.forward.recording import recorded
    from maskc.integrations.transformers.roles import _roles

    with recorded() as calls:
        logits(model, given)
    roles = _roles(model, calls)
    found = {}
    for call in calls:
        inputs = {name: call.inputs[name] for name in call.bound.call_inputs}
        weights = call.bound.weights(call.query, call.key, **inputs)
        found.setdefault(roles[call.layer], weights[1].amax(0) > 0)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_attention_gets_its_program(kind: str) -> None:
    from maskc.integrations.transformers import attach, detach

    model = built(kind)
    plain = logits(model, feed())
    programs = {
        "encoder": "window(4)",
        "decoder": "causal & window(3)",
        "cross": "k % 2 == 0",
    }
    assert attach(model, programs) is model
    assert distance(logits(model, feed()), plain) > 0.02
    pad = 5
    found = seen(model, feed(padding=pad))
    place = torch.arange(ENCODED) - pad
    is_token = place >= 0
    near = (place[:, None] - place).abs() < 4
    assert torch.equal(found["encoder"][is_token], (near & is_token)[is_token])
    step = torch.arange(DECODED)
    back = step[:, None] - step
    assert torch.equal(found["decoder"], (back >= 0) & (back < 3))
    assert torch.equal(found["cross"], (is_token & (place % 2 == 0)).expand(DECODED, -1))
    detach(model)
    assert torch.equal(logits(model, feed()), plain)


@pytest.mark.parametrize("kind", ["t5", "t5gemma"])  # Bart counts the tokens of padding itself
def test_cross_attention_to_the_last_tokens(kind: str) -> None:
    """Padding counts as if the row began behind it, and a program may drop what it likes."""
    from maskc.integrations.transformers import attach

    model = attach(built(kind), {"encoder": "abs(q - k) < 5", "cross": "k >= 3"})
    padded, cut = logits(model, feed(padding=6))[1], logits(model, feed(first=6))[1]
    assert distance(padded, cut) < 2e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache", ["dynamic", "none", "static"])
def test_generate(kind: str, cache: str) -> None:
    """What is attached decodes step by step as it reads at once; and the model's own as eager."""
    from maskc.integrations.transformers import attach
    from maskc.integrations.transformers.implementation import using

    def generated(cache: str) -> torch.Tensor:
        keywords: dict[str, Any] = {"max_new_tokens": 10, "min_new_tokens": 10, "do_sample": False}
        if cache == "static":
            keywords["cache_implementation"] = "static"
        given = feed(padding=5)
        return model.generate(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            use_cache=cache != "none",
            disable_compile=True,
            **keywords,
        )

    model = built(kind)
    expected = generated(cache)
    with using(model, "maskc"):
        assert torch.equal(generated(cache), expected)
    attach(model, {"encoder": "window(5)", "decoder": "causal & window(4)", "cross": "k < 9"})
    if cache != "none":
        assert torch.equal(generated(cache), generated("none"))


@pytest.mark.parametrize("kind", KINDS)
def test_saving_and_loading(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    from maskc.integrations.transformers import attach

    model = built(kind)
    plain = logits(model, feed())
    attach(model, {"decoder": "causal & window(2)", "encoder": "window(2)"})
    expected = logits(model, feed())
    assert distance(expected, plain) > 0.02
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, attn_implementation="maskc").eval()
    assert distance(logits(loaded, feed()), expected) < 2e-5


def test_by_kind_within_a_part() -> None:
    from maskc.integrations.transformers import attach, programs

    model = attach(built("t5gemma"), {"decoder": {"sliding_attention": "causal & window(2)"}})
    texts = [program.text for path, program in programs(model).items() if "decoder" in path]
    assert sum("0 <= q - k < 2" in text for text in texts) == 2
    assert sum("k <= q" in text for text in texts) == 2


def refusal(model: Any, program: Any, **keywords: Any) -> str:
    from maskc.integrations.transformers import attach

    with pytest.raises(ModelError) as caught:
        attach(model, program, **keywords)
    return str(caught.value)


def test_what_fits_no_part_is_refused() -> None:
    bart = built("bart")
    assert refusal(bart, "causal") == (
        "error[M906]: BartForConditionalGeneration attends in several ways: "
        "encoder, decoder, cross\n"
        "    = help: name them, or some: "
        '`attach(model, {"encoder": ..., "decoder": ..., "cross": ...})`'
    )
    assert "did you mean `encoder`" in refusal(bart, {"encode": "window(3)"})
    assert "found int" in refusal(bart, {"cross": 3})
    assert "reads `q`" in refusal(bart, {"cross": "abs(q - k) < 4"})
    assert "is a part of an encoder-decoder" in refusal(bart.get_encoder(), "window(3)")
    same = {
        "input_ids": torch.arange(20, 32)[None],
        "decoder_input_ids": torch.arange(20, 32)[None],
    }
    assert "M904" in refusal(bart, {"encoder": "window(3)"}, probe=same)
    assert not hasattr(bart.config, "maskc")
    assert bart.config._attn_implementation != "maskc"
