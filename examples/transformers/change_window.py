"""Change the window of a model of transformers, in three lines.

python examples/transformers/change_window.py
"""

from __future__ import annotations

from transformers import MistralConfig, MistralForCausalLM

from maskc.integrations.transformers import attach, check, report


def small_mistral() -> MistralForCausalLM:
    """Return a model of random weights; yours comes from ``from_pretrained``."""
    config = MistralConfig(
        vocab_size=1000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4096,
    )
    return MistralForCausalLM(config).eval()


def main() -> None:
    """Print what the model attends to, before and after."""
    model = small_mistral()
    attach(model)
    print(report(model, length=32768))
    print(f"differs from eager by {check(model):.1e}\n")

    # A narrow window, and the first four tokens, which keep a model stable far out.
    attach(model, "causal & (window(1024) | sinks(4))")
    print(report(model, length=32768))


if __name__ == "__main__":
    main()
