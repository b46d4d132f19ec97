"""A small model of every type that transformers maps, from the defaults of its config."""

import inspect
from typing import Any

from transformers.models.auto import modeling_auto as auto

MAPPINGS = {
    "CausalLM": auto.MODEL_FOR_CAUSAL_LM_MAPPING,
    "MaskedLM": auto.MODEL_FOR_MASKED_LM_MAPPING,
    "Seq2SeqLM": auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
}

LAYERS = 4
WIDTH = 32
HEADS = 4
VOCABULARY = 99

SIZES: dict[str, Any] = {
    **dict.fromkeys(["vocab_size", "text_vocab_size", "n_vocab", "encoder_vocab_size"], VOCABULARY),
    **dict.fromkeys(["decoder_vocab_size", "padded_vocab_size"], VOCABULARY),
    **dict.fromkeys(["hidden_size", "d_model", "n_embd", "embed_dim", "dim", "emb_dim"], WIDTH),
    **dict.fromkeys(
        ["embedding_size", "d_embed", "word_embed_proj_dim", "attention_hidden_size"], WIDTH
    ),
    **dict.fromkeys(["encoder_hidden_size", "decoder_hidden_size", "input_size"], WIDTH),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers"], LAYERS),
    **dict.fromkeys(["encoder_layers", "decoder_layers", "num_decoder_layers"], 2),
    **dict.fromkeys(["num_encoder_layers"], 2),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads"], HEADS),
    **dict.fromkeys(["encoder_attention_heads", "decoder_attention_heads"], HEADS),
    **dict.fromkeys(["num_encoder_attention_heads", "num_decoder_attention_heads"], HEADS),
    **dict.fromkeys(["num_key_value_heads", "num_kv_heads", "multi_query_group_num"], 2),
    **dict.fromkeys(
        ["head_dim", "d_kv", "attention_head_dim", "kv_channels", "global_head_dim"], 8
    ),
    **dict.fromkeys(
        ["intermediate_size", "ffn_dim", "d_ff", "d_inner", "n_inner", "ffn_hidden_size"], 48
    ),
    **dict.fromkeys(["encoder_ffn_dim", "decoder_ffn_dim", "moe_intermediate_size"], 48),
    **dict.fromkeys(["shared_expert_intermediate_size", "intermediate_size_mlp", "dim_ff"], 48),
    **dict.fromkeys(["moe_shared_expert_intermediate_size", "shared_intermediate_size"], 48),
    **dict.fromkeys(
        ["max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length"], 128
    ),
    **dict.fromkeys(["n_ctx", "max_source_positions", "max_target_positions"], 128),
    **dict.fromkeys(
        ["sliding_window", "attention_chunk_size", "local_attention", "window_size"], 8
    ),
    **dict.fromkeys(["sliding_window_size", "attention_window_size", "chunk_size_local"], 8),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"], 4),
    **dict.fromkeys(["num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token"], 2),
    **dict.fromkeys(["q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim"], 16),
    **dict.fromkeys(["qk_rope_head_dim"], 8),
    **dict.fromkeys(["qk_head_dim"], 24),
    **dict.fromkeys(["n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"], 1),
    **dict.fromkeys(["mamba_n_heads", "mamba_num_heads"], 4),
    **dict.fromkeys(["mamba_d_head", "mamba_head_dim", "linear_key_head_dim"], 16),
    **dict.fromkeys(["linear_value_head_dim", "mamba_d_state", "ssm_state_size", "state_size"], 16),
    **dict.fromkeys(["linear_num_key_heads", "linear_num_value_heads"], 2),
    **dict.fromkeys(["num_codebooks"], 2),
    **dict.fromkeys(["hidden_size_per_layer_input"], 8),
    **dict.fromkeys(["vocab_size_per_layer_input", "num_key_value_groups"], VOCABULARY),
    **dict.fromkeys(["rotary_dim"], 8),
    **dict.fromkeys(["pronunciation_vocab_size", "shape_vocab_size"], VOCABULARY),
    **dict.fromkeys(["index_topk"], 6),
    **dict.fromkeys(["index_n_heads"], HEADS),
    **dict.fromkeys(["index_head_dim", "entity_emb_size"], 16),
    **dict.fromkeys(["entity_vocab_size"], VOCABULARY),
    **dict.fromkeys(["shared_experts_intermediate_size"], 48),
    **dict.fromkeys(["mamba_d_ssm"], 64),
    **dict.fromkeys(["image_size"], 8),
    **dict.fromkeys(["patch_size"], 4),
}
"""What makes a config small, by the names that configs have."""

OFTEN_NONE = (
    *("head_dim", "num_key_value_heads", "sliding_window", "vocab_size"),
    *("n_routed_experts", "n_shared_experts", "num_experts_per_tok"),
)
"""What configs leave to be worked out of other sizes, or to whoever writes one."""

OF_TYPE: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "esm": {"mask_token_id": 3},
    "esmc": {"num_key_value_heads": HEADS},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], LAYERS // 2]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * (LAYERS // 2)},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * (LAYERS // 2)},
    "nemotron_h": {"n_groups": 1},
    "xmod": {"default_language": "en_XX"},
    "zaya": {"num_experts_per_tok": 1},
}
"""What makes a small model of a type whose other sizes need it."""

TOKENS = {
    **dict.fromkeys(["pad_token_id"], 0),
    **dict.fromkeys(["bos_token_id", "decoder_start_token_id", "cls_token_id"], 1),
    **dict.fromkeys(["eos_token_id", "sep_token_id", "forced_eos_token_id"], 2),
}


EVEN = {"num_key_value_heads": HEADS}
"""Latent attention gives each head its own keys."""


def small_config(config: type, **changes: Any) -> Any:
    """Return a small config of a class."""
    default = config()
    sizes = {name: value for name, value in SIZES.items() if _takes(default, name)} | TOKENS
    if _takes(default, "kv_lora_rank"):
        sizes |= EVEN
    for name in ("layer_types", "mlp_layer_types", "block_types"):
        kinds = getattr(default, name, None)
        if isinstance(kinds, list) and name in inspect.signature(config).parameters:
            sizes[name] = _few(kinds)
    for name in default.sub_configs:
        part = getattr(default, name, None)
        if part is not None:
            sizes[name] = small_config(type(part))
    return config(**sizes | OF_TYPE.get(config.model_type, {}) | changes)


def _takes(default: Any, name: str) -> bool:
    """Tell whether a config has a number of this name that can be set."""
    if _is_computed(type(default), name):
        return False
    try:
        value = getattr(default, name)
    except Exception:
        return False
    return type(value) is int or (value is None and name in OFTEN_NONE)


def _is_computed(config: type, name: str) -> bool:
    found = getattr(config, name, None)
    return isinstance(found, property) and found.fset is None


def _few(kinds: list[str]) -> list[str]:
    """Return a few layers that have every kind."""
    different = list(dict.fromkeys(kinds))
    return (different * LAYERS)[: max(LAYERS, len(different))]
