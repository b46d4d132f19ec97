"""Packed batches of TRL and axolotl, by their own collators, in a model that attends by maskc."""

from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from maskc.integrations.inputs import (
    doc_ids_from_packed_mask,
    doc_ids_from_position_ids,
    positions_in_document,
)

pytestmark = [pytest.mark.packages, pytest.mark.filterwarnings("ignore")]

LENGTHS = (9, 14, 5, 11)


def documents() -> list[dict[str, list[int]]]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(3, 60, (n,), generator=generator).tolist() for n in LENGTHS]
    return [{"input_ids": row, "labels": row, "attention_mask": [1] * len(row)} for row in ids]


@pytest.fixture
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    import maskc.integrations.transformers

    assert maskc.integrations.transformers
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(**sizes, **heads, attn_implementation="maskc")
    built = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return built


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[EOS]": 2}, unk_token="[UNK]"))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[EOS]"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def logits(model: Any, ids: torch.Tensor, position_ids: torch.Tensor | None = None) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids, position_ids=position_ids, use_cache=False).logits


def assert_as_alone(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> None:
    """Compare packed rows with a run of each document by itself."""
    found = logits(model, ids, positions)
    for row, own, places in zip(ids, found, positions, strict=True):
        starts = [*(places == 0).nonzero().flatten().tolist(), len(places)]
        for first, last in pairwise(starts):
            alone = logits(model, row[None, first:last])[0]
            torch.testing.assert_close(own[first:last], alone, atol=2e-5, rtol=0)
    assert float((logits(model, ids) - found).abs().max()) > 0.1


def test_trl_without_padding(model: Any) -> None:
    pytest.importorskip("trl", reason="`make packages` installs it")
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(documents())
    assert batch["input_ids"].shape == (1, sum(LENGTHS))
    doc = doc_ids_from_position_ids(batch["position_ids"])
    assert torch.equal(doc, batch["seq_idx"].long())
    assert_as_alone(model, batch["input_ids"], batch["position_ids"])


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split"])
def test_trl_packs_to_a_length(model: Any, strategy: str) -> None:
    """``pack_dataset`` fills rows, of which a padding-free collator tells the documents."""
    pytest.importorskip("trl", reason="`make packages` installs it")
    from datasets import Dataset
    from trl import pack_dataset
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    ids = [one["input_ids"] for one in documents()]
    rows = pack_dataset(Dataset.from_dict({"input_ids": ids}), 20, strategy)
    assert sorted(chain.from_iterable(rows["seq_lengths"])) == sorted(LENGTHS)
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(list(rows))
    assert sorted(batch["cu_seq_lens_q"].diff().tolist()) == sorted(LENGTHS)
    assert_as_alone(model, batch["input_ids"], batch["position_ids"])


@pytest.mark.parametrize("adapter", [False, True])
def test_trl_trains_on_packed_rows(model: Any, adapter: bool, tmp_path: Path) -> None:
    """The trainer of TRL, from a dataset to its losses: those of each document by itself."""
    pytest.importorskip("trl", reason="`make packages` installs it")
    pytest.importorskip("peft", reason="`make packages` installs it")
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from maskc.integrations.transformers import attach

    ids = [one["input_ids"] for one in documents()]
    attach(model, "causal & window(6)")
    lost = [
        float(model(input_ids=row, labels=row).loss.detach()) * (row.shape[1] - 1)
        for row in (torch.tensor([one]) for one in ids)
    ]
    options = SFTConfig(
        output_dir=str(tmp_path),
        packing=True,
        max_length=20,
        per_device_train_batch_size=len(ids),
        max_steps=3,
        learning_rate=1e-3,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=options,
        train_dataset=Dataset.from_dict({"input_ids": ids}),
        processing_class=tokenizer(),
        peft_config=LoraConfig(target_modules=["q_proj"], r=2) if adapter else None,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(sum(lost) / (sum(LENGTHS) - len(LENGTHS)), abs=1e-4)
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_axolotl_numbers_documents(model: Any) -> None:
    pytest.importorskip("axolotl", reason="`make packages` installs it")
    from axolotl.utils.collators.batching import V2BatchSamplerDataCollatorForSeq2Seq

    collator = V2BatchSamplerDataCollatorForSeq2Seq(tokenizer(), padding=True)
    one, two = documents()[:3], documents()[2:]
    batch = collator([one, two])  # a row of three documents, and a row of two with padding
    numbered = batch["attention_mask"]
    assert numbered.max() == 3
    assert not numbered[1, -1]
    doc, valid = doc_ids_from_packed_mask(numbered)
    assert torch.equal(valid, numbered > 0)
    assert_as_alone(model, batch["input_ids"], positions_in_document(doc))
