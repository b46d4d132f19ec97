"""Within ``torch.compile`` a graph builds its block mask itself, if none was built before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from environments import environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import rows_of_case
from strategies import masks
from torch._dynamo.utils import counters

import maskc
from maskc.analysis.tables.block_tables import Tables, block_tables
from maskc.analysis.tiles.classify import tile_map
from maskc.blocks import traced
from maskc.ir.nodes import Expr
from maskc.ir.types import Sz

B, H, HKV, S, D = 2, 4, 2, 40, 24
TEXT = "input n: int; causal & same_doc & q - k < n; score = softcap(score, 20)"


def bind(program: maskc.Program, length: int = S, **more: Any) -> maskc.Bound:
    sizes = {"q_len": length, "batch_size": B, "num_heads": H, "num_kv_heads": HKV}
    doc = torch.randint(0, 3, (B, length))
    return program.bind(**sizes, block_size=8, doc=doc, **more)


def qkv(length: int = S) -> list[torch.Tensor]:
    return [torch.randn(B, heads, length, D) for heads in (H, HKV, HKV)]


@settings(max_examples=examples(60))
@given(
    st.data(),
    masks(),
    st.tuples(*[st.sampled_from([1, 2, 5, 8])] * 2),
    st.booleans(),
    st.booleans(),
)
def test_the_operation_gives_the_tables_and_tells_their_shapes(
    data: st.DataObject, mask: Expr, block: tuple[int, int], positions: bool, backward: bool
) -> None:
    case = data.draw(environments(mask, positions=positions, pairs=True))
    expr, domain = rows_of_case(mask, case)
    known = traced.blocks(expr, domain.device, block, backward)
    read = [domain.tensors[name] for name in known.names]
    args = (known.number, [domain.sizes[size] for size in Sz], read)
    expected = block_tables(tile_map(expr, domain, block), backward=backward)
    found = traced.traced_block_mask(known, domain)
    for name, table in zip(Tables._fields, expected, strict=True):
        made = getattr(found, name)
        assert made is None if table is None else torch.equal(made, table), name
    torch.library.opcheck(known.operation, args, test_utils=("test_schema", "test_faketensor"))


def test_one_graph_builds_the_tables_of_every_step():
    program = maskc.compile_mask(TEXT)
    compiled = torch.compile(
        lambda q, k, v, bound: bound(q, k, v, backend="flex"), fullgraph=True, backend="aot_eager"
    )
    before = counters["stats"]["unique_graphs"]
    for step in range(3):
        bound, tensors = bind(program, n=5 + step), qkv()
        found = compiled(*tensors, bound)
        assert bound._state.blocks.built is None
        torch.testing.assert_close(found, bound(*tensors, backend="reference"))
    assert counters["stats"]["unique_graphs"] - before == 1


@pytest.mark.compiled
def test_new_lengths_compile_once_more():
    program = maskc.compile_mask(TEXT)
    compiled = torch.compile(
        lambda q, k, v, bound: bound(q, k, v, backend="flex"), fullgraph=True, backend="aot_eager"
    )
    before = counters["stats"]["unique_graphs"]
    for length in (33, 47, 61, 90):
        bound, tensors = bind(program, length, n=5), qkv(length)
        torch.testing.assert_close(compiled(*tensors, bound), bound(*tensors, backend="reference"))
    assert counters["stats"]["unique_graphs"] - before == 2


@pytest.mark.parametrize("built", [True, False])
def test_the_parts_can_be_taken_within_a_trace(built: bool):
    from torch.nn.attention.flex_attention import flex_attention

    bound, tensors = bind(maskc.compile_mask(TEXT), n=5), qkv()
    if built:
        assert bound.block_mask is not None

    @torch.compile(fullgraph=True, backend="aot_eager")
    def attend(q, k, v, bound):
        return flex_attention(q, k, v, **bound.flex_args())

    torch.testing.assert_close(attend(*tensors, bound), bound(*tensors, backend="reference"))


@pytest.mark.compiled
def test_compiled_kernels_read_the_tables_of_the_graph():
    """Only a compiled kernel skips tiles, so only it shows that the tables are right."""
    bound, tensors = bind(maskc.compile_mask(TEXT), n=5), qkv()
    compiled = torch.compile(
        lambda q, k, v, bound: bound(q, k, v, backend="flex"), fullgraph=True, dynamic=False
    )
    expected = bound(*tensors, backend="reference")
    torch.testing.assert_close(compiled(*tensors, bound), expected, atol=1e-5, rtol=1e-5)
