"""Packed training: collators, checkpoints, autocast, the Trainer, and graphs of torch.compile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

FAMILIES = ("llama", "gemma2", "gpt_oss")
LENGTHS = (9, 14, 5, 11)


def documents(count: int = 4) -> list[dict[str, list[int]]]:
    generator = torch.Generator().manual_seed(0)
    lengths = [LENGTHS[i % len(LENGTHS)] for i in range(count)]
    return [
        {"input_ids": torch.randint(20, 80, (n,), generator=generator).tolist()} for n in lengths
    ]


def packed() -> dict[str, torch.Tensor]:
    """Return documents in one row, as transformers' collator packs them."""
    from transformers import DataCollatorWithFlattening

    batch = DataCollatorWithFlattening(return_position_ids=True)(documents())
    return {name: batch[name] for name in ("input_ids", "labels", "position_ids")}


def step(model: Any, implementation: str, feed: dict[str, Any]) -> tuple[float, list[torch.Tensor]]:
    from maskc.integrations.transformers.implementation import using

    model.zero_grad()
    with using(model, implementation):
        loss = model(**feed, use_cache=False).loss
        loss.backward()
    grads = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    return loss.item(), grads


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_documents_train_as_they_do_alone(family: str) -> None:
    from like_eager import small_model

    model = small_model("CausalLM", family).train()
    loss, grads = step(model, "maskc", packed())
    alone, count = 0.0, 0
    model.zero_grad()
    for document in documents():
        ids = torch.tensor([document["input_ids"]])
        targets = ids.shape[1] - 1
        part = model(input_ids=ids, labels=ids, use_cache=False).loss * targets
        part.backward()
        alone, count = alone + part.item(), count + targets
    assert loss == pytest.approx(alone / count, abs=1e-4)
    expected = [weight.grad / count for weight in model.parameters() if weight.grad is not None]
    for found, wanted in zip(grads, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


def test_gradient_checkpointing_changes_nothing() -> None:
    from like_eager import small_model

    model = small_model("CausalLM", "gpt_oss").train()
    loss, grads = step(model, "maskc", packed())
    for reentrant in (False, True):
        keywords = {"use_reentrant": reentrant}
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=keywords)
        again, regained = step(model, "maskc", packed())
        assert again == pytest.approx(loss, abs=1e-6)
        for found, wanted in zip(regained, grads, strict=True):
            torch.testing.assert_close(found, wanted)


def test_autocast() -> None:
    from like_eager import small_model

    model = small_model("CausalLM", "llama").train()
    exact, _ = step(model, "eager", packed())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = step(model, "maskc", packed())
    assert found == pytest.approx(exact, rel=0.02)


def test_trainer(tmp_path: Path) -> None:
    from like_eager import small_model
    from transformers import DataCollatorWithFlattening, Trainer, TrainingArguments

    from maskc.integrations.transformers import attach

    model = attach(small_model("CausalLM", "llama"), "causal & window(6)")
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=10,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        gradient_checkpointing=True,
        bf16=True,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
    )
    collator = DataCollatorWithFlattening(return_position_ids=True)
    trainer = Trainer(
        model=model, args=arguments, train_dataset=documents(40), data_collator=collator
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 10
    assert losses[-1] < losses[0]


@pytest.mark.compiled
@pytest.mark.parametrize("case", ["padded", "packed"])
@pytest.mark.parametrize("family", ["gemma2", "gpt_oss"])
def test_one_graph_for_changing_padding_and_documents(family: str, case: str) -> None:
    """Binding is part of the graph: ten steps, each with another padding, compile once."""
    from like_eager import small_model, text
    from torch._dynamo.testing import CompileCounter

    from maskc.integrations.transformers.implementation import using

    torch._dynamo.reset()
    model = small_model("CausalLM", family)
    ids = text()
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    with using(model, "maskc"):
        for first in range(1, 11):
            feed: dict[str, Any] = {"input_ids": ids, "labels": ids, "use_cache": False}
            if case == "padded":
                feed["attention_mask"] = torch.ones_like(ids)
                feed["attention_mask"][1, :first] = 0
            else:
                places = [torch.arange(first), torch.arange(24 - first)]
                feed["position_ids"] = torch.cat(places).expand(2, -1)
            model.zero_grad()
            loss = compiled(**feed).loss
            loss.backward()
            expected = model(**feed).loss
            assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert counter.frame_count <= 2


@pytest.mark.compiled
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_compiled_decoding_with_a_static_cache(family: str) -> None:
    """Of a sliding cache the length is a number, which no graph may be made for."""
    from like_eager import small_model, text
    from torch._dynamo.testing import CompileCounter
    from transformers import StaticCache

    from maskc.integrations.transformers.implementation import using

    torch._dynamo.reset()
    model = small_model("CausalLM", family)
    ids = text(12)
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    found = {}
    for implementation, step in (("eager", model), ("maskc", compiled)):
        with using(model, implementation), torch.no_grad():
            cache = StaticCache(config=model.config, max_cache_len=32)
            logits = model(ids, past_key_values=cache).logits[:, -1:]
            rows = [logits]
            for _ in range(8):
                rows.append(step(rows[-1].argmax(-1), past_key_values=cache).logits)
            found[implementation] = torch.cat(rows, 1)
    torch.testing.assert_close(found["maskc"], found["eager"], atol=1e-4, rtol=0)
    assert counter.frame_count <= 2
