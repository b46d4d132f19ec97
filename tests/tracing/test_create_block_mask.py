"""``maskc.create_block_mask`` in the place of torch's: its arguments, its tables, its fallback."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from block_tables import assert_same_tables
from corpus.cases import Mod, documents
from torch.nn.attention.flex_attention import create_block_mask, flex_attention, noop_mask

import maskc

LENGTHS = {"Q_LEN": 100, "KV_LEN": 75, "device": "cpu"}


def documents_of(batch: int) -> Mod:
    doc = documents(batch, 100)
    return lambda b, h, q, k: (doc[b, q] == doc[b, k]) & (q >= k - h)


@pytest.mark.parametrize("sizes", [(2, 3), (2, None), (None, 3), (None, None), (1, 1)])
@pytest.mark.parametrize("separate", [True, False])
def test_tables_are_torch_s_for_any_batches_and_heads(
    sizes: tuple[int | None, int | None], separate: bool
) -> None:
    arguments = {**LENGTHS, "BLOCK_SIZE": (16, 32), "separate_full_blocks": separate}
    for mod in (documents_of(2), noop_mask, lambda b, h, q, k: q < 0):
        found = maskc.create_block_mask(mod, *sizes, **arguments, fallback="error", verify=True)
        assert_same_tables(found, create_block_mask(mod, *sizes, **arguments))
        assert found.mask_mod is mod


def block_diffusion(n: int, size: int) -> Mod:
    """attention-gym's mask: flags compared with each other (arXiv:2503.09573)."""

    def mod(b, h, q, k):
        clean_q, clean_k = q >= n, k >= n
        block_q = torch.where(clean_q, (q - n) // size, q // size)
        block_k = torch.where(clean_k, (k - n) // size, k // size)
        diagonal = (block_q == block_k) & (clean_q == clean_k)
        offset = (block_q > block_k) & clean_k & ~clean_q
        return diagonal | offset | (block_q >= block_k) & clean_k & clean_q

    return mod


def bd3lm(n: int, size: int) -> Mod:
    """The same mask as BD3-LM writes it: flags compared with numbers."""

    def mod(b, h, q, k):
        flag_q, flag_k = q >= n, k >= n
        block_q = torch.where(flag_q == 1, (q - n) // size, q // size)
        block_k = torch.where(flag_k == 1, (k - n) // size, k // size)
        diagonal = (block_q == block_k) & (flag_q == flag_k)
        offset = (block_q > block_k) & (flag_k == 1) & (flag_q == 0)
        return diagonal | offset | (block_q >= block_k) & (flag_k == 1) & (flag_q == 1)

    return mod


@pytest.mark.parametrize("build", [block_diffusion, bd3lm])
def test_block_diffusion_of_16384_tokens(build: Callable[[int, int], Mod]) -> None:
    """torch's compiled ``create_block_mask`` fails here; blocks of four tiles leave no partial."""
    tiles, tile = 128, 128
    length = tiles * tile
    mod = build(length // 2, 4 * tile)
    found = maskc.create_block_mask(
        mod, None, None, length, length, "cpu", tile, fallback="error", verify=True
    )
    a_token_a_tile = create_block_mask(build(tiles // 2, 4), None, None, tiles, tiles, "cpu", 1)
    assert not found.kv_num_blocks.any()
    assert torch.equal(found.to_dense(), a_token_a_tile.to_dense())
    assert torch.equal(found.full_kv_num_blocks, a_token_a_tile.full_kv_num_blocks)


def test_it_runs_in_flex_attention() -> None:
    mod = documents_of(2)
    q, k, v = (torch.randn(2, 3, length, 16) for length in (100, 75, 75))
    masks = [
        create(mod, 2, 3, 100, 75, "cpu", 32)
        for create in (maskc.create_block_mask, create_block_mask)
    ]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, wanted = (flex_attention(q, k, v, block_mask=mask) for mask in masks)
    torch.testing.assert_close(found, wanted)


def test_a_changed_number_takes_effect() -> None:
    width = 3

    def near(b, h, q, k):
        return (q - k).abs() < width

    for width in (3, 20, 3):  # noqa: B007 - the closure reads it
        for _ in range(2):  # evaluated by torch at first, then compiled
            found = maskc.create_block_mask(near, None, None, 64, 64, "cpu", 8)
            assert_same_tables(found, create_block_mask(near, None, None, 64, 64, "cpu", 8))


def test_a_tensor_changed_in_place_takes_effect() -> None:
    doc = torch.zeros(64, dtype=torch.long)

    def same(b, h, q, k):
        return doc[q] == doc[k]

    for _ in range(2):
        for part in (64, 32, 11):
            doc[part:] += 1
            arguments = (None, None, 64, 64, "cpu", 8)
            found = maskc.create_block_mask(same, *arguments, fallback="error")
            assert_same_tables(found, create_block_mask(same, *arguments))


def untraceable(b, h, q, k):
    return torch.gcd(q + 1, k + 1) == 1


def test_what_is_not_traced_falls_back_to_torch_and_says_so_once() -> None:
    arguments = (untraceable, None, None, 40, 40, "cpu", 8)
    with pytest.warns(maskc.TracingWarning, match=r"`gcd` has no translation"):
        found = maskc.create_block_mask(*arguments)
    assert_same_tables(found, create_block_mask(*arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maskc.create_block_mask(*arguments)
        maskc.create_block_mask(*arguments, fallback="silent")
    with pytest.raises(maskc.TraceError, match="M807"):
        maskc.create_block_mask(*arguments, fallback="error")


def test_tensors_that_do_not_fit_fall_back_too() -> None:
    doc = documents(20)
    mod = lambda b, h, q, k: doc[q] == doc[k]  # noqa: E731
    with pytest.raises(maskc.BindError, match="20 too few"):
        maskc.create_block_mask(mod, None, None, 40, 40, "cpu", 8, fallback="error")
    with pytest.raises(maskc.BindError, match="20 too few") as caught:
        maskc.create_block_mask(mod, None, None, 40, 40, "cpu", 8, fallback="silent")
    assert isinstance(caught.value.__cause__, IndexError)


def test_where_torch_fails_too_the_error_names_the_line_and_the_fix() -> None:
    def branching(b, h, q, k):
        return k > 2 if q > 3 else k >= 0

    with pytest.raises(maskc.TraceError, match=r"M801(.|\n)*if q > 3(.|\n)*torch\.where") as caught:
        maskc.create_block_mask(branching, None, None, 40, 40, "cpu", 8, fallback="silent")
    assert "vmap" in str(caught.value.__cause__)


def test_an_unknown_fallback() -> None:
    with pytest.raises(maskc.MaskNameError, match="did you mean `silent`"):
        maskc.create_block_mask(noop_mask, None, None, 8, 8, "cpu", fallback="silently")


def test_verify_finds_a_wrong_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    from maskc.tracing.operations import elementwise

    def near(b, h, q, k):
        return q - k <= 3

    monkeypatch.setitem(elementwise.ELEMENTWISE, "le", elementwise.ELEMENTWISE["lt"])
    with pytest.raises(maskc.TraceError) as caught:
        maskc.create_block_mask(near, None, None, 64, 64, "cpu", 8, verify=True, fallback="silent")
    assert caught.value.code == "M811"
    assert "def near" in caught.value.span.text


def test_the_order_of_writes_is_torch_s() -> None:
    arguments = {**LENGTHS, "BLOCK_SIZE": 16, "compute_dq_write_order": True}
    mod = documents_of(2)
    found = maskc.create_block_mask(mod, 2, 3, **arguments, fallback="error")
    wanted = create_block_mask(mod, 2, 3, **arguments)
    listed = torch.arange(wanted.q_indices.shape[-1]) < wanted.q_num_blocks[..., None]
    assert torch.equal(found.dq_write_order[listed], wanted.dq_write_order[listed])
    assert found.dq_kv_order_spt is wanted.dq_kv_order_spt


@pytest.mark.compiled
def test_within_a_graph_it_is_torch_s() -> None:
    def build(size: torch.Tensor) -> torch.Tensor:
        def near(b, h, q, k):
            return q - k < size

        return maskc.create_block_mask(near, None, None, 64, 64, "cpu", 8).kv_num_blocks

    found = torch.compile(build, backend="eager")(torch.tensor(9))
    assert torch.equal(found, build(torch.tensor(9)))
