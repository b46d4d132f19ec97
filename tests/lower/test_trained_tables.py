"""Which inputs get a gradient from FlexAttention on a GPU, for which ``meta`` stands here."""

import pytest
import torch

from maskc import Bound, compile_mask
from maskc.lower.attention_call import AttentionCall, Refusal
from maskc.lower.flex import refuses

Q = torch.empty(1, 2, 8, 16, device="meta", requires_grad=True)


def refusal(bound: Bound) -> Refusal | None:
    return refuses(bound._plan({}), AttentionCall(Q, Q, Q, bound))


def refused(term: str, table: torch.Tensor) -> str | None:
    program = compile_mask(f"input t: float; causal; score = score + {term}")
    bound = program.bind(q_len=8, num_heads=2, t=table.requires_grad_())
    found = refusal(bound)
    return found and f"{found.code}: {found.message}"


@pytest.mark.parametrize("term", ["t[k]", "t[k] * t[k]", "t[q - k + 7]"])
def test_one_read_has_a_gradient(term: str) -> None:
    assert refused(term, torch.rand(15)) is None


@pytest.mark.parametrize(("term", "shape"), [("t[q] - t[k]", (8,)), ("t * (k - q)", ())])
def test_other_reads_have_none(term: str, shape: tuple[int, ...]) -> None:
    assert refused(term, torch.rand(shape)) == (
        "M516: on a GPU flex_attention has a gradient for a tensor that the score reads in one "
        "place, by a subscript, which is not so for `t`"
    )


def test_a_table_without_a_gradient_may_be_read_anywhere() -> None:
    program = compile_mask("input t: float; causal; score = score + t[q] - t[k]")
    bound = program.bind(q_len=8, num_heads=2, t=torch.rand(8))
    assert refusal(bound) is None
