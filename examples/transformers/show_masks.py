"""Print what gpt-oss, Gemma 3 and Llama 4 attend to, layer by layer.

    python examples/transformers/show_masks.py

The configs are transformers' own, in fewer layers and of small width; the weights are random.
"""

from __future__ import annotations

from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GptOssConfig,
    GptOssForCausalLM,
    Llama4ForCausalLM,
    Llama4TextConfig,
    PreTrainedModel,
)

from maskc.integrations.transformers import report

SMALL = {
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def models() -> dict[str, PreTrainedModel]:
    """Return a small model of each family."""
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1}
    gpt_oss = GptOssConfig(**SMALL, **experts, num_hidden_layers=4)
    gemma3 = Gemma3TextConfig(**SMALL, num_hidden_layers=12)
    llama4 = Llama4TextConfig(**SMALL, **experts, intermediate_size_mlp=64, num_hidden_layers=8)
    return {
        "gpt-oss": GptOssForCausalLM(gpt_oss),
        "Gemma 3": Gemma3ForCausalLM(gemma3),
        "Llama 4": Llama4ForCausalLM(llama4),
    }


def main() -> None:
    """Print a table a model."""
    for name, model in models().items():
        print(f"{name}\n{report(model.eval(), length=32768)}\n")


if __name__ == "__main__":
    main()
