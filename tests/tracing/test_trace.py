"""What a trace gives: a program, its inputs, its text; and what it says when it gives none."""

from __future__ import annotations

import functools
import math
import pickle
from typing import Any

import pytest
import torch
from corpus.cases import Mod, documents, floats

import maskc
from maskc.testing import matches


def window(size: int, table: torch.Tensor) -> Mod:
    def mask(b, h, q, k):
        near = q - k < size
        return near & (q >= k) & (table[q] == table[k])

    return mask


def softcap(cap: float, slopes: torch.Tensor) -> Mod:
    def score_mod(score, b, h, q, k):
        bias = slopes[h] * (k - q)
        return cap * torch.tanh((score + bias) / cap)

    return score_mod


def test_a_mask_and_a_score_are_one_program() -> None:
    doc, slopes = documents(24), floats(4)
    traced = maskc.trace(window(5, doc), softcap(20.0, slopes))
    assert traced.text() == (
        "input table: int\n"
        "input slopes: float\n"
        "param size: int = 5\n"
        "param cap: float = 20.0\n"
        "let near = q - k < size\n"
        "let bias = slopes[head] * (k - q)\n"
        "near & k <= q & table[q] == table[k]\n"
        "score = cap * tanh((score + bias) / cap)"
    )
    assert traced.program == maskc.compile_mask(
        "input table: int; input slopes: float; window(5) & causal & table[q] == table[k];"
        "score = softcap(score + slopes[head] * (k - q), 20.0)"
    )
    assert traced.inputs == {"table": doc, "slopes": slopes}
    q, k, v = (torch.randn(1, 4, 24, 8) for _ in range(3))
    bound = traced.bind(q_len=24, num_heads=4)
    wanted = traced.program(q, k, v, table=doc, slopes=slopes, backend="reference")
    torch.testing.assert_close(bound(q, k, v, backend="sdpa"), wanted)


def test_text_without_names_is_the_normal_form() -> None:
    traced = maskc.trace(window(5, documents(24)))
    assert traced.text(names=False) == traced.program.text


def test_a_param_can_be_set() -> None:
    text = maskc.trace(window(5, documents(24))).text()
    wider = maskc.trace(window(9, documents(24))).program
    assert maskc.compile_mask(text, size=9) == wider


def test_a_number_that_decides_the_program_is_no_param() -> None:
    def build(steps: int, half: int) -> Mod:
        def mask(b, h, q, k):
            found = q == k
            for step in range(steps):
                found = found | (q - k == step)
            return found & (k >= half // 2)

        return mask

    assert "param" not in maskc.trace(build(3, 6)).text()


def test_two_numbers_in_one_constant_are_no_params() -> None:
    def build(height: int, width: int) -> Mod:
        return lambda b, h, q, k: q // (height + width) == k

    assert "param" not in maskc.trace(build(3, 5)).text()


def test_numbers_of_a_module_and_of_a_partial_are_params() -> None:
    def mask(b, h, q, k, *, left):
        return (q - k <= left) & (k - q < AHEAD)

    text = maskc.trace(functools.partial(mask, left=4)).text()
    assert text == "param left: int = 4\nparam AHEAD: int = 3\nq - k <= left & k - q < AHEAD"


AHEAD = 3


WIDTH = 5


def near(q, k):
    return q - k < WIDTH


def test_functions_that_share_a_number_share_its_param() -> None:
    side = 6

    def place(i):
        return i // side, i % side

    def ring(b, h, q, k):
        (q_y, q_x), (k_y, k_x) = place(q), place(k)
        return (side - q_y > k_x) & (q_x <= k_y)

    def by_name(b, h, q, k):
        return near(q, k) | (k < WIDTH)

    assert maskc.trace(ring).text().count("param") == 1
    assert maskc.compile_mask(maskc.trace(ring).text(), side=4) == maskc.compile_mask(
        "k % 4 < 4 - q // 4 & q % 4 <= k // 4"
    )
    wider = maskc.compile_mask(maskc.trace(by_name).text(), WIDTH=9)
    assert wider == maskc.compile_mask("q - k < 9 | k < 9")


def test_a_number_that_a_helper_uses_otherwise_is_no_param() -> None:
    side = 6

    def half(i):
        return i // (side // 2)

    text = maskc.trace(lambda b, h, q, k: (half(q) == half(k)) & (q < side)).text()
    assert "param" not in text


def test_captured_tensors_are_live() -> None:
    doc = torch.zeros(16, dtype=torch.long)
    traced = maskc.trace(lambda b, h, q, k: doc[q] == doc[k])
    bound = traced.bind(q_len=16)
    assert bound.dense_mask().all()
    doc[8:] = 1
    assert bound.dense_mask().sum() == 2 * 64
    assert traced.bind(q_len=16).dense_mask().sum() == 2 * 64


def test_a_view_of_a_captured_tensor_is_that_tensor() -> None:
    spans = torch.tensor([[2, 5], [7, 9]])
    traced = maskc.trace(lambda b, h, q, k: (spans[0][0] <= k) & (k < spans[1, 1]))
    assert traced.inputs == {"spans": spans}
    assert traced.text() == "input spans: int\nspans[0, 0] <= k < spans[1, 1]"


def test_a_transposed_view_is_an_input_of_its_own() -> None:
    table = torch.arange(12).view(3, 4)
    traced = maskc.trace(lambda b, h, q, k: table.T[q, 1] == table[1, k])
    assert matches(traced.program, lambda b, h, q, k: table.T[q, 1] == table[1, k], q_len=4,
                   **traced.inputs)  # fmt: skip
    assert len(traced.inputs) == 2


def test_bind_takes_another_tensor_for_a_captured_one() -> None:
    traced = maskc.trace(window(30, documents(24)))
    other = torch.arange(24)
    found = traced.bind(q_len=24, table=other).dense_mask()[0, 0]
    assert torch.equal(found, torch.eye(24, dtype=torch.bool))


def test_an_emitted_trace_is_a_callable_that_says_the_same() -> None:
    mask = window(5, documents(24))
    traced = maskc.trace(mask, cap := softcap(20.0, floats(2)))
    scope: dict[str, Any] = {}
    exec(compile(traced.program.emit("flex"), "emitted", "exec"), scope)
    q, k = torch.zeros(2, 1, 2, 24, 8)
    mask_mod, score_mod, _ = scope["mods"](q, k, **traced.inputs)
    shape = {"q_len": 24, "num_heads": 2}
    assert matches(maskc.trace(mask).program, mask_mod, **shape, table=documents(24))
    by_score = maskc.trace(score_mod=cap)
    assert matches(by_score.program, score_mod, **shape, **by_score.inputs)
    again = maskc.trace(mask_mod, score_mod)
    found, wanted = (one.bind(**shape).dense_mask() for one in (again, traced))
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("scaling", [{}, {"beta": 2.0}, {"beta": 0.3, "threshold": 40}])
def test_softplus(scaling: dict[str, float]) -> None:
    def mod(score, b, h, q, k):
        return torch.nn.functional.softplus(8 * score + q, **scaling)

    program = maskc.trace(score_mod=mod).program
    assert "softplus" in program.text
    assert matches(program, mod, q_len=30)


def test_softplus_that_is_not_smooth_is_refused() -> None:
    mod = lambda s, b, h, q, k: torch.nn.functional.softplus(s, threshold=2)  # noqa: E731
    with pytest.raises(maskc.TraceError, match="leave the threshold at 20"):
        maskc.trace(score_mod=mod)


def test_a_score_keeps_its_gradient() -> None:
    slopes = floats(4).requires_grad_()
    traced = maskc.trace(score_mod=lambda score, b, h, q, k: score + slopes[h] * (k - q))
    q, k, v = (torch.randn(1, 4, 8, 8) for _ in range(3))
    traced.bind(q_len=8, num_heads=4)(q, k, v, backend="sdpa").sum().backward()
    assert slopes.grad is not None
    assert slopes.grad.abs().sum() > 0


def test_negative_subscripts_count_from_the_end_or_are_refused() -> None:
    doc = documents(16)
    traced = maskc.trace(mod := lambda b, h, q, k: doc[q] == doc[k - 1])
    bound = traced.bind(q_len=16)
    assert torch.equal(
        bound.dense_mask()[0, 0], torch.stack([doc[i] == doc.roll(1) for i in range(16)])
    )
    assert matches(bound.program, mod, q_len=16, doc=doc)
    with pytest.raises(maskc.BindError, match="reads down to -1"):
        traced.program.bind(q_len=16, doc=doc)


def test_more_heads_than_the_call_has_are_cut_off() -> None:
    limits = torch.tensor([2, 4, 8, 16])
    traced = maskc.trace(lambda b, h, q, k: q - k < limits[h])
    assert traced.bind(q_len=20, num_heads=2).dense_mask().shape == (1, 2, 20, 20)


def test_without_sizes_a_table_is_refused_and_the_note_says_so() -> None:
    def mask(b, h, q, k):
        return torch.special.i0(q * 0.1) > k

    with pytest.raises(maskc.TraceError) as caught:
        maskc.trace(mask)
    assert str(caught.value).split("\n", 2)[2] == (
        f"{caught.value.span.source.position(caught.value.span.start)[0]:>3} |"
        "         return torch.special.i0(q * 0.1) > k\n"
        "    |                ^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "    = note: with `sizes=` given, it would be a table over `q`\n"
        "    = help: compute it before, into a tensor, and subscript that by the indices"
    )
    traced = maskc.trace(mask, sizes={"q_len": 9})
    assert traced.tables == ("i0_q",)
    torch.testing.assert_close(traced.inputs["i0_q"], torch.special.i0(torch.arange(9) * 0.1))


def test_an_error_of_the_callable_is_shown_at_its_line() -> None:
    def mask(b, h, q, k):
        return q.no_such_thing > k

    with pytest.raises(maskc.TraceError, match="AttributeError") as caught:
        maskc.trace(mask)
    assert caught.value.span.text == "q.no_such_thing"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "there is nothing to trace"),
        ({"mask_mod": "causal"}, "a mask_mod is a callable, found str"),
        ({"mask_mod": lambda score, b, h, q, k: score}, "does not take 4 arguments"),
        ({"score_mod": lambda b, h, q, k: q}, "does not take 5 arguments"),
        ({"mask_mod": lambda b, h, q, k: None}, "the mask_mod returned NoneType"),
        ({"mask_mod": lambda b, h, q, k: q}, "the mask_mod returned an int, expected a bool"),
        ({"score_mod": lambda s, b, h, q, k: q > k}, "the score_mod returned a bool"),
        ({"mask_mod": lambda b, h, q, k: q > k, "sizes": {"q": 3}}, "`sizes` has no `q`"),
    ],
)
def test_what_cannot_be_traced_at_all(arguments: dict, message: str) -> None:
    with pytest.raises(maskc.TraceError) as caught:
        maskc.trace(**arguments)
    assert message in str(caught.value)
    assert caught.value.help


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16])
def test_small_ints_are_refused_where_they_would_wrap(dtype: torch.dtype) -> None:
    ids = torch.arange(8, dtype=dtype)
    for mod in (
        lambda b, h, q, k: ids[q] + 1 == ids[k],
        lambda b, h, q, k: -ids[q] == ids[k],
        lambda b, h, q, k: ids[q] == 70_000,
        lambda b, h, q, k: q.to(dtype) == k,
    ):
        with pytest.raises(maskc.TraceError, match="M806"):
            maskc.trace(mod)
    assert maskc.trace(lambda b, h, q, k: ids[q] + q == ids[k]).inputs == {"ids": ids}


def test_half_precision_and_double_are_refused_where_a_mask_would_round() -> None:
    half = floats(8).to(torch.bfloat16)
    for mod in (
        lambda b, h, q, k: half[q] * 3 > half[k],
        lambda b, h, q, k: q.double() / 3 > k,
        lambda b, h, q, k: q.half() > k,
    ):
        with pytest.raises(maskc.TraceError, match="M806"):
            maskc.trace(mod)
    assert maskc.trace(lambda b, h, q, k: half[q] > half[k]).program
    assert maskc.trace(score_mod=lambda s, b, h, q, k: s + half[q] * 3).program


def test_programs_of_equal_traces_are_one_object() -> None:
    doc = documents(24)
    first, second = (maskc.trace(window(5, doc)).program for _ in range(2))
    assert first is second
    assert pickle.loads(pickle.dumps(first)) == first


def test_rounding_of_what_may_be_no_number() -> None:
    odd = torch.tensor([math.nan, math.inf, -math.inf, 5e9, -2.5, 3.5, 2.0**24 + 2, -0.25])
    for rounding in (torch.floor, torch.ceil, torch.round):
        mod = lambda s, b, h, q, k, f=rounding: s * 0 + f(odd[k])  # noqa: E731
        program = maskc.trace(score_mod=mod).program
        assert matches(program, mod, q_len=8, odd=odd)
    clean = lambda b, h, q, k: torch.nan_to_num(odd[k], 1.0, 2.0, 3.0) == q  # noqa: E731
    assert matches(maskc.trace(clean).program, clean, q_len=8, odd=odd)
    fast = lambda s, b, h, q, k: s + torch.floor(q * 1e9)  # noqa: E731
    assert matches(maskc.trace(score_mod=fast).program, fast, q_len=8)


@pytest.mark.parametrize("mask", [0, 1, 5, 6, 7, 12, 51, 85, 255, -1, -4])
def test_bits_of_an_index(mask: int) -> None:
    mods = (
        lambda b, h, q, k: (q - 9) & mask == k & mask,
        lambda b, h, q, k: (q | mask) ^ k > ~q,
        lambda b, h, q, k: ((q - 9) >> (k & 3)) == ((q << 2) >> 3),
    )
    for mod in mods:
        assert matches(maskc.trace(mod).program, mod, q_len=37)
