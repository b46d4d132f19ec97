"""What torch computes in few bits, where a program does not: the same, or refused."""

from __future__ import annotations

import pytest
import torch
from block_tables import assert_same_tables
from corpus.cases import Mod
from torch.nn.attention.flex_attention import create_block_mask

import maskc
from maskc.testing import matches

HALVES = (torch.float16, torch.bfloat16)


def bind(mod: Mod, q_len: int) -> maskc.Bound:
    return maskc.trace(mod).bind(q_len=q_len)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("bound", [0.1, 0.3, 0.7, 1 / 3])
def test_a_number_that_a_half_precision_rounds_is_refused(dtype: torch.dtype, bound: float) -> None:
    table = torch.full((8,), bound, dtype=dtype)
    for mod in (
        lambda b, h, q, k: table[k] <= bound,
        lambda b, h, q, k: table[k] >= bound,
        lambda b, h, q, k: table[k].clamp(max=bound) == table[q],
    ):
        with pytest.raises(maskc.TraceError, match="M806"):
            maskc.trace(mod)
    for mod in (
        lambda b, h, q, k: table[k] <= 0.5,
        lambda b, h, q, k: table[k] >= table[q],
        lambda b, h, q, k: table[k].float() >= bound,
        lambda b, h, q, k: torch.where(q < k, table[k], bound) == table[q],
    ):
        assert matches(maskc.trace(mod).program, mod, q_len=8, **maskc.trace(mod).inputs)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_position_that_a_half_precision_rounds_is_torch_s(dtype: torch.dtype) -> None:
    limit = torch.tensor([2048.0], dtype=dtype)

    def below(b, h, q, k):
        return q <= limit[h]

    with pytest.raises(maskc.TraceError, match=r"M806.*rounds to (b?)float16"):
        maskc.trace(below)
    with pytest.raises(maskc.TraceError, match="M806"):
        maskc.trace(score_mod=lambda s, b, h, q, k: torch.where(q < limit[h], s, -torch.inf))
    found = maskc.create_block_mask(below, 1, 1, 2100, 128, "cpu", fallback="silent")
    assert_same_tables(found, create_block_mask(below, 1, 1, 2100, 128, "cpu"))


LARGE = torch.tensor([2**31 - 1, 5, -(2**31), 7], dtype=torch.int32)


@pytest.mark.parametrize(
    "mod",
    [
        lambda b, h, q, k: LARGE[q] + LARGE[k] > 0,
        lambda b, h, q, k: LARGE[q] - LARGE[k] < 4,
        lambda b, h, q, k: -LARGE[q] < 4,
        lambda b, h, q, k: LARGE[q].abs() < 4,
        lambda b, h, q, k: LARGE[q] * 2 < 4,
        lambda b, h, q, k: (LARGE[q] << 1) < 4,
        lambda b, h, q, k: LARGE[q] + 1 > LARGE[k],
        lambda b, h, q, k: torch.stack([LARGE[q], LARGE[k]]).sum(0, dtype=torch.int32) > 0,
        lambda b, h, q, k: (LARGE[q].long() + 1).int() > LARGE[k],
    ],
)
def test_ints_of_32_bits_that_wrap_around_are_refused(mod: Mod) -> None:
    with pytest.raises(maskc.BindError, match=r"M437.*wraps around in 32 bits"):
        bind(mod, 4)
    assert_same_tables(
        maskc.create_block_mask(mod, None, None, 4, 4, "cpu", 1, fallback="silent"),
        create_block_mask(mod, None, None, 4, 4, "cpu", 1),
    )


def test_ints_of_32_bits_that_fit_are_no_reason_to_refuse() -> None:
    ids = LARGE // 3
    for mod in (
        lambda b, h, q, k: ids[q] + ids[k] > 0,
        lambda b, h, q, k: LARGE[q] > LARGE[k],
        lambda b, h, q, k: LARGE[q].long() + 1 > LARGE[k],
    ):
        traced = maskc.trace(mod)
        assert torch.equal(
            traced.bind(q_len=4).dense_mask().squeeze(),
            torch.vmap(torch.vmap(mod, (None, None, None, 0)), (None, None, 0, None))(
                torch.tensor(0), torch.tensor(0), torch.arange(4), torch.arange(4)
            ),
        )


BESIDE = torch.arange(2**24, 2**24 + 4)


@pytest.mark.parametrize(
    "mod",
    [
        lambda b, h, q, k: BESIDE[q] < BESIDE[k].float(),
        lambda b, h, q, k: BESIDE[k] > 16777216.5,
        lambda b, h, q, k: BESIDE[k] * 1.0 == BESIDE[q] * 1.0,
        lambda b, h, q, k: torch.where(q < k, 0.5, BESIDE[k]) > BESIDE[q] - 1,
    ],
)
def test_ints_that_torch_rounds_to_a_float_are_refused(mod: Mod) -> None:
    with pytest.raises(maskc.BindError, match=r"M437.*rounded to a float"):
        bind(mod, 4)
    assert_same_tables(
        maskc.create_block_mask(mod, None, None, 4, 4, "cpu", 1, fallback="silent"),
        create_block_mask(mod, None, None, 4, 4, "cpu", 1),
    )


def test_bits_of_bytes_do_not_wrap() -> None:
    flags = torch.tensor([1, 2, 3, 255], dtype=torch.uint8)
    for mod in (
        lambda b, h, q, k: (flags[q] & flags[k]).bool(),
        lambda b, h, q, k: (flags[q] | flags[k]) == 3,
        lambda b, h, q, k: (flags[q] ^ flags[k]) > 2,
    ):
        assert matches(maskc.trace(mod).program, mod, q_len=4, flags=flags)


@pytest.mark.parametrize("number", [2**31, -(2**40), 1e39, -1e300, float("nan")])
def test_a_number_that_no_program_holds_is_refused_at_its_line(number: float) -> None:
    with pytest.raises(maskc.TraceError, match="M107") as caught:
        maskc.trace(lambda b, h, q, k: (q + k) * number > q)
    assert caught.value.span is not None
    assert caught.value.span.text == "(q + k) * number"


def test_the_least_float_is_one_that_torch_takes() -> None:
    mod = lambda s, b, h, q, k: torch.where(q >= k, s, torch.finfo(s.dtype).min)  # noqa: E731
    program = maskc.trace(score_mod=mod).program
    assert matches(program, mod, q_len=9)
    q = torch.randn(1, 1, 9, 8)
    torch.testing.assert_close(program(q, q, q), maskc.compile_mask("causal")(q, q, q))


def test_quotients_of_floats_that_torch_rounds_otherwise_are_refused() -> None:
    steps = torch.tensor([0.1, 0.25, 2.0])
    for mod in (
        lambda b, h, q, k: q // 0.1 == k,
        lambda b, h, q, k: torch.div(q, steps[k], rounding_mode="floor") == 9,
        lambda b, h, q, k: steps[k] // 3 == q,
    ):
        with pytest.raises(maskc.TraceError, match=r"M807.*`//` of floats"):
            maskc.trace(mod)
    for mod in (
        lambda b, h, q, k: q // 3.0 == k // 0.5,
        lambda b, h, q, k: steps[k] // 0.25 == q,
        lambda b, h, q, k: torch.floor(q / 0.1) == k,
    ):
        assert matches(maskc.trace(mod).program, mod, q_len=3, **maskc.trace(mod).inputs)


def test_ints_that_became_part_of_a_table_are_torch_s_own() -> None:
    large = LARGE.repeat(2)

    def mod(b, h, q, k):
        return torch.gcd(large[q] + 1, large[q] * 0 + 4) > k

    traced = maskc.trace(mod, sizes={"q_len": 8, "kv_len": 8})
    assert traced.tables
    assert matches(traced.program, mod, q_len=8, **traced.inputs)
    assert traced.bind(q_len=8).dense_mask().shape == (1, 1, 8, 8)
