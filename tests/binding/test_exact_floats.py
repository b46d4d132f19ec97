"""Ints that decide as floats: exact, or refused."""

import pytest
import torch

from maskc import MaskcError, compile_mask

LARGE = 2**24 + torch.arange(6)


def bound(text: str, ids: torch.Tensor = LARGE) -> torch.Tensor:
    program = compile_mask(f"input d: int; {text}")
    return program.bind(q_len=6, d=ids).dense_mask()[0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "d[q] / 2 < d[k] / 2",
        "d[q] * 0.5 < k",
        "d[q] - 0.5 < d[k]",
        "sqrt(d[q]) < 4096.0",
        "floor(d[q] / 2) == d[k] // 2",
        "k < where(d[q] > 3, d[q], 1.5)",
        "topk(float(d[k]) * q, 2)",
        "(d[q] - d[k]) / 2 < 1 & d[q] / 3 < q",
        "score = score + where(d[q] / 2 < d[k] / 2, 0.0, -inf)",
        "score = where(d[q] / 2 < d[k] / 2, score, score * 2)",
    ],
)
def test_what_floats_would_round_is_refused(text: str) -> None:
    with pytest.raises(MaskcError) as caught:
        bound(text)
    assert caught.value.code == "M433"
    bound(text, LARGE - LARGE[0])


@pytest.mark.parametrize(
    "text", ["float(d[q]) < float(d[k])", "float(d[q]) < d[k]", "d[q] < float(d[k])"]
)
def test_ints_compared_as_floats_are_compared_as_ints(text: str) -> None:
    assert torch.equal(bound(text), LARGE[:, None] < LARGE)


def test_only_what_decides_counts() -> None:
    for text in ("d[q] == d[k]", "score = score + d[k] / 2", "d[q] - d[k] < 2.5", "d[q] // 2 < k"):
        bound(text)


def test_positions_count_too() -> None:
    program = compile_mask("q / 2 < k")
    program.bind(q_len=4, q_offset=2**24 - 4)
    with pytest.raises(MaskcError) as caught:
        program.bind(q_len=4, q_offset=2**24)
    assert caught.value.code == "M433"


def test_ints_for_an_input_of_floats() -> None:
    program = compile_mask("input d: float; d[q] < d[k]")
    program.bind(q_len=6, d=LARGE - 8)
    with pytest.raises(MaskcError) as caught:
        program.bind(q_len=6, d=LARGE)
    assert caught.value.code == "M433"
