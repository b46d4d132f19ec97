"""A mask by the evaluator is the bound mask, and what it cannot tell it leaves to the binding."""

from __future__ import annotations

import numpy as np
import pytest

from maskc import compile_mask
from maskc.view.by_point import by_point

SIZES = {"batch_size": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 7, "kv_len": 9}


@pytest.mark.parametrize(
    "text",
    [
        "full",
        "causal",
        "causal_lower_right & window(3)",
        "chunked(4)",
        "q + head == k",
        "batch < 1",
    ],
)
def test_it_is_the_bound_mask(text: str) -> None:
    program = compile_mask(text)
    dense = program.bind(**SIZES).dense_mask().expand(2, 4, 7, 9).numpy()
    for batch, head in ((0, 0), (1, 3)):
        found = by_point(program, SIZES, batch, head)
        assert found is not None
        assert np.array_equal(found, dense[batch, head])


@pytest.mark.parametrize(
    "text", ["same_doc", "k < topk(q * k, 2)", "q % k == 0", "q // (k - 3) < 2"]
)
def test_the_rest_is_left_to_the_binding(text: str) -> None:
    text = "topk(-abs(q - k), 2)" if "topk" in text else text
    assert by_point(compile_mask(text), SIZES, 0, 0) is None


def test_large_masks_and_policies_are_left_to_the_binding() -> None:
    assert by_point(compile_mask("causal"), {**SIZES, "q_len": 512, "kv_len": 512}, 0, 0) is None
    assert by_point(compile_mask("k > q", empty_rows="all"), SIZES, 0, 0) is None
