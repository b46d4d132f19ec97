"""Train on packed documents without flash-attention, on any device.

    python examples/transformers/pack_documents.py

``DataCollatorWithFlattening`` puts documents into one row and tells where each begins by position
ids. Other implementations than flash-attention pay for the whole square of the row, or let
documents see each other; here each sees itself, and only its tiles are computed.
"""

from __future__ import annotations

import torch
from transformers import DataCollatorWithFlattening, LlamaConfig, LlamaForCausalLM

import maskc.integrations.transformers  # registers "maskc"
from maskc.integrations.transformers import programs

LENGTHS = (70, 30, 110, 46)


def main() -> None:
    """Train a small model for a few steps on one packed row."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation="maskc",
    )
    model = LlamaForCausalLM(config)
    collator = DataCollatorWithFlattening(return_position_ids=True)
    documents = [{"input_ids": torch.randint(0, 64, (n,)).tolist()} for n in LENGTHS]
    batch = collator(documents)
    row = {name: batch[name] for name in ("input_ids", "position_ids", "labels")}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(10):
        loss = model(**row, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"step {step}: loss {loss.item():.3f}")
    positions = {name: row[name] for name in ("input_ids", "position_ids")}
    (path, program), *_ = programs(model, **positions).items()
    print(f"\n{path} attends to:\n{program.text}")


if __name__ == "__main__":
    assert maskc.integrations.transformers
    main()
