"""What a picture shows of a mask, against the evaluator, with and without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import masks, scores

import maskc
from maskc import compile_mask
from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, Module
from maskc.ir.text import to_text
from maskc.view import shares
from maskc.view.looked_at import _bound, _is_plain, looked_at
from maskc.view.scene import Scene
from maskc.view.shares import Looker, Part
from maskc.view.squares import Along
from maskc.view.tile_counts import tile_counts


def scene_of(program: maskc.Program, case: Case, batch: int = 0, head: int = 0) -> Scene:
    names = {declared.name for declared in program.inputs}
    inputs = {name: x for name, x in case.inputs.items() if name in names}
    return Scene(program, case.sizes, {n: _arrays(x) for n, x in inputs.items()}, batch, head, 4)


def _arrays(bound: object) -> object:
    if isinstance(bound, tuple):
        return tuple(map(_arrays, bound))
    return (bound.float() if bound.dtype is torch.bfloat16 else bound).numpy()


def sizes(tokens: int) -> dict[str, int]:
    return {"batch_size": 1, "num_heads": 1, "num_kv_heads": 1, "q_len": tokens, "kv_len": tokens}


@settings(max_examples=examples(60))
@given(data=st.data(), mask=masks())
@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
def test_every_pair_is_the_evaluator_s(data: st.DataObject, mask: Expr) -> None:
    """Of masks that need torch to be bound, and of those that do not."""
    program = compile_mask(to_text(Module(mask, SCORE, OUT)))
    case: Case = data.draw(environments(program.module, pairs=True))
    batch = data.draw(st.integers(0, case.batch_size - 1))
    head = data.draw(st.integers(0, case.num_heads - 1))
    try:
        looker = Looker(scene_of(program, case, batch, head), looked_at(scene_of(program, case)))
    except maskc.BindError:
        return
    expected = case.matrix(program.module.mask)[batch, head].numpy()
    queries, keys = np.arange(case.q_len), np.arange(case.kv_len)
    assert (looker.mask(queries[:, None], keys[None]) == expected).all()
    whole = looker.shares(Along(0, case.q_len, 1), Along(0, case.kv_len, 1))
    assert (whole.share == expected).all()
    step = data.draw(st.integers(1, 4))
    coarse = looker.shares(Along(0, case.q_len, step), Along(0, case.kv_len, step))
    assert coarse.share[0, 0] == pytest.approx(expected[:step, :step].mean())
    assert coarse.total == pytest.approx(expected.mean())


@settings(max_examples=examples(40))
@given(data=st.data(), score=scores())
def test_scores_are_the_evaluator_s(data: st.DataObject, score: Expr) -> None:
    program = compile_mask(to_text(Module(TRUE, score, OUT)))
    case: Case = data.draw(environments(program.module))
    looker = Looker(scene_of(program, case), looked_at(scene_of(program, case)))
    queries, keys = np.arange(case.q_len), np.arange(case.kv_len)
    found = looker.values(looker.program.score, queries[:, None], keys[None], 1.5)
    shape = case.batch_size, case.num_heads, case.q_len, case.kv_len
    expected = case.matrix(program.module.score, torch.full(shape, 1.5))[0, 0].numpy()
    np.testing.assert_allclose(found.astype(float), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("causal & window(5)", True),
        ("same_doc", True),
        ("input t: int; t[q // 2] == 0", False),
        ("q % kv_len == 0", False),
        ("topk(float(k), 3)", False),
    ],
)
def test_torch_is_asked_where_something_is_to_be_checked(text: str, is_plain: bool) -> None:
    program = compile_mask(text)
    inputs = {one.name: np.zeros(9, np.int64) for one in program.inputs}
    scene = Scene(program, sizes(9), inputs)
    assert _is_plain(scene) is is_plain
    here, there = (Looker(scene, found) for found in (looked_at(scene), _bound(scene)))
    at = np.arange(9)[:, None], np.arange(9)[None]
    assert (here.mask(*at) == there.mask(*at)).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.int64), "M4"),
        (np.zeros(9), "M4"),
        (np.zeros((2, 2, 9), np.int64), "M4"),
    ],
)
def test_an_input_that_does_not_fit(array: np.ndarray, message: str) -> None:
    with pytest.raises(maskc.BindError, match=message):
        looked_at(Scene(compile_mask("same_doc"), sizes(9), {"doc": array}))


def test_a_sample_is_near_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says that it is one; what is none or all stays so."""
    looker = Looker(*_scene("causal & (q - k) % 3 == 0", 4096))
    part = Part(range(4096), range(4096)).squares(16)
    monkeypatch.setattr(shares, "MOST_PAIRS", 2**18)
    found = looker.shares(*part)
    monkeypatch.setattr(shares, "MOST_PAIRS", 2**24)
    exact = looker.shares(*part)
    assert (found.sampled, exact.sampled) == (1024, 0)
    assert (found.how, exact.how) == ("from 1024 pairs each", "counted")
    assert np.abs(found.share - exact.share).max() < 0.1
    assert ((found.share == 0) == (exact.share == 0)).all()


def _scene(text: str, tokens: int) -> tuple[Scene, object]:
    scene = Scene(compile_mask(text), sizes(tokens))
    return scene, looked_at(scene)


def test_a_million_tokens_are_counted() -> None:
    looker = Looker(*_scene("causal & window(4096)", 10**6))
    found = looker.shares(*Part(range(10**6), range(10**6)).squares(32))
    assert found.total == pytest.approx((10**6 * 4096 - 4095 * 4096 / 2) / 1e12)
    assert found.sampled == 0


def test_tiles_are_those_of_the_block_mask() -> None:
    scene = Scene(compile_mask("causal & window(100)"), sizes(1000), block=64)
    found = tile_counts(Looker(scene, looked_at(scene)))
    tiles = scene.program.bind(q_len=1024, block_size=64).tiles
    assert found is not None
    assert found.kinds == [tiles.empty, tiles.partial, tiles.full]
    assert tile_counts(Looker(*_scene("(q - k) % 3 == 0", 64))) is None


@pytest.mark.processes
def test_no_torch_is_imported_for_a_large_mask() -> None:
    script = """
import sys
from maskc.commands.show import show
show(["causal & same_doc & window(512)", "--q", "100000"], standalone_mode=False)
assert "torch" not in sys.modules and "matplotlib" not in sys.modules
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "a square is 4096 x 4096 pairs, counted" in found.stdout
