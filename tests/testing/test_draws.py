"""Random inputs fit the programs that they are drawn for."""

from typing import Any

import pytest
import torch

from maskc import Program, compile_mask
from maskc.errors import MaskcError
from maskc.testing import random_inputs, random_qkv
from maskc.view.library import entries

SIZES = {"batch_size": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 7, "kv_len": 11}

SHAPES = {
    "same_doc": {"doc": (2, 11)},
    "valid_keys": {"valid": (2, 11)},
    "causal | prefix": {"prefix_len": (2,)},
    "score = score + alibi": {"slopes": (4,)},
    "input n: int; causal & q - k < n": {"n": ()},
    "input t: float; score = score + t[kv_head, q_idx]": {"t": (2, 7)},
    "input t: float; score = score + t[head, q - k + 10]": {"t": (4, 17)},
    "input t: bool; t[q // 4, k // 4]": {"t": (2, 3)},
    "input t: float; score = score + t[k % 3]": {"t": (3,)},
    "axis h = 3, w = 4; score = score + relpos(h, w)": {
        "rel_h": (2, 4, 7, 3),
        "rel_w": (2, 4, 7, 4),
    },
    "input t: float; score = where(k < 5, score + t[k], score)": {"t": (11,)},
}


@pytest.mark.parametrize(("text", "shapes"), SHAPES.items())
def test_shapes(text: str, shapes: dict[str, tuple[int, ...]]) -> None:
    program = compile_mask(text)
    inputs = random_inputs(program, SIZES, torch.Generator().manual_seed(0))
    assert {name: tuple(x.shape) for name, x in inputs.items()} == shapes
    program.bind(**SIZES, **inputs).attn_mask(*random_qkv(SIZES, 4, "float32")[:2])


def test_chained_subscripts_fit() -> None:
    program = compile_mask("input start: int; input doc: int; start[doc[q]] <= k")
    inputs = random_inputs(program, SIZES, torch.Generator().manual_seed(0))
    assert inputs["doc"].max() < len(inputs["start"])
    assert inputs["doc"].shape == (2, 7)
    assert inputs["start"].min() >= 1
    assert inputs["start"].max() <= 11


def test_ids_come_in_runs() -> None:
    sizes = {**SIZES, "q_len": 200, "kv_len": 200}
    doc = random_inputs(compile_mask("same_doc"), sizes, torch.Generator().manual_seed(0))["doc"]
    assert (doc.diff(dim=-1) >= 0).all()
    assert 1 < len(doc.unique()) <= 4


def test_the_generator_decides() -> None:
    program = compile_mask("causal & prefix; score = score + alibi")
    draws = [random_inputs(program, SIZES, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert all(torch.equal(draws[0][name], draws[1][name]) for name in draws[0])
    assert not torch.equal(draws[0]["slopes"], draws[2]["slopes"])


def test_inputs_that_need_each_other() -> None:
    program = compile_mask("input s: int; input t: int; s[t[q]] == t[s[k]]")
    with pytest.raises(MaskcError, match="they subscript themselves"):
        random_inputs(program, SIZES)


def test_qkv() -> None:
    q, k, v = random_qkv(SIZES, 5, "bfloat16")
    assert (q.shape, k.shape, v.shape) == ((2, 4, 7, 5), (2, 2, 11, 5), (2, 2, 11, 5))
    assert {x.dtype for x in (q, k, v)} == {torch.bfloat16}


def test_every_name_of_the_standard_library_gets_inputs_that_fit() -> None:
    qk = random_qkv(SIZES, 4, "float32")[:2]
    names = [entry.name for entry in entries() if entry.meaning and entry.form == entry.name]
    assert len(names) > 5
    for name in names:
        program = _mask_or_score(name)
        inputs = random_inputs(program, SIZES, torch.Generator().manual_seed(0))
        program.bind(**SIZES, **inputs).attn_mask(*qk)


def _mask_or_score(name: str) -> Program:
    try:
        return compile_mask(name)
    except MaskcError:
        return compile_mask(f"score = score + {name}")


def test_a_huge_input_is_not_drawn() -> None:
    with pytest.raises(MaskcError, match=r"M491.*`doc` would take 134217729 random entries"):
        random_inputs(compile_mask("doc[512 ** 3] <= doc[k]"), SIZES)


@pytest.mark.parametrize("text", ["same_doc", "score = score + alibi * float(doc[q])", "prefix"])
def test_inputs_reach_the_positions_of_an_offset(text: str) -> None:
    program = compile_mask(f"input doc: int; {text}" if "float" in text else text)
    sizes, offsets = {**SIZES, "q_len": 2}, {"q_offset": 30, "kv_offset": 5}
    generator = torch.Generator().manual_seed(0)
    inputs = random_inputs(program, sizes, generator, **offsets)
    if "doc" in inputs:
        assert inputs["doc"].shape == (2, 32)
    else:
        assert 1 <= inputs["prefix_len"].min() <= inputs["prefix_len"].max() <= 32
    program.bind(**sizes, **offsets, **inputs).attn_mask()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": {}},
        {"sizes": None},
        {"width": None},
        {"width": 0},
        {"dtype": None},
        {"dtype": "int"},
    ],
)
def test_q_k_and_v_need_sizes(wrong: dict[str, Any]) -> None:
    right = {"sizes": {"q_len": 3, "num_heads": 2}, "width": 4, "dtype": "float16"}
    q, k, v = random_qkv(**right)
    assert q.shape == k.shape == v.shape == (1, 2, 3, 4)
    with pytest.raises(MaskcError, match="M40"):
        random_qkv(**right | wrong)
