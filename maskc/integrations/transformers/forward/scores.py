"""What a model does to its scores besides the mask, from the keywords of its attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskc.errors import ModelError
from maskc.ir.in_trace import in_trace

CHANGES_ATTENTION = {
    "block_indices": "chooses blocks of keys by an index of its own",
    "cache": "keeps keys and values in pages",
    "head_mask": "scales its heads",
}
"""Keywords that no program of ours carries, and what they do."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a call does to its scores, as statements and the tensors that they read.

    Attributes:
        score: statements about the score, which the score of an attached program replaces.
        added: statements about it that stay: a mask of floats.
        out: statements about the output.
        inputs: the tensors, given at the call so that gradients reach them.
        chosen: the keys that the model chose for each query, ``[batch, queries, chosen]``.

    """

    score: tuple[str, ...]
    added: tuple[str, ...]
    out: tuple[str, ...]
    inputs: Mapping[str, Tensor]
    chosen: Tensor | None = None


READ = frozenset(
    {
        *CHANGES_ATTENTION,
        *("softcap", "position_bias", "s_aux", "sinks", "indices", "output_attentions"),
    }
)
"""The keywords that this looks at."""

LEFT_ALONE = Scores((), (), (), {})


def scores_of(keywords: Mapping[str, Any], prepared: Tensor | None, kv_len: int) -> Scores:
    """Return what a call does to its scores.

    Args:
        keywords: of the call: ``softcap``, ``s_aux`` (a logit a head that has no value),
            ``sinks`` (one a query), ``position_bias`` (added to the scores) and ``indices``
            (the keys of each query).
        prepared: a mask of floats that the caller prepared, added too.
        kv_len: keys; a table may be longer.

    Raises:
        ModelError: a keyword changes the attention in a way that no program carries.

    """
    if prepared is None and not in_trace() and READ.isdisjoint(keywords):
        return LEFT_ALONE
    for name, does in CHANGES_ATTENTION.items():
        if keywords.get(name) is not None:
            raise ModelError(
                "M903",
                f"the model {does} (`{name}`), which no program carries",
                help='take `attn_implementation="eager"` for it',
            )
    if keywords.get("output_attentions"):
        message = "the attention weights are asked for, which fused attention does not have"
        raise ModelError("M903", message, help='take `attn_implementation="eager"` for them')
    score: list[str] = []
    out: list[str] = []
    inputs: dict[str, Tensor] = {}
    if (cap := keywords.get("softcap")) is not None:
        score.append(f"score = softcap(score, {float(cap)})")
    if (bias := keywords.get("position_bias")) is not None:
        score += _bias("position_bias")
        inputs["position_bias"] = bias[..., :kv_len]
    if prepared is not None:
        inputs["prepared"] = prepared[..., :kv_len]
    if (sinks := keywords.get("s_aux")) is not None:
        out += ["input s_aux: float", "out = out * sink_gate(s_aux[head])"]
        inputs["s_aux"] = sinks.reshape(-1)
    if (logits := keywords.get("sinks")) is not None:
        out += ["input sink_logits: float", "out = out * sink_gate(sink_logits[head, q_idx])"]
        inputs["sink_logits"] = logits[..., 0]
    added = () if prepared is None else _bias("prepared")
    return Scores(tuple(score), added, tuple(out), inputs, keywords.get("indices"))


def _bias(name: str) -> tuple[str, ...]:
    return (f"input {name}: float", f"score = score + {name}[head, q_idx, kv_idx]")


def in_one_dtype(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return q, k and v as autocast gives them to torch's own attention: in its dtype."""
    device = query.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        return query.to(dtype), key.to(dtype), value.to(dtype)
    return query, key, value
