"""The table of operators: every interpreter has the meaning of every entry, or refuses it.

Each test walks the whole table. Two entries are made up, with nothing but a meaning on numbers and
on tensors: what nobody said of them must count as unknown.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from javascript import engine

from maskc import BindError, LoweringError, MaskTypeError, Program, compile_mask
from maskc.analysis.equiv.result import Equal
from maskc.analysis.intervals import floats, integers
from maskc.analysis.intervals.domain import Bounds
from maskc.analysis.scores.hidden_inf import hidden_inf
from maskc.elaborate import scope
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    Call,
    Compare,
    Expr,
    FloatConst,
    Index,
    Input,
    IntConst,
    Load,
    Size,
    literal,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn, Function, Gives, Takes
from maskc.ir.smooth import is_steep
from maskc.ir.types import Ix, Sz, Type
from maskc.ir.vectorize import function
from maskc.lower.codegen.tensors import Kind, generate
from maskc.passes.support.ranges import range_of
from maskc.view.explorer.javascript import to_javascript
from maskc.view.library import functions

ROOT = Path(__file__).parents[2]
WRITTEN = [fn for fn in Fn if fn is not Fn.NEG]
FLOATS = [0.0, 0.5, -0.5, 1.0, -1.0, 2.75, -3.25, 8.0, 30.0, -30.0, 700.0, math.inf, -math.inf]
INTS = [0, 1, -1, 2, 3, -7, 12, 255, -256, 65_537]


def made_up(name: str, **columns: object) -> Fn:
    """Return a function as it would be with one more entry in the table."""
    fn = object.__new__(Fn)
    fn._name_ = name.upper()
    fn._value_ = Function(name=name, doc="made up", **columns)
    return fn


CBRT = made_up(
    "cbrt",
    scalar=lambda x: math.copysign(abs(x) ** (1 / 3), x),
    tensor="(torch.sign({0}) * torch.abs({0}) ** (1 / 3))",
)
POPCOUNT = made_up(
    "popcount",
    takes=Takes.INTS,
    gives=Gives.WIDEST,
    scalar=lambda n: (n & 0xFFFFFFFF).bit_count(),
    tensor="sum(torch.bitwise_right_shift({0}, n) % 2 for n in range(32))",
)
ONES = made_up(
    "ones",
    takes=Takes.INTS,
    gives=Gives.WIDEST,
    scalar=POPCOUNT.value.scalar,
    tensor=POPCOUNT.value.tensor,
    reach=lambda n: 32,
)
"""The same, with one more column: how large it may be."""


@pytest.fixture
def _one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for fn in (CBRT, POPCOUNT, ONES):
        monkeypatch.setitem(scope.FUNCTIONS, fn.value.name, fn)
    names = frozenset({*scope.LANGUAGE, "cbrt", "popcount", "ones"})
    monkeypatch.setattr(scope, "LANGUAGE", names)


def arguments(fn: Fn, kind: Type) -> Iterator[list[float]]:
    """Yield arguments of one type, some of each kind that matters."""
    least, most = fn.value.arity
    count = least if most is not None else 3
    seeds = random.Random(fn.value.name)
    values = FLOATS if kind is Type.FLOAT else INTS
    limits = fn.value.limits or (None,) * count
    for _ in range(40):
        drawn = [seeds.choice(values) for _ in range(count)]
        yield [
            x if limit is None else min(max(x, limit[0]), limit[1])
            for x, limit in zip(drawn, limits, strict=True)
        ]


def kinds(fn: Fn) -> list[Type]:
    return [Type.INT] if fn.value.takes is Takes.INTS else [Type.INT, Type.FLOAT]


TYPED = [pytest.param(fn, kind, id=f"{fn.name} {kind.value}") for fn in Fn for kind in kinds(fn)]


def same(found: float, expected: float) -> bool:
    """Compare as floats of 32 bits are compared: what they cannot hold is infinite."""
    if math.isnan(expected):
        return math.isnan(found)
    if abs(expected) > torch.finfo(torch.float32).max and math.isinf(found):
        return (found > 0) == (expected > 0)
    return found == expected or math.isclose(found, expected, rel_tol=2e-5, abs_tol=1e-6)


@pytest.mark.parametrize(("fn", "kind"), TYPED)
def test_tensors_mean_what_numbers_do(fn: Fn, kind: Type) -> None:
    dtype = torch.float64 if kind is Type.FLOAT else torch.int64
    for args in arguments(fn, kind):
        found = function(fn, [torch.tensor(x, dtype=dtype) for x in args]).item()
        expected = fn.value.scalar(*args)
        if kind is Type.FLOAT and fn.value.gives is Gives.FLOAT:
            expected = float(expected)
        assert same(found, expected), args


@pytest.mark.parametrize(("fn", "kind"), TYPED)
def test_generated_code_means_what_numbers_do(fn: Fn, kind: Type) -> None:
    """Of inputs, which are tensors, and of a size among them, which is a number."""
    count = len(next(arguments(fn, kind)))
    loads = [Load(Input(f"x{n}", kind), ()) for n in range(count)]
    call = Call(fn, tuple(loads))
    made = generate(Call(Fn.FLOAT, (call,)), Kind.SCORE)
    dtype = torch.float64 if kind is Type.FLOAT else torch.int64
    for args in arguments(fn, kind):
        tensors = {f"x{n}": torch.tensor(x, dtype=dtype) for n, x in enumerate(args)}
        mod = made.build(*(tensors[name] for name in made.inputs))
        zero = torch.zeros((), dtype=torch.int64)
        found = mod(torch.zeros(()), zero, zero, zero, zero).item()
        assert same(found, float(fn.value.scalar(*args))), args


def test_javascript_means_what_numbers_do() -> None:
    """Of every function that has one, to the last bits of a float."""
    cases = [
        (fn, args, Call(fn, tuple(map(literal, args))))
        for fn in Fn
        if fn.value.javascript is not None
        for kind in kinds(fn)
        for args in arguments(fn, kind)
    ]
    texts = to_javascript([call for _, _, call in cases], {}).functions
    with engine() as node:
        found = node.run(f"return [{', '.join(texts)}].map((value) => value())")
    for (fn, args, _), mine in zip(cases, found, strict=True):
        expected = float(fn.value.scalar(*args))
        is_nan = math.isnan(expected) and math.isnan(mine)
        assert is_nan or math.isclose(mine, expected, rel_tol=1e-13), (fn, args)


def test_comparisons_in_javascript_mean_what_numbers_do() -> None:
    values = [*FLOATS, math.nan, *INTS]
    cases = [
        Compare(op, literal(a), literal(b)) for op in CompareOp for a in values for b in values
    ]
    texts = to_javascript(cases, {}).functions
    with engine() as node:
        found = node.run(f"return [{', '.join(texts)}].map((value) => value())")
    assert found == [evaluate(case, Point(), Env({})) for case in cases]


def test_javascript_refuses_what_it_has_no_meaning_for() -> None:
    with pytest.raises(LoweringError, match=r"M522.*`popcount` has no meaning in JavaScript"):
        to_javascript([Call(POPCOUNT, (IntConst(3),))], {})


@pytest.mark.parametrize("fn", WRITTEN)
def test_code_of_sizes_means_what_numbers_do(fn: Fn) -> None:
    count = len(next(arguments(fn, Type.INT)))
    call = Call(fn, (Size(Sz.Q_LEN), *[IntConst(3)] * (count - 1)))
    made = generate(Call(Fn.FLOAT, (call,)), Kind.SCORE)
    found = made.build(7)(torch.zeros(()), *[torch.zeros((), dtype=torch.int64)] * 4).item()
    assert same(found, float(fn.value.scalar(7, *[3] * (count - 1))))


@pytest.mark.parametrize("fn", [*Fn, CBRT, POPCOUNT, ONES])
@given(data=st.data())
def test_bounds_hold(fn: Fn, data: st.DataObject) -> None:
    """Those on tiles, and those that the passes know of ints."""
    is_int = fn.value.takes is Takes.INTS or (
        fn.value.gives in (Gives.WIDEST, Gives.ROUNDED) and data.draw(st.booleans())
    )
    values = st.integers(-300, 300) if is_int else st.floats(-50, 50, width=32)
    count = len(next(arguments(fn, Type.INT)))
    limits = fn.value.limits or (None,) * count
    drawn = [
        data.draw(st.lists(st.integers(*limit) if limit else values, min_size=1, max_size=3))
        for limit in limits
    ]
    if fn.value.gives is Gives.BOOL:
        return
    boxes = [
        Bounds(torch.tensor(min(xs)), torch.tensor(max(xs)), int(max(map(abs, xs)))) for xs in drawn
    ]
    for _ in range(4):
        point = [data.draw(st.sampled_from(xs)) for xs in drawn]
        value = fn.value.scalar(*point)
        if is_int:
            bound = integers.function(fn, boxes)
            assert bound.lo <= value <= bound.hi
            assert abs(value) <= bound.reach
        elif fn.value.gives is Gives.ROUNDED:
            bound = floats.rounded(fn, boxes[0])
            assert bound.lo <= value <= bound.hi
        else:
            bound = floats.function(fn, boxes)
            assert not bool(bound.lo > value + 1e-5)
            assert not bool(bound.hi < value - 1e-5)


@pytest.mark.parametrize("fn", [*Fn, CBRT, POPCOUNT, ONES])
def test_ranges_hold(fn: Fn) -> None:
    """What the passes take for granted of an int function, at every point of a small call."""
    if fn.value.gives not in (Gives.WIDEST, Gives.ROUNDED):
        return
    count = len(next(arguments(fn, Type.INT)))
    q, k = Index(Ix.Q), Index(Ix.K)
    terms: list[Expr] = [q, k, Call(Fn.CLAMP, (q, IntConst(1), IntConst(5))), IntConst(-3)]
    seeds = random.Random(fn.value.name)
    env = Env({Sz.Q_LEN: 9, Sz.KV_LEN: 9})
    for _ in range(12):
        args = [seeds.choice(terms) for _ in range(count)]
        if fn.value.limits:
            args[1] = Call(Fn.CLAMP, (k, IntConst(0), IntConst(7)))
        term = Call(fn, tuple(args))
        low, high = range_of(term)
        for row in range(9):
            for key in range(9):
                value = evaluate(term, Point(q_idx=row, kv_idx=key), env)
                assert low is None or low <= value
                assert high is None or value <= high


@pytest.mark.parametrize("fn", [*Fn, CBRT])
def test_a_tame_function_is_finite_and_nowhere_steep(fn: Fn) -> None:
    entry = fn.value
    arg = Load(Input("x", Type.FLOAT), ())
    if entry.gives is not Gives.FLOAT or entry.parameters != "x":
        return
    assert is_steep(Call(fn, (arg,))) == (entry.tame_from > -math.inf)
    if entry.tame_from == math.inf:
        return
    start = max(entry.tame_from, -40.0)
    for step in range(400):
        x = start + step / 5
        value, near = entry.scalar(x), entry.scalar(x + 1e-6)
        assert math.isfinite(value)
        assert abs(near - value) < 1e-4


@pytest.mark.parametrize("fn", [*Fn, CBRT])
@pytest.mark.parametrize("infinity", [-math.inf, math.inf])
def test_an_infinity_that_passes_is_seen(fn: Fn, infinity: float) -> None:
    if fn.value.takes is Takes.INTS or fn.value.gives is Gives.BOOL:
        return
    count = len(next(arguments(fn, Type.FLOAT)))
    for place in range(count):
        values = [infinity if n == place else 0.0 for n in range(count)]
        result = fn.value.scalar(*values)
        call = Call(fn, tuple(map(FloatConst, values)))
        if isinstance(result, float) and math.isinf(result):
            assert hidden_inf(call, math.copysign(1.0, result)) is not None


def test_proofs_mean_what_numbers_do() -> None:
    z3 = pytest.importorskip("z3")
    for fn in Fn:
        if fn.value.z3 is None:
            continue
        for args in arguments(fn, Type.INT):
            found = z3.simplify(fn.value.z3(z3, *map(z3.IntVal, args)))
            expected = fn.value.scalar(*args)
            assert str(found) == str(expected), (fn, args)
    for op in [*ArithOp, *CompareOp]:
        for left in INTS:
            for right in INTS[1:]:
                if op.value.z3 is not None:
                    found = z3.simplify(op.value.z3(z3, z3.IntVal(left), z3.IntVal(right)))
                    assert str(found) == str(op.value.scalar(left, right)), (op, left, right)


@pytest.mark.usefixtures("_one_more")
def test_nothing_is_proved_of_a_function_without_a_meaning_for_proofs() -> None:
    plain = compile_mask("q == k")
    for text in ("popcount(q) == k", "q == popcount(k)"):
        assert not isinstance(compile_mask(text).equivalent(plain), Equal)
    assert compile_mask("popcount(q) == popcount(k)").text == "popcount(q) == popcount(k)"
    left, right = compile_mask("score = cbrt(score)"), compile_mask("score = score")
    assert not isinstance(left.equivalent(right), Equal)


@pytest.mark.parametrize(
    "backend", ["sdpa", "banded", pytest.param("flex", marks=pytest.mark.compiled)]
)
@pytest.mark.usefixtures("_one_more")
@pytest.mark.parametrize(
    "text",
    [
        "cbrt(float(q - k)) < 1.5 & k <= q",
        "ones(q) == ones(k) | q == k",
        "causal; score = cbrt(score) + cbrt(float(q_len)) * float(ones(q_len))",
        "input x: float; score = score + cbrt(x[k] - x[q])",
    ],
)
def test_a_new_entry_runs_everywhere(text: str, backend: str) -> None:
    """On every backend, in the block mask and in an emitted file."""
    program = compile_mask(text)
    q, k, v = torch.randn(3, 1, 2, 37, 16, generator=torch.Generator().manual_seed(0))
    given = {"x": torch.linspace(-2, 2, 37)} if "input" in text else {}
    expected = program(q, k, v, backend="reference", **given)
    torch.testing.assert_close(
        program(q, k, v, backend=backend, **given), expected, atol=2e-5, rtol=1e-4
    )
    check_tiles(program, given)
    assert compile_mask(program.text) == program
    assert "import torch" in program.emit("module")


@pytest.mark.usefixtures("_one_more")
def test_an_int_of_unknown_size_is_refused() -> None:
    with pytest.raises(BindError, match=r"`popcount\(q\)` may leave 32 bits"):
        compile_mask("popcount(q) == k").bind(q_len=8)


def check_tiles(program: Program, given: dict[str, torch.Tensor]) -> None:
    bound = program.bind(q_len=37, block_size=8, **given)
    dense = torch.nn.functional.pad(bound.dense_mask()[0, 0].float(), (0, 3, 0, 3))
    counts = dense.view(5, 8, 5, 8).sum((1, 3))
    tiles = bound.tiles
    assert tiles.empty == int((counts == 0).sum())
    assert tiles.full + tiles.partial == int((counts > 0).sum())


def test_every_function_is_in_the_language_and_its_pages() -> None:
    page = (ROOT / "grammar" / "README.md").read_text(encoding="utf-8")
    listed = {entry.name: entry for entry in functions()}
    for fn in WRITTEN:
        assert scope.FUNCTIONS[fn.value.name] is fn
        assert f"`{fn.value.form}`" in page, fn.value.form
        assert listed[fn.value.name].doc == fn.value.doc


def test_a_gate_in_logarithms_stays_finite() -> None:
    """Where ``log(sigmoid(x))`` is -inf in floats of 32 bits, and its gradient NaN."""
    gate = torch.tensor([-200.0, -1.0, 0.0, 3.0, 200.0], requires_grad=True)
    program = compile_mask("input gate: float; score = score - softplus(-gate[k])")
    bound = program.bind(q_len=5)
    q, k, v = torch.randn(3, 1, 1, 5, 8, generator=torch.Generator().manual_seed(0))
    scores = bound.scores(q, k, gate=gate) - bound.scores(q, k, gate=torch.full((5,), 1e4))
    torch.testing.assert_close(
        scores[0, 0, 0], torch.nn.functional.logsigmoid(gate), atol=2e-5, rtol=1e-5
    )
    bound(q, k, v, gate=gate, backend="sdpa").sum().backward()
    assert bool(gate.grad.isfinite().all())


def test_a_planted_fault_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose text says another function than its number does."""
    wrong = made_up("wrong", scalar=math.atan, tensor="torch.tanh({0})")
    with pytest.raises(AssertionError):
        test_tensors_mean_what_numbers_do(wrong, Type.FLOAT)
    claimed = made_up("claimed", scalar=lambda x: -x, tensor="-{0}", shape=Fn.EXP.value.shape)
    bound = floats.function(claimed, [Bounds(torch.tensor(1.0), torch.tensor(2.0))])
    assert not bool(bound.lo <= -1.5)


def test_bits_are_of_ints_and_shifts_are_kept_within_32() -> None:
    with pytest.raises(MaskTypeError, match="`bitand` needs ints, found a float"):
        compile_mask("bitand(q, 1.5) == 0")
    assert compile_mask("shl(q, 40) <= shl(k, 40)") == compile_mask("shl(q, 31) <= shl(k, 31)")
