"""What the language writes for names that people know from papers and other libraries."""

from __future__ import annotations

_WRITTEN = {
    "sliding_window sliding swa local_window sliding_window_causal sliding_window_attention": (
        "causal & window({argument})",
        "; `window(n)` alone looks both ways",
    ),
    "is_causal causal_mask causal_attention autoregressive lower_triangular tril": ("causal", ""),
    "bidirectional noncausal non_causal no_mask": ("full", ""),
    "prefix_lm prefix_causal prefix_mask": (
        "causal | prefix",
        ", and bind `prefix_len`, one length for each batch",
    ),
    "document documents document_mask doc_mask same_document same_documents document_masking "
    "document_ids doc_ids doc_id document_id segment_ids segment_id same_segment sequence_ids "
    "packed packing block_diagonal": (
        "same_doc",
        ", and bind `doc`, the document id of each token",
    ),
    "attention_mask padding padding_mask pad_mask not_padding": (
        "valid_keys",
        ", and bind `valid`, true for a token that is no padding; lengths are for `left_padded` "
        "and `right_padded`",
    ),
    "key_padding_mask src_key_padding_mask": (
        "valid_keys",
        ", and bind `valid=~key_padding_mask`: torch's is true for padding",
    ),
    "attn_mask mask_tensor dense_mask": ("explicit", ", and bind `allowed`: heads, queries, keys"),
    "attn_bias attention_bias": (
        "input bias: float; score = score + bias[head, q, k]",
        "",
    ),
    "chunk chunked_attention block_local": ("chunked({argument})", ""),
    "attention_sink attention_sinks sink_tokens": (
        "sinks({argument}) | window(512)",
        "; a learned sink is `out = out * sink_gate(sink[head])`",
    ),
    "soft_cap logit_cap logits_soft_cap logit_softcapping tanh_softcap": (
        "score = softcap(score, 30)",
        "",
    ),
    "alibi_bias alibi_slopes": ("score = score + alibi", ", and bind `slopes`"),
    "rel_pos relative_position decomposed_rel_pos": (
        "axis h = 16, w = 16; score = score + relpos(h, w)",
        "",
    ),
}
"""Names; what is written for them, with the argument that they were given; and what to know."""

_ARGUMENT = "512"


def written_for(name: str, argument: str | None = None) -> str | None:
    """Return how the language writes ``name``, or None where nothing is known about it."""
    result = _BY_NAME.get(_key(name))
    if result is None:
        return None
    program, more = result
    return f"write `{program.format(argument=argument or _ARGUMENT)}`{more}"


def programs() -> tuple[str, ...]:
    """Return every program that is suggested."""
    return tuple(program.format(argument=_ARGUMENT) for program, _ in _WRITTEN.values())


def _key(name: str) -> str:
    return name.lower().replace("_", "")


_BY_NAME = {_key(name): meant for names, meant in _WRITTEN.items() for name in names.split()}
