"""The backward kernel of a GPU: gradients of q, k and v, and of tables that the score reads."""

from typing import Any

import pytest
import torch
from agreement import assert_backward_agrees, normal_qkv
from attend import gpu_args
from torch import Tensor

from maskc import Bound, compile_mask

S, BLOCK = 80, 32
"""Tokens, and queries and keys of a block: three by three, the last ones ragged."""

DOC = torch.tensor([0] * 30 + [1] * 20 + [2] * 30)


def bound_to(text: str, **keywords: Any) -> Bound:
    return compile_mask(text).bind(**{"q_len": S, "block_size": BLOCK, **keywords})


PROGRAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "causal": ("causal", {}),
    "a window and a softcap": ("causal & window(40); score = softcap(score, 3)", {}),
    "a bias by formula": ("causal; score = score - 0.1 * (q - k) * (head + 1)", {"num_heads": 2}),
    "ranges of keys": ("causal & same_doc", {"doc": DOC}),
    "grouped queries": ("causal & window(40)", {"num_heads": 2, "num_kv_heads": 1}),
    "a mask by batch": (
        "causal & same_doc",
        {"doc": torch.stack([DOC, DOC.flip(0)]), "batch_size": 2},
    ),
    "more keys than queries": ("causal_lower_right", {"q_len": 50, "kv_len": S}),
    "rows without keys": ("causal & k > 40", {}),
    "compact tables": ("causal & window(20)", {"compact": True}),
    "a factor": ("causal; score = score * 0.5 + 0.01 * k", {}),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_qkv(name: str) -> None:
    text, keywords = PROGRAMS[name]
    assert_backward_agrees(bound_to(text, **keywords))


TABLES: dict[str, tuple[str, Tensor]] = {
    "by distance": ("score = score + t[head, clamp(q - k, 0, 15)]", torch.randn(2, 16)),
    "by head": ("score = score + t[head] * (k - q)", torch.rand(2) / 10),
    "by key": ("score = score * t[k]", torch.rand(S)),
    "by pair": ("score = score + t[q, k]", torch.randn(S, S)),
    "twice the same": ("score = score + t[k] * t[k]", torch.rand(S)),
    "one for all": ("score = score + t[0] * (k - q)", torch.rand(1) / 10),
    "one for all heads": ("score = score + t[head, clamp(q - k, 0, 15)]", torch.randn(1, 16)),
    "an entry by number": ("score = score * t[1]", torch.rand(3)),
}


@pytest.mark.parametrize("name", TABLES)
def test_gradients_of_a_table(name: str) -> None:
    text, table = TABLES[name]
    table.requires_grad_()
    bound = bound_to(f"input t: float; causal; {text}", num_heads=2, t=table)
    assert_backward_agrees(bound, table)


def test_a_swapped_table_of_queries_is_caught() -> None:
    """Nothing but the backward kernel reads the ``q_*`` tables."""
    bound = bound_to("causal & window(20)")
    args = gpu_args(bound)
    indices = args["block_mask"].q_indices
    indices[..., :2, :] = indices[..., [1, 0], :]
    with pytest.raises(AssertionError):
        assert_backward_agrees(bound, args=args)


def test_a_slope_of_another_cap_is_caught() -> None:
    bound = bound_to("causal; score = softcap(score, 3)")
    planted = gpu_args(bound_to("causal; score = softcap(score, 2)"))
    with pytest.raises(AssertionError):
        assert_backward_agrees(bound, args=planted)


def test_a_wide_head() -> None:
    bound = bound_to("causal & window(40)")
    assert_backward_agrees(bound, qkv=normal_qkv(bound, 48))
