"""What a bound program offers, and that parts of a sequence or of a model fit together."""

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, create_mask

from maskc import BindError, Bound, compile_mask
from maskc.lower import flex
from maskc.lower.attention_call import AttentionCall

TEXTS = [
    "causal",
    "causal & window(5)",
    "causal & same_doc",
    "causal; score = score + alibi",
    "(causal | sinks(2)) & valid_keys; score = softcap(score, 2) + alibi",
    "axis h = 4, w = 5; abs(q.h - k.h) < 2 & same_doc",
    "topk(importance[k], 9) & causal; input importance: float",
]
LENGTH, HEADS, KV_HEADS = 20, 4, 2
SIZES = {"batch_size": 2, "num_heads": HEADS, "num_kv_heads": KV_HEADS, "device": "cpu"}


def inputs_of(text: str) -> dict[str, Tensor]:
    given = {
        "doc": torch.arange(LENGTH) // 7,
        "slopes": torch.tensor([0.5, 0.25, 0.125, 1.0]),
        "valid": torch.arange(LENGTH) != 6,
        "importance": torch.sin(torch.arange(float(LENGTH))),
    }
    names = {declared.name for declared in compile_mask(text).inputs}
    return {name: given[name] for name in given if name in names}


@pytest.fixture
def qkv() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, HEADS, LENGTH, 8), (2, KV_HEADS, LENGTH, 8), (2, KV_HEADS, LENGTH, 8))
    q, k, v = (torch.randn(shape, generator=generator) for shape in shapes)
    return q, k, v


QKV = tuple[Tensor, Tensor, Tensor]


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_decoding_with_a_cache_is_the_full_run(text: str, qkv: QKV) -> None:
    (q, k, v), program, inputs = qkv, compile_mask(text), inputs_of(text)
    whole = program(q, k, v, **inputs)
    for t in (0, 1, 7, LENGTH - 1):
        past = slice(0, t + 1)
        step = program(q[:, :, t : t + 1], k[:, :, past], v[:, :, past], q_offset=t, **inputs)
        if "causal" in text and "sinks" not in text:
            near(step, whole[:, :, t : t + 1])
        every = program(q[:, :, t : t + 1], k, v, q_offset=t, **inputs)
        near(every, whole[:, :, t : t + 1])


@pytest.mark.parametrize("text", TEXTS)
def test_chunked_prefill_is_the_full_run(text: str, qkv: QKV) -> None:
    (q, k, v), program, inputs = qkv, compile_mask(text), inputs_of(text)
    chunks = [
        program(q[:, :, at : at + 6], k, v, q_offset=at, **inputs) for at in range(0, LENGTH, 6)
    ]
    near(torch.cat(chunks, 2), program(q, k, v, **inputs))


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_parts_of_the_keys_merge_by_lse(text: str, qkv: QKV) -> None:
    (q, k, v), program, inputs = qkv, compile_mask(text), inputs_of(text)
    parts = [
        program(q, k[:, :, s], v[:, :, s], kv_offset=s.start, return_lse=True, **inputs)
        for s in (slice(0, 9), slice(9, LENGTH))
    ]
    lse = torch.stack([part[1] for part in parts])
    shares = lse.softmax(0).nan_to_num(0.0)
    merged = sum(share[..., None] * out for share, (out, _) in zip(shares, parts, strict=True))
    near(merged, program(q, k, v, **inputs))


@pytest.mark.parametrize("text", TEXTS)
def test_parts_of_the_heads_are_the_whole_model(text: str, qkv: QKV) -> None:
    (q, k, v), program, inputs = qkv, compile_mask(text), inputs_of(text)
    parts = [
        program(q[:, h : h + 2], k[:, g : g + 1], v[:, g : g + 1], head_offset=h, **inputs)
        for g, h in enumerate((0, 2))
    ]
    near(torch.cat(parts, 1), program(q, k, v, **inputs))


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_permuted_rows_are_permuted_outputs(text: str, qkv: QKV) -> None:
    (q, k, v), program, inputs = qkv, compile_mask(text), inputs_of(text)
    order, keys = (
        torch.randperm(LENGTH, generator=torch.Generator().manual_seed(s)) for s in (1, 2)
    )
    positions = {"q_positions": order, "kv_positions": keys}
    found = program(q[:, :, order], k[:, :, keys], v[:, :, keys], **positions, **inputs)
    near(found, program(q, k, v, **inputs)[:, :, order])


def test_offsets_for_each_batch(qkv: QKV) -> None:
    (q, k, v), program = qkv, compile_mask("causal & window(5)")
    offsets = torch.tensor([3, 11])
    found = program(q[:, :, :4], k, v, q_offset=offsets)
    for batch, offset in enumerate(offsets.tolist()):
        row = slice(batch, batch + 1)
        near(found[row], program(q[row, :, :4], k[row], v[row], q_offset=offset))


def test_a_pair_of_ids_in_cross_attention(qkv: QKV) -> None:
    (q, k, v), q_doc, k_doc = qkv, torch.arange(8) // 3, torch.arange(LENGTH) // 4
    found = compile_mask("same_doc")(q[:, :, :8], k, v, doc=(q_doc, k_doc))
    mask = q_doc[:, None] == k_doc
    expected = torch.nn.functional.scaled_dot_product_attention(
        q[:, :, :8], k, v, attn_mask=mask, enable_gqa=True
    )
    near(found, expected)


@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_late_inputs_get_gradients(backend: str, qkv: QKV) -> None:
    bound = compile_mask("causal; score = score + alibi").bind(q_len=LENGTH, **SIZES)
    assert bound.call_inputs == ("slopes",)
    for factor in (1.0, 2.0):
        slopes = torch.full((HEADS,), factor, requires_grad=True)
        bound(*qkv, slopes=slopes, backend=backend).square().sum().backward()
        assert slopes.grad.abs().min() > 0
    with pytest.raises(BindError, match="M402"):
        bound(*qkv)


def test_a_bound_program_serves_every_layer(qkv: QKV) -> None:
    bound = compile_mask("causal & same_doc").bind(
        q_len=LENGTH, doc=torch.arange(LENGTH) // 7, **SIZES
    )
    assert bound.block_mask is bound.block_mask
    assert bound.mask_mod is bound.mask_mod
    assert torch.equal(bound(*qkv), bound(*qkv))


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("causal", (1, 1)),
        ("causal & same_doc", (1, 1)),
        ("prefix", (2, 1)),
        ("abs(q - k) < head + 1", (1, HEADS)),
        ("prefix & abs(q - k) < head + 1", (2, HEADS)),
    ],
)
def test_block_masks_are_as_small_as_they_can_be(text: str, shape: tuple[int, int]) -> None:
    inputs = {
        **inputs_of(text),
        **({"prefix_len": torch.tensor([3, 9])} if "prefix" in text else {}),
    }
    bound = compile_mask(text).bind(q_len=LENGTH, block_size=16, **SIZES, **inputs)
    assert tuple(bound.block_mask.kv_num_blocks.shape[:2]) == shape
    dense = create_mask(bound.mask_mod, 2, HEADS, LENGTH, LENGTH, device="cpu")
    assert torch.equal(bound.dense_mask().expand_as(dense), dense)


@pytest.mark.parametrize("compact", [False, True])
def test_block_masks_are_those_of_torch(compact: bool) -> None:
    doc = torch.arange(150) // 40
    bound = compile_mask("causal & same_doc").bind(
        q_len=150, device="cpu", block_size=(16, 32), compact=compact, doc=doc
    )
    theirs = create_block_mask(
        bound.mask_mod, None, None, 150, 150, device="cpu", BLOCK_SIZE=(16, 32)
    )
    assert torch.equal(bound.block_mask.to_dense(), theirs.to_dense())


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("text", ["causal", "causal & same_doc"])
def test_inference_needs_no_tables_by_key(text: str, compact: bool) -> None:
    inputs = inputs_of(text)
    both, inference = (
        compile_mask(text).bind(
            q_len=LENGTH, block_size=16, compact=compact, backward=backward, **inputs
        )
        for backward in (True, False)
    )
    made = inference.flex_args()["block_mask"]
    assert torch.equal(made.to_dense(), both.block_mask.to_dense())
    assert both.block_mask.q_indices is not None
    assert (made.q_num_blocks, made.q_indices, made.full_q_indices) == (None, None, None)


def test_flex_trains_with_tables_by_key_alone() -> None:
    q = torch.empty(1, 1, 32, 8, device="meta", requires_grad=True)
    refused = {}
    for backward in (True, False):
        bound = compile_mask("causal").bind(q_len=32, backward=backward)
        refused[backward] = flex.refuses(bound._plan({}), AttentionCall(q, q, q, bound))
    assert refused == {True: None, False: flex.NO_TABLES_BY_KEY}


def test_sparsity_is_the_share_of_empty_tiles() -> None:
    bound = compile_mask("causal & window(20)").bind(q_len=160, block_size=16)
    assert bound.sparsity == pytest.approx(bound.block_mask.sparsity())
    ragged = compile_mask("causal").bind(q_len=150, block_size=(16, 32))
    assert ragged.sparsity == pytest.approx(100 * ragged.tiles.empty / 50)


def test_tiles_are_counted() -> None:
    tiles = compile_mask("causal").bind(q_len=64, block_size=16).tiles
    assert (tiles.full, tiles.partial, tiles.empty) == (6, 4, 6)
    assert sum(tiles.decided.values()) == 16


def test_nothing_masked_has_no_block_mask() -> None:
    bound = compile_mask("full").bind(q_len=8)
    assert bound.block_mask is None
    assert bound.sparsity == 0
    assert bound.attn_mask() is None
    assert bound.flex_args() == {"score_mod": None, "block_mask": None, "enable_gqa": False}


def empty_bound(policy: str) -> Bound:
    return compile_mask("k > q + 3", empty_rows=policy).bind(q_len=6, kv_len=8)


@pytest.mark.parametrize("policy", ["zero", "all", "nan"])
def test_empty_rows_are_known_before_any_policy(policy: str) -> None:
    bound = empty_bound(policy)
    assert bound.empty_rows.flatten().tolist() == [False] * 4 + [True] * 2
    assert bound.dense_mask()[0, 0, 4:].all() == (policy == "all")


@pytest.mark.parametrize("text", TEXTS)
def test_shapes_of_dense_masks_are_the_smallest(text: str) -> None:
    bound = compile_mask(text).bind(q_len=LENGTH, **SIZES, **inputs_of(text))
    if "softcap" not in text:
        mask = bound.attn_mask()
        heads = HEADS if "alibi" in text else 1
        assert mask.shape == (1, heads, LENGTH, LENGTH)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize(
    "text", ["start[doc[q]] <= k", "doc[q] * 100 - 150 < k", "abs(doc[q] - doc[k]) < 2"]
)
def test_ints_of_any_width_mean_the_same(text: str, dtype: torch.dtype) -> None:
    program = compile_mask("input start: int; " * ("start" in text) + text)
    given = {"doc": (torch.arange(6) % 3 * 2).to(dtype), "start": torch.tensor([0, 1, 2, 3, 4])}
    inputs = {declared.name: given[declared.name] for declared in program.inputs}
    bound = program.bind(q_len=6, device="cpu", **inputs)
    wide = program.bind(q_len=6, device="cpu", **{n: x.long() for n, x in inputs.items()})
    assert torch.equal(bound.dense_mask(), wide.dense_mask())
    found = create_mask(bound.mask_mod, 1, 1, 6, 6, device="cpu")
    assert torch.equal(found, wide.dense_mask().expand_as(found))
    assert torch.equal(bound.block_mask.to_dense(), wide.block_mask.to_dense())


@pytest.mark.parametrize("policy", ["zero", "all", "nan"])
@pytest.mark.parametrize(
    "backend", ["reference", "sdpa", pytest.param("flex", marks=pytest.mark.compiled)]
)
def test_a_policy_sees_rows_that_empty_later(policy: str, backend: str) -> None:
    program = compile_mask("valid_keys & window(2)", empty_rows=policy)
    valid = torch.tensor([True, False, False, True, True, False])
    q, k, v = torch.randn(3, 1, 1, 6, 8)
    bound = program.bind(q_len=6, valid=valid)
    bound(q, k, v, backend=backend)
    for change in (torch.logical_not, torch.zeros_like, torch.ones_like):
        valid.copy_(change(valid))
        expected = program(q, k, v, valid=valid.clone(), backend="reference")
        found = bound(q, k, v, backend=backend)
        torch.testing.assert_close(found, expected, equal_nan=True)
        assert torch.equal(bound.empty_rows, program.bind(q_len=6, valid=valid).empty_rows)


def test_an_error_policy_sees_rows_that_empty_later() -> None:
    valid = torch.tensor([True, False, True])
    bound = compile_mask("valid_keys & causal", empty_rows="error").bind(q_len=3, valid=valid)
    valid[0] = False
    q, k, v = torch.randn(3, 1, 1, 3, 8)
    with pytest.raises(BindError, match="2 query rows have no key"):
        bound(q, k, v)
