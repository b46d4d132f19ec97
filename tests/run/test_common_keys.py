"""A decode step whose keys stand side by side is attention to a slice of the cache, unmasked."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from maskc import compile_mask
from maskc.blocks.mask_blocks import MaskBlocks
from maskc.run.bound import Bound

LENGTH = 30
TEXTS: dict[str, dict[str, Any]] = {
    "full": {},
    "causal": {},
    "causal & window(7)": {},
    "window(3, 4)": {},
    "causal & (sinks(2) | window(5))": {},
    "causal & chunked(8)": {},
    "causal & same_doc": {"doc": torch.arange(LENGTH) // 11},
    "causal & doc[q] == doc[k]; input doc: int": {"doc": torch.arange(LENGTH) % 5 // 2},
    "causal & prefix": {"prefix_len": torch.tensor([3, 9])},
    "causal & (head < 1 | window(4))": {},
    "k > q + 40": {},
}


def step(text: str, kv_len: int, q_offset: int) -> Bound:
    sizes = {"batch_size": 2, "num_heads": 2, "num_kv_heads": 1, "q_len": 1, "kv_len": kv_len}
    return compile_mask(text).bind(**sizes, q_offset=q_offset, **TEXTS[text])


def assert_right(text: str, kv_len: int, q_offset: int) -> None:
    bound = step(text, kv_len, q_offset)
    random = torch.Generator().manual_seed(kv_len)
    q = torch.randn(2, 2, 1, 8, generator=random)
    k, v = torch.randn(2, 2, 1, kv_len, 8, generator=random)
    expected = bound(q, k, v, backend="reference", return_lse=True)
    for backend in ("sdpa", "auto"):
        found = bound(q, k, v, backend=backend, return_lse=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    dense = bound.dense_mask()
    if bound.common_keys is not None:
        keys = torch.zeros(kv_len, dtype=torch.bool)
        keys[bound.common_keys.start : bound.common_keys.stop] = True
        assert bool((dense == keys).all())


@settings(max_examples=examples(80))
@given(st.sampled_from(sorted(TEXTS)), st.integers(1, LENGTH), st.integers(0, LENGTH - 1))
@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
def test_keys_are_those_of_the_mask(text: str, kv_len: int, q_offset: int) -> None:
    assert_right(text, kv_len, q_offset)


@pytest.mark.parametrize("name", ["first", "stop"])
def test_a_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MaskBlocks.common_keys.func
    shift = {"first": (1, 0), "stop": (0, -1)}[name]

    def wrong(self: MaskBlocks) -> range | None:
        keys = real(self)
        return None if keys is None else range(keys.start + shift[0], keys.stop + shift[1])

    monkeypatch.setattr(MaskBlocks, "common_keys", property(wrong))
    with pytest.raises(AssertionError):
        assert_right("causal & window(7)", 20, 19)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("causal & window(7)", range(13, 20)),
        ("causal & same_doc", range(11, 20)),
        ("causal & (sinks(2) | window(5))", None),
        ("causal & prefix", None),
    ],
)
def test_a_slice_needs_no_mask(text: str, keys: range | None) -> None:
    bound = step(text, 25, 19)
    assert bound.common_keys == keys
    q, k = torch.randn(2, 2, 1, 8), torch.randn(2, 1, 25, 8)
    sdpa = torch.nn.functional.scaled_dot_product_attention
    functional = torch.nn.functional
    with mock.patch.object(functional, "scaled_dot_product_attention", side_effect=sdpa) as spy:
        bound(q, k, k)
    (call,) = spy.call_args_list
    assert (call.kwargs["attn_mask"] is None) is (keys is not None)
    assert call.args[1].shape[2] == (25 if keys is None else len(keys))
