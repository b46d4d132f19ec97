"""Tables in half precision, at lengths whose positions half precision cannot hold."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from maskc import compile_mask

HALVES = [torch.bfloat16, torch.float16]
LENGTHS = [261, 2053]
"""Just over the first odd position that bfloat16 and float16 round."""


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "backend", ["sdpa", "reference", pytest.param("flex", marks=pytest.mark.compiled)]
)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", HALVES)
def test_positions_beside_a_half_table_stay_exact(
    dtype: torch.dtype, length: int, backend: str
) -> None:
    slopes = torch.tensor([-0.25, -0.0625], dtype=dtype)
    program = compile_mask("causal; score = score + alibi")
    bound = program.bind(q_len=3, kv_len=length, num_heads=2, q_offset=length - 3, slopes=slopes)
    q, k, v = drawn(1, 2, 3, 4), drawn(1, 2, length, 4), drawn(1, 2, length, 4)
    row, key = torch.arange(length - 3, length)[:, None], torch.arange(length)
    bias = slopes.float()[:, None, None] * (key - row)
    expected = scaled_dot_product_attention(q, k, v, bias.masked_fill(key > row, -torch.inf)[None])
    torch.testing.assert_close(bound(q, k, v, backend=backend), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", HALVES)
def test_a_half_limit_masks_the_rows_it_says(dtype: torch.dtype, length: int) -> None:
    limit = torch.tensor([length - 5.0, 256.0], dtype=dtype)
    program = compile_mask("input t: float; q < t[head]")
    bound = program.bind(q_len=length, num_heads=2, t=limit)
    expected = torch.arange(length) < limit.double()[:, None]
    assert torch.equal(bound.dense_mask()[0, :, :, 0], expected)
    rows = torch.arange(length)
    heads = torch.arange(2)[:, None]
    assert torch.equal(bound.mask_mod(rows[0], heads, rows, rows[0]), expected)
    module: dict[str, Any] = {}
    exec(program.emit("sdpa"), module)
    q = drawn(1, 2, length, 4)
    assert torch.equal(module["attn_mask"](q, q, t=limit)[0, :, :, 0], expected)


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "int"])
@pytest.mark.parametrize("dtype", HALVES)
def test_half_floats_round_as_all_others_do(name: str, dtype: torch.dtype) -> None:
    table = torch.tensor([1.5, -2.25, 60000.0, float("inf")], dtype=dtype)
    bounds = [
        compile_mask(f"input t: float; {name}(t[k]) * 2 > q").bind(q_len=4, t=given)
        for given in (table, table.double())
    ]
    assert torch.equal(*(bound.dense_mask() for bound in bounds))


def test_factors_of_half_queries_are_rounded_once() -> None:
    gains = drawn(2, 17).abs() + 0.5
    program = compile_mask("input f: float; input g: float; score = score * f[q_idx] * g[kv_idx]")
    bound = program.bind(q_len=17, f=gains[0], g=gains[1])
    q, k, v = (x.bfloat16() for x in drawn(3, 1, 1, 17, 8))
    folded: dict[str, Any] = {"f": gains[0][:, None], "g": gains[1][:, None]}
    expected = scaled_dot_product_attention(
        (q.float() * folded["f"]).bfloat16(), (k.float() * folded["g"]).bfloat16(), v
    )
    assert torch.equal(bound(q, k, v, backend="sdpa"), expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_an_epilogue_counts_positions_beside_a_half_output(dtype: torch.dtype) -> None:
    program = compile_mask("out = (out + q) - q")
    q = torch.ones(1, 1, 261, 4, dtype=dtype)
    found = program(q, q, q, backend="sdpa")
    torch.testing.assert_close(found, q, rtol=0, atol=2**-7)
