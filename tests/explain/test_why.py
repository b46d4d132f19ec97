"""Why a query sees a key: the values are the evaluator's, and what is marked decides."""

import json
import math
from typing import Any

import pytest
import torch
from environments import Case, environments
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import modules

import maskc
from maskc.explain.tree import Kind
from maskc.explain.why.answer import Answer, Why, WhyRow
from maskc.explain.why.ask import MOST_RANGES
from maskc.ir.evaluate import evaluate
from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.run.bound import Bound

DOC = (torch.arange(128) > 50).int()


def bound_of(text: str, **more: Any) -> Bound:
    return maskc.compile_mask(text).bind(**{"q_len": 128, "num_heads": 2, **more})


def test_a_pair_that_is_masked() -> None:
    text = "causal & same_doc & window(30); score = softcap(score, 30) + alibi"
    bound = bound_of(text, doc=DOC, slopes=torch.tensor([0.5, 0.25]))
    found = bound.why(q=57, k=12)
    assert (
        str(found)
        == """\
query 57 does not see key 12
  no  * causal & same_doc & window(30)
  yes     causal: 12 <= 57
  no  *   same_doc: doc[57] = 1, doc[12] = 0
  no  *   window(30): 57 - 12 = 45, not < 30
  * decides
score  q . k * scale
       softcap(score, 30) + alibi: 30 * tanh(score / 30) - 22.5"""
    )
    assert not found.sees
    assert found.reasons == (
        "same_doc: doc[57] = 1, doc[12] = 0",
        "window(30): 57 - 12 = 45, not < 30",
    )
    assert json.loads(json.dumps(found.as_dict()))["mask"]["parts"][0]["value"] is True
    html = found._repr_html_()
    assert "<b>query 57 does not see key 12</b>" in html
    assert "57 - 12 = 45, not &lt; 30" in html


def test_a_row() -> None:
    found = bound_of("causal & window(30) | sinks(2)").why(q=57)
    assert (
        str(found)
        == """\
query 57 sees 32 of 128 keys
  keys 0 to 1, 2 of them
    before: the first key
    after:  window(30): 57 - 2 = 55, not < 30; sinks(2): 2, not < 2
  keys 28 to 57, 30 of them
    before: window(30): 57 - 27 = 30, not < 30; sinks(2): 27, not < 2
    after:  causal: 58, not <= 57; sinks(2): 58, not < 2"""
    )
    assert found.as_dict()["ranges"][1]["first"] == 28
    assert "query 57 sees 32 of 128 keys" in found._repr_html_()


def test_a_row_without_keys_shows_an_instance() -> None:
    found = bound_of("causal & valid_queries", valid=torch.arange(128) < 100).why(q=110, head=1)
    assert str(found).splitlines()[:4] == [
        "query 110 sees no key (head 1)",
        "for instance",
        "query 110 does not see key 110 (head 1)",
        "  no  * causal & valid_queries",
    ]
    assert found.nearest is not None
    assert found.nearest.reasons == ("valid_queries: valid[110] = false",)


def test_weights_are_those_of_the_call() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 2, 128, 16), torch.randn(1, 1, 128, 16)
    text = "causal & window(30); score = softcap(score, 5); score = score + alibi"
    bound = bound_of(text, num_kv_heads=1)
    slopes = torch.tensor([0.5, 0.25])
    found = bound.why(q=57, k=52, head=1, qk=(q, k), slopes=slopes)
    weights = bound.weights(q, k, slopes=slopes)
    assert found.weight == pytest.approx(float(weights[0, 1, 57, 52]), rel=1e-5)
    raw = float(q[0, 1, 57] @ k[0, 0, 52]) / 4
    values = [raw, 5 * math.tanh(raw / 5), 5 * math.tanh(raw / 5) - 0.25 * 5]
    assert [step.value for step in found.score] == pytest.approx(values, rel=1e-5)
    lines = str(found).splitlines()
    assert lines[-1] == f"weight {found.weight:.6g}"
    assert bound.why(q=57, k=12, qk=(q, k), slopes=slopes).weight == 0


def test_inputs_that_are_left_to_the_call_are_named() -> None:
    found = bound_of("causal; score = score + alibi").why(q=3, k=1)
    assert str(found).splitlines()[-1] == "       score + alibi: needs slopes"


def test_a_mask_in_the_score() -> None:
    found = bound_of("causal; score = where(same_doc, score, -inf)", doc=DOC).why(q=57, k=12)
    assert not found.sees
    assert str(found).splitlines()[-2:] == [
        "       where(same_doc, score, -inf): where(false, score, -inf) = -inf",
        "the score is -inf here, which masks the pair",
    ]


def test_a_row_that_the_policy_fills() -> None:
    bound = maskc.compile_mask("k < q", empty_rows="all").bind(q_len=4)
    found = bound.why(q=0, k=2)
    assert found.sees
    assert found.remarks == ('the row has no key, and `empty_rows="all"` gives it every key',)


def test_positions_are_those_of_the_program() -> None:
    step = maskc.compile_mask("causal").bind(q_len=1, kv_len=64, q_offset=57)
    assert step.why(q=57, k=60).reasons == ("causal: 60, not <= 57",)
    assert step.why(q_idx=0, kv_idx=60).q == 57
    assert step.why(q=57).ranges[0].stop == 58
    moved = maskc.compile_mask("causal").bind(
        q_len=4, q_positions=torch.tensor([6, 4, 2, 0]), kv_positions=torch.tensor([0, 2, 4, 6])
    )
    found = moved.why(q=4)
    assert (found.q_idx, found.are_rows, found.ranges[0].stop) == (1, True, 3)
    assert moved.why(q=4, k=6).kv_idx == 3


@pytest.mark.parametrize(
    ("place", "message", "help"),
    [
        ({}, "expected one of `q`, a position, and `q_idx`, a row", "write `why(q=0)`"),
        ({"q": 1, "q_idx": 1}, "expected one of `q`, a position, and `q_idx`, a row", None),
        ({"q": 10}, "no query of this call is at position 10", "its positions are 57 to 60"),
        ({"q": 58, "k": 64}, "no key of this call is at position 64", "its positions are 0 to 63"),
        ({"q_idx": 4}, "`q_idx` counts from 0, found 4", "the last query of the call is 3"),
        ({"q": -1}, "`q` counts from 0, found -1", None),
        ({"q": "x"}, "`q` is an int, found 'x'", "write `q=0`"),
        ({"q": 58, "head": 1}, "`head` counts from 0, found 1", "the last head of the call is 0"),
        ({"q": 58, "batch": True}, "`batch` is an int, found True", None),
    ],
)
def test_a_place_that_is_none(place: dict[str, Any], message: str, help: str | None) -> None:
    bound = maskc.compile_mask("causal").bind(q_len=4, kv_len=64, q_offset=57)
    with pytest.raises(maskc.MaskcError) as caught:
        bound.why(**place)
    assert caught.value.code == "M445"
    assert message in str(caught.value)
    assert help is None or help in str(caught.value)


def settled(node: Answer, leaves: dict[int, bool]) -> bool:
    """Return the value of a tree whose leaves have other values; those not named keep theirs."""
    if node.written.kind is Kind.LEAF:
        return leaves.get(id(node), bool(node.value))
    values = [settled(part, leaves) for part in node.parts]
    match node.written.kind:
        case Kind.AND:
            return all(values)
        case Kind.OR:
            return any(values)
        case Kind.XOR:
            return values[0] != values[1]
        case Kind.NOT:
            return not values[0]
        case Kind.CHOICE:
            return values[1] if values[0] else values[2]
        case _:
            return values[0]


def nodes(node: Answer) -> list[Answer]:
    return [node, *(each for part in node.parts for each in nodes(part))]


def bound_case(program: maskc.Program, case: Case) -> Bound:
    tables = {"q_positions": case.q_positions, "kv_positions": case.kv_positions}
    given = {name: table for name, table in tables.items() if table is not None}
    try:
        return program.bind(**case.sizes, **case.inputs, **given)
    except maskc.MaskcError:
        reject()


@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
@settings(max_examples=examples(100))
@given(modules(), st.data())
def test_values_are_the_evaluators_and_marks_decide(module: Module, data: st.DataObject) -> None:
    program = maskc.compile_mask(to_text(module))
    case = data.draw(environments(program.written, program.module, positions=True, pairs=True))
    bound = bound_case(program, case)
    at = data.draw(st.sampled_from(list(case.points())))
    place = {"q_idx": at.q_idx, "kv_idx": at.kv_idx, "batch": at.batch, "head": at.head}
    found = bound.why(**place)
    assert isinstance(found, Why)
    assert found.sees == bool(evaluate(program.module.mask, at, case.env()))
    if found.mask is None:
        return
    assert found.mask.value == bool(evaluate(program.written.mask, at, case.env()))
    every = nodes(found.mask)
    leaves = [node for node in every if node.written.kind is Kind.LEAF]
    free = [leaf for leaf in leaves if not leaf.decides]
    for draw in (lambda _: True, lambda _: False, lambda _: data.draw(st.booleans())):
        assert settled(found.mask, {id(leaf): draw(leaf) for leaf in free}) == found.mask.value
    if not any(node.written.kind in (Kind.CHOICE, Kind.XOR) for node in every):
        turned = {id(leaf): not leaf.value for leaf in leaves if leaf.decides}
        assert settled(found.mask, turned) != found.mask.value


@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
@settings(max_examples=examples(60))
@given(modules(), st.data())
def test_ranges_of_a_row_are_the_evaluators(module: Module, data: st.DataObject) -> None:
    program = maskc.compile_mask(to_text(module))
    case = data.draw(environments(program.written, program.module, positions=True, pairs=True))
    bound = bound_case(program, case)
    at = data.draw(st.sampled_from(list(case.points())))
    row = [p for p in case.points() if (p.batch, p.head, p.q_idx) == (at.batch, at.head, at.q_idx)]
    expected = [bool(evaluate(program.module.mask, p, case.env())) for p in row]
    found = bound.why(q_idx=at.q_idx, batch=at.batch, head=at.head)
    assert isinstance(found, WhyRow)
    assert found.count == sum(expected)
    assume(len(found.ranges) < MOST_RANGES)
    start = 0 if found.are_rows else int(case.env().k_position(at.batch, 0))
    seen = [False] * case.kv_len
    for each in found.ranges:
        seen[each.first - start : each.stop - start] = [True] * (each.stop - each.first)
        assert bool(each.before) == (each.first > start)
        assert bool(each.after) == (each.stop - start < case.kv_len)
    assert seen == expected
