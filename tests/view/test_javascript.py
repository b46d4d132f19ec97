"""A program in JavaScript is the program: at every point it has the evaluator's value."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from javascript import Engine, Failed, engine
from profiles import examples, find_fault
from strategies import WORDS, floats, ints, masks, scores

from maskc import LoweringError, MaskcError, compile_mask
from maskc.ir.evaluate import evaluate
from maskc.ir.nodes import Arith, Expr, FloatConst, Index, IntConst, Load, walk
from maskc.ir.operators import ArithOp
from maskc.ir.types import Ix, Type
from maskc.view.explorer.javascript import to_javascript
from maskc.view.explorer.tables import Packed, packed


@pytest.fixture(scope="module")
def node() -> Iterator[Engine]:
    with engine() as found:
        yield found


def as_array(x: torch.Tensor) -> np.ndarray:
    return (x.float() if x.dtype is torch.bfloat16 else x).numpy()


def values(node: Engine, expr: Expr, case: Case, score: list[float] | None = None) -> object:
    """Return the value at every point, or what went wrong."""
    written = to_javascript([expr], {})
    ranks = {term.input: len(term.indices) for term in walk(expr) if isinstance(term, Load)}
    inputs: list[tuple[list[Packed], int]] = []
    for source in written.inputs:
        bound = case.inputs[source.name]
        sides = bound if isinstance(bound, tuple) else (bound, bound)
        inputs.append(([packed(source.name, as_array(x)) for x in sides], ranks[source]))
    env = case.env()
    lengths = range(case.batch_size), range(case.q_len), range(case.kv_len)
    positions = [
        [[env.q_position(b, i) for i in lengths[1]] for b in lengths[0]],
        [[env.k_position(b, j) for j in lengths[2]] for b in lengths[0]],
    ]
    return node.run(f"""
        const inputs = {json.dumps(inputs)}
            .map(([sides, count]) => sides.map((side) => unpacked(side, count)));
        const [queries, keys] = {json.dumps(positions)};
        const c = makeCall({json.dumps(case.sizes)}, [], inputs,
            (b, i) => queries[b][i], (b, j) => keys[b][j]);
        const found = [], scores = {json.dumps(score)}, value = {written.functions[0]};
        for (let b = 0; b < c.batch_size; b++)
        for (let h = 0; h < c.num_heads; h++)
        for (let i = 0; i < c.q_len; i++)
        for (let j = 0; j < c.kv_len; j++)
            found.push(value(c, b, h, i, j, c.q(b, i), c.k(b, j), scores && scores[found.length]));
        return found;
    """)


@settings(max_examples=examples(80))
@given(data=st.data(), expr=st.one_of(masks(), ints(), floats()))
def test_every_point_has_its_value(node: Engine, data: st.DataObject, expr: Expr) -> None:
    case: Case = data.draw(environments(expr, positions=True, pairs=True))
    assert values(node, expr, case) == case.matrix(expr).flatten().tolist()


@settings(max_examples=examples(40))
@given(data=st.data(), expr=WORDS.flatmap(lambda words: masks(words=replace(words, topk=True))))
def test_selections(node: Engine, data: st.DataObject, expr: Expr) -> None:
    case: Case = data.draw(environments(expr, positions=True))
    assert values(node, expr, case) == case.matrix(expr).flatten().tolist()


@settings(max_examples=examples(30))
@given(data=st.data(), score=scores())
def test_scores(node: Engine, data: st.DataObject, score: Expr) -> None:
    case: Case = data.draw(environments(score, positions=True))
    shape = case.batch_size, case.num_heads, case.q_len, case.kv_len
    old = torch.linspace(-4, 4, math.prod(shape), dtype=torch.float64).reshape(shape)
    found = values(node, score, case, old.flatten().tolist())
    expected = case.matrix(score, old).flatten()
    torch.testing.assert_close(
        torch.tensor(found, dtype=torch.float64), expected, rtol=1e-9, atol=1e-12
    )


@pytest.mark.planted
def test_a_planted_fault_is_caught(node: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remainder with the sign of the dividend, as JavaScript's own."""
    wrong = replace(ArithOp.MOD.value, javascript_ints="({0} % {1})")
    monkeypatch.setattr(ArithOp.MOD, "_value_", wrong)
    cases = ints().flatmap(lambda expr: st.tuples(st.just(expr), environments(expr)))
    find_fault(cases, lambda one: values(node, *one) != one[1].matrix(one[0]).flatten().tolist())


FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, -3.0, 7.25, 1e300, math.inf, -math.inf, math.nan]
INTS = [0, 1, -1, 2, -2, 3, -7, 12, 255, 2**31]


@pytest.mark.parametrize("op", ArithOp)
def test_arithmetic_at_the_edges(node: Engine, op: ArithOp) -> None:
    """Of zeros, infinities and NaN; the signs of zeros count too."""
    body, expected = [], []
    for kind in (FLOATS, INTS):
        for left in kind:
            for right in kind:
                if op is ArithOp.POW and kind is INTS and right > 12:
                    continue
                node_of = FloatConst if kind is FLOATS else IntConst
                expr = Arith(op, node_of(left), node_of(right))
                try:
                    value = evaluate(expr, None, None)
                except (ZeroDivisionError, OverflowError):
                    value = None
                if value is not None and expr.type is Type.INT and abs(value) >= 2**53:
                    value = None
                body.append(to_javascript([expr], {}).functions[0])
                expected.append(value)
    found = node.run(f"""
        return [{", ".join(body)}].map((value) => {{
            try {{ const x = value(); return Object.is(x, -0) ? "-0" : x; }}
            catch (error) {{
                if (error instanceof Unanswerable) return null;
                throw error;
            }}
        }});
    """)
    for text, mine, yours in zip(body, found, expected, strict=True):
        if yours is None:
            assert mine is None, text
        elif yours == 0:
            is_negative = isinstance(yours, float) and math.copysign(1, yours) < 0
            assert mine == ("-0" if is_negative else 0), text
        elif math.isnan(yours):
            assert math.isnan(mine), text
        else:
            assert math.isclose(mine, yours, rel_tol=1e-14), (text, mine, yours)


def test_what_numbers_do_not_hold_is_refused(node: Engine) -> None:
    q = Index(Ix.Q)
    case = Case(1, 1, 1, 3, 1)
    square = Arith(ArithOp.MUL, IntConst(2**31), IntConst(2**31))
    assert values(node, Arith(ArithOp.ADD, square, q), case) == Failed(
        "Error: an int of more than 53 bits"
    )
    assert values(node, Arith(ArithOp.MOD, IntConst(1), q), case) == Failed(
        "Error: a division by zero"
    )
    with pytest.raises(LoweringError, match=r"M522.*`9007199254740992` has more than 53 bits"):
        to_javascript([IntConst(2**53)], {})
    with pytest.raises(MaskcError, match=r"M522.*`t` holds an int of more than 53 bits"):
        packed("t", np.array([1, 2**60]))


def test_a_read_outside_an_input_is_refused(node: Engine) -> None:
    program = compile_mask("input t: int; t[q] == 0")
    case = Case(1, 1, 1, 5, 1, {"t": torch.zeros(4, dtype=torch.int64)})
    assert values(node, program.module.mask, case) == Failed("Error: t has 4 entries, none at 4")


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([True, False]), "Uint8Array"),
        (np.array([0, 255]), "Uint8Array"),
        (np.array([-1, 255]), "Int16Array"),
        (np.array([70_000]), "Int32Array"),
        (np.array([2**40, -3]), "Float64Array"),
        (np.array([0.1], np.float32), "Float32Array"),
        (np.array([0.1]), "Float64Array"),
        (np.array([0.1], np.float16), "Float32Array"),
        (np.zeros((0, 3), np.int64), "Uint8Array"),
        (np.array(7), "Uint8Array"),
    ],
)
def test_inputs_arrive_as_they_were(node: Engine, array: np.ndarray, kind: str) -> None:
    text = packed("t", array)
    assert text["kind"] == kind
    found = node.run(f"return Array.from(unpacked({json.dumps(text)}, 1).data)")
    assert found == [float(x) if array.dtype.kind == "f" else x for x in array.flatten().tolist()]
