"""The evaluator's rules, at the places where languages differ."""

import math

import pytest
import torch
from environments import Case

from maskc.elaborate.module import elaborate
from maskc.ir import scalars
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Module
from maskc.ir.types import Given, Sz
from maskc.source import Source
from maskc.syntax.parse import parse


def module(text: str) -> Module:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, {})
    assert [*errors, *more] == []
    return elaborated.module


def value(term: str, score: float = 0.0) -> float:
    """Return the value of a term of numbers."""
    found = evaluate(module(f"score = {term}").score, Point(), Env({}, given={Given.SCORE: score}))
    assert isinstance(found, float)
    return found


FLOORS = [
    *(("7 // 2", 3), ("-7 // 2", -4), ("7 // -2", -4), ("-7 // -2", 3), ("-8 // 2", -4)),
    *(("7 % 3", 1), ("-7 % 3", 2), ("7 % -3", -2), ("-7 % -3", -1), ("-9 % 3", 0)),
    *(("7.5 // 2", 3.0), ("-7.5 // 2", -4.0), ("-7.5 % 2", 0.5), ("7 / 2", 3.5), ("-7 / 2", -3.5)),
    *(("floor(-0.5)", -1), ("ceil(-0.5)", 0), ("int(-1.7)", -1), ("int(1.7)", 1)),
    *(("round(0.5)", 0), ("round(1.5)", 2), ("round(-2.5)", -2), ("int(true)", 1)),
    *(("2 ** 10", 1024), ("2 ** -1", 0.5), ("(-2) ** 3", -8), ("-2 ** 2", -4), ("0 ** 0", 1)),
    *(("4 ** 0.5", 2.0), ("clamp(5, 0, 3)", 3), ("clamp(-5, 0, 3)", 0), ("clamp(1, 3, 0)", 0)),
    *(("min(3, 1, 2)", 1), ("max(1, 2.5)", 2.5), ("abs(-3)", 3), ("float(bool(3))", 1)),
]


@pytest.mark.parametrize(("term", "expected"), FLOORS)
def test_numbers(term: str, expected: float) -> None:
    wrapped = f"float({term})" if "bool" not in term else f"int(bool(3)) * {expected}"
    assert value(wrapped) == expected


SPECIAL = [
    *(
        ("1 / 0.0", math.inf),
        ("-1 / 0.0", -math.inf),
        ("1 / -0.0", -math.inf),
        ("0 / 0.0", math.nan),
    ),
    *(("log(0)", -math.inf), ("log(-1)", math.nan), ("log2(8)", 3.0), ("log(inf)", math.inf)),
    *(("sqrt(-1)", math.nan), ("rsqrt(0)", math.inf), ("rsqrt(4)", 0.5), ("exp(1000)", math.inf)),
    *(("exp(-inf)", 0.0), ("sigmoid(-inf)", 0.0), ("sigmoid(inf)", 1.0), ("tanh(-inf)", -1.0)),
    *(
        ("sin(inf)", math.nan),
        ("inf - inf", math.nan),
        ("inf * 0.0", math.nan),
        ("-inf", -math.inf),
    ),
    *(("min(inf - inf, 1)", math.nan), ("max(1, inf - inf)", math.nan), ("1.5 % 0.0", math.nan)),
    *(("clamp(inf - inf, 0, 1)", math.nan), ("1.0 // 0.0", math.inf), ("0.0 // 0.0", math.nan)),
    *(("int(inf - inf)", 0.0), ("int(inf)", 2.0**31 - 128), ("int(-inf)", 128 - 2.0**31)),
    *(("(-8.0) ** 0.5", math.nan), ("10.0 ** 1000", math.inf), ("0.0 ** -1", math.inf)),
    *(("abs(-inf)", math.inf), ("-(-0.0)", 0.0)),
]


@pytest.mark.parametrize(("term", "expected"), SPECIAL)
def test_infinity_and_nan(term: str, expected: float) -> None:
    found = value(term)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize("op", ["<", "<=", "==", ">", ">="])
def test_nan_compares_with_nothing(op: str) -> None:
    assert value(f"float(inf - inf {op} inf - inf)") == 0.0
    assert value(f"float(inf - inf {op} 1)") == 0.0
    assert value("float(inf - inf != inf - inf)") == 1.0


def test_only_the_chosen_side_is_evaluated() -> None:
    assert value("where(true, 1, 1 // (q - q))") == 1.0
    assert value("1 if false else 2") == 2.0
    case = Case(1, 1, 1, 3, 5, inputs={"t": torch.tensor([7, 8])})
    lazy = module("input t: int\nwhere(k < 2, t[k] == 8, false)").mask
    assert case.matrix(lazy).flatten().tolist() == [False, True, False, False, False] * 3
    short = module("input t: int\nk < 2 & t[k] == 8").mask
    assert torch.equal(case.matrix(short), case.matrix(lazy))


def test_a_subscript_outside_its_input_is_refused() -> None:
    case = Case(1, 1, 1, 3, 5, inputs={"t": torch.tensor([7, 8, 9])})
    for text in ("t[k] == 8", "t[q - 1] == 8"):
        with pytest.raises(IndexError):
            case.matrix(module(f"input t: int\n{text}").mask)
    with pytest.raises(ZeroDivisionError):
        case.matrix(module("q // (k - k) == 1").mask)


def test_inputs_broadcast_and_take_a_batch() -> None:
    text = module("input t: int\nt[head, k] == 1").mask
    plain = torch.tensor([[0, 1, 1], [1, 0, 1]])
    case = Case(2, 2, 1, 1, 3, inputs={"t": plain})
    batched = Case(2, 2, 1, 1, 3, inputs={"t": plain.expand(2, 2, 3)})
    assert torch.equal(case.matrix(text), batched.matrix(text))
    one_head = Case(2, 2, 1, 1, 3, inputs={"t": plain[:1]})
    assert one_head.matrix(text)[:, 1, 0].tolist() == [[False, True, True]] * 2


def test_a_pair_serves_queries_and_keys() -> None:
    pair = torch.tensor([1, 2]), torch.tensor([2, 2, 1])
    case = Case(1, 1, 1, 2, 3, inputs={"doc": pair})
    found = case.matrix(module("same_doc").mask)[0, 0].tolist()
    assert found == [[False, False, True], [True, True, False]]


def test_positions_move_q_and_k_but_not_their_rows() -> None:
    queries, keys = torch.tensor([5, 1]), torch.tensor([2, 0, 5])
    case = Case(1, 1, 1, 2, 3, q_positions=queries, kv_positions=keys)
    assert case.matrix(module("causal").mask)[0, 0].tolist() == [[True] * 3, [False, True, False]]
    rows = case.matrix(module("kv_idx <= q_idx").mask)[0, 0].tolist()
    assert rows == [[True, False, False], [True, True, False]]


def test_kv_heads_follow_the_groups() -> None:
    score = Case(1, 6, 2, 1, 1).matrix(module("score = kv_head").score)
    assert score.flatten().tolist() == [0, 0, 0, 1, 1, 1]


def test_topk_takes_the_lower_index_of_a_tie() -> None:
    case = Case(1, 1, 1, 3, 5, inputs={"s": torch.tensor([2.0, 3.0, 3.0, 1.0, 3.0])})
    first = case.matrix(module("input s: float\ntopk(s[k], 2)").mask)[0, 0]
    assert first.tolist() == [[False, True, True, False, False]] * 3
    per_query = case.matrix(module("input s: float\ntopk(s[k], 2, where = causal)").mask)[0, 0]
    assert per_query.tolist() == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [False, True, True, False, False],
    ]
    every = case.matrix(module("input s: float\ntopk(s[k], 9)").mask)
    assert bool(every.all())


def test_a_selection_of_each_row_reads_sizes() -> None:
    env = Env({Sz.KV_LEN: 3})
    assert evaluate(module("topk(k, 1)").mask, Point(kv_idx=2), env) is True


@pytest.mark.parametrize("base", [-1e200, -2.0, -0.0, 0.0, 2.0, 1e200])
@pytest.mark.parametrize("exponent", [-3.0, -2.0, -1.0, 0.0, 2.0, 3.0])
def test_powers_leave_the_floats_on_their_own_side(base: float, exponent: float) -> None:
    found = scalars.power(base, exponent)
    theirs = torch.tensor(base, dtype=torch.float64) ** exponent
    assert str(found) == str(theirs.item())
