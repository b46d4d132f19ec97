"""A program against a callable or a dense tensor."""

from __future__ import annotations

import pytest
import torch

import maskc
from maskc.testing import matches


def test_a_callable_and_a_tensor() -> None:
    program = maskc.compile_mask("causal & same_doc")
    doc = torch.tensor([0, 0, 1, 1, 1])
    sizes = {"q_len": 5, "batch_size": 2, "num_heads": 3, "doc": doc}

    def mask_mod(b, h, q, k):
        return (q >= k) & (doc[q] == doc[k])

    def shifted(b, h, q, k):
        return (q >= k) & (doc[q] == doc[k]) & (b == 0)

    assert matches(program, mask_mod, **sizes)
    assert str(matches(program, shifted, **sizes)) == (
        "mask differs at 27 of 150 pairs, first b=1, h=0, q=0, k=0: True, expected False"
    )
    dense = (doc[:, None] == doc).tril()
    assert matches(program, dense, **sizes)
    dense[4, 4] = False
    assert "first b=0, h=0, q=4, k=4: True, expected False" in str(matches(program, dense, **sizes))


def test_a_score_is_compared_where_the_mask_allows_it() -> None:
    program = maskc.compile_mask("causal; score = score * 2.0")
    assert matches(program, lambda s, b, h, q, k: torch.where(q >= k, 2 * s, 0), q_len=6)
    found = matches(program, lambda s, b, h, q, k: 2 * s + (q == 5) * 1.0, q_len=6)
    assert not found
    assert str(found).startswith("score differs at 6 of 36 pairs, first b=0, h=0, q=5, k=0")
    assert matches(maskc.compile_mask("causal"), lambda s, b, h, q, k: s, q_len=6)


def test_a_tensor_has_sizes_and_a_callable_none() -> None:
    causal = maskc.compile_mask("causal")
    for shape in [(5, 7), (3, 5, 7), (2, 3, 5, 7)]:
        assert matches(causal, torch.ones(shape).tril().bool())
        assert not matches(causal, torch.ones(shape).bool())
    with pytest.raises(maskc.BindError, match=r"M402.*q_len"):
        matches(causal, lambda b, h, q, k: q >= k)


def test_what_a_callable_raises_is_told() -> None:
    causal = maskc.compile_mask("causal")
    for wrong in (lambda: 0, lambda b, h, q, k: q.item() >= k, lambda b, h, q, k: undefined):  # noqa: F821
        with pytest.raises(maskc.TraceError, match=r"M810.*raised"):
            matches(causal, wrong, q_len=4)
