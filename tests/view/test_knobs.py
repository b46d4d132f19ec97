"""The numbers of a program that a page can change, and that a change means what a text does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import Case
from javascript import Engine, engine

from maskc import Program, compile_mask, load
from maskc.view.explorer.javascript import to_javascript
from maskc.view.explorer.knobs import LAYERS, MOST, knobs

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def node() -> Iterator[Engine]:
    with engine() as found:
        yield found


def named(program: Program) -> dict[str, object]:
    return {knob.name: knob.value for knob in knobs(program)}


def test_params_and_numbers_are_knobs() -> None:
    program = compile_mask(
        "param width = 24  # keys\nlet local = window(width)\nlocal | sinks(4) & q % 2 == 0\n"
        "score = softcap(score, 50.0) * 1"
    )
    found = knobs(program)
    assert named(program) == {
        "width": 24, "sinks(4)": 4, "q % 2": 2, "softcap(score, 50.0)": 50.0,
    }  # fmt: skip
    assert [(knob.is_param, knob.doc) for knob in found][:2] == [(True, "keys"), (False, "")]
    assert [(knob.least, knob.most) for knob in found] == [(0, 96), (1, 16), (1, 8), (2.5, 200.0)]


@pytest.mark.parametrize(
    "text",
    [
        "axis h = 16, w = 16\nsame_line(h)",
        "topk(float(k), 3)",
        "param n = 5\ntopk(float(k), n) & window(n)",
        "param n = 5\nlet m = n\nwindow(m)",
        "param n: int = 2\nparam m = n + 3\nwindow(n) | sinks(m)",
        "q - k < 1 & k >= 0 & -4 < q",
    ],
)
def test_what_decides_more_than_a_number_is_none(text: str) -> None:
    """An axis, a count, a number that another name stands for, and 0 and 1."""
    assert set(named(compile_mask(text))) <= {"m"}


def test_layers_have_a_slider_of_their_own() -> None:
    program = compile_mask("param layer: int\ncausal & where(layer % 6 == 5, true, window(8))")
    layer = knobs(program)[0]
    assert (layer.name, layer.value, layer.least, layer.most) == ("layer", 0, 0, LAYERS - 1)


def test_a_page_has_room_for_some() -> None:
    text = " | ".join(f"sinks({n})" for n in range(2, 30))
    assert len(knobs(compile_mask(text))) == MOST


PROGRAMS = [
    "causal & window(5) | sinks(3)",
    "param n = 3\nparam layer: int\nwhere(layer % 2 == 0, window(n), q % 3 == k % 3)",
    "param on = true\nparam cap = 2.5\nwhere(on, causal, window(2)); score = softcap(score, cap)",
    "def f(n, m = 4) = abs(q - k) < n + m\nf(2) & f(3, 5) ^ dilated(9, 2)",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_turned_knob_is_another_program(node: Engine, text: str) -> None:
    """Every knob, turned by one, against the program with that number in its text."""
    given = {"layer": 1} if "layer" in text else {}
    program = compile_mask(text, **given)
    found = knobs(program)
    assert found
    for number, knob in enumerate(found):
        value = (not knob.value) if isinstance(knob.value, bool) else knob.value + 1
        if knob.is_param:
            other = compile_mask(text, **{**given, knob.name: value})
        else:
            changed = f"{text[: knob.span.start]}{value}{text[knob.span.end :]}"
            other = compile_mask(changed, **given)
        values = [one.value for one in found]
        values[number] = value
        assert table(node, program, values) == expected(other), knob


def table(node: Engine, program: Program, values: list[object]) -> object:
    numbers = {knob.span: n for n, knob in enumerate(knobs(program))}
    mask, score = to_javascript(program.written.roots[:2], numbers).functions
    sizes = {"batch_size": 1, "num_heads": 1, "num_kv_heads": 1, "q_len": 12, "kv_len": 12}
    return node.run(f"""
        const c = makeCall({json.dumps(sizes)}, {json.dumps(values)}, [], (b, i) => i, (b, j) => j);
        const mask = {mask}, score = {score}, found = [];
        for (let i = 0; i < 12; i++)
        for (let j = 0; j < 12; j++)
            found.push([mask(c, 0, 0, i, j, i, j), Math.fround(score(c, 0, 0, i, j, i, j, 1.5))]);
        return found;
    """)


def expected(program: Program) -> object:
    case = Case(1, 1, 1, 12, 12)
    import torch

    masks = case.matrix(program.written.mask).flatten().tolist()
    scores = case.matrix(program.written.score, torch.full((1, 1, 12, 12), 1.5)).flatten().float()
    return [list(pair) for pair in zip(masks, scores.tolist(), strict=True)]


def test_the_examples_have_theirs() -> None:
    assert named(load(EXAMPLES / "gemma2.mask")) == {
        "layer": 0, "width": 4096, "cap": 50.0, "layer % 2": 2,
    }  # fmt: skip
