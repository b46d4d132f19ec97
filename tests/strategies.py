"""Well-typed programs drawn by hypothesis; `environments.py` draws calls that fit them.

The short guide::

    from environments import Case, environments
    from strategies import epilogues, masks, modules, scores

    @given(data=st.data(), mask=masks())
    def test_my_pass_keeps_the_meaning(data, mask):
        case = data.draw(environments(mask))           # sizes and tensors that fit the mask
        assert torch.equal(case.matrix(my_pass(mask)), case.matrix(mask))

- ``masks()`` are booleans over indices, sizes, coordinates and inputs of every form of subscript;
  ``scores()`` are the new score as a function of the old, ``epilogues()`` the new output;
  ``modules()`` are all three. ``ints``, ``floats`` and ``bools`` are their parts.
- ``depth`` bounds the nesting of operators, ``words`` what a program may be made of: ``Words()``
  is everything but ``topk``; narrow it with ``Words(loads=False, axes=())`` and so on. Without
  ``words`` a token grid is drawn for every second program.
- What a float in a mask is made of is exact in float32 (quarters, sums, small products), so that a
  kernel in float32 must decide every comparison as the evaluator does. Scores are smooth where
  they round: compare them with a tolerance.
- A drawn expression is what elaboration makes of some text: it prints and parses back to itself.
- An input's name tells how it is subscripted (``TABLES``), so that all its uses agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from maskc.ir.nodes import (
    FALSE,
    OUT,
    SCORE,
    TRUE,
    And,
    Arith,
    Axis,
    Call,
    Compare,
    Coord,
    Expr,
    FloatConst,
    Index,
    Input,
    IntConst,
    Load,
    Module,
    Not,
    Or,
    Size,
    TopK,
    Value,
    Where,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Dim, Given, Ix, Sz, Type

POSITION, ANY = "position", "any"
"""Forms of a subscript: ``q`` or ``k``; any int of at least 0. The others are an ``Ix``."""

TABLES: dict[Input, tuple[str | Ix, ...]] = {
    Input("n", Type.INT): (),
    Input("prefix_len", Type.INT): (Ix.BATCH,),
    Input("doc", Type.INT): (POSITION,),
    Input("widths", Type.INT): (Ix.HEAD,),
    Input("budget", Type.INT): (Ix.KV_HEAD,),
    Input("start", Type.INT): (ANY,),
    Input("signed", Type.INT): (POSITION,),
    Input("local_doc", Type.INT): (Ix.Q_IDX,),
    Input("on", Type.BOOL): (),
    Input("valid", Type.BOOL): (POSITION,),
    Input("blocks", Type.BOOL): (ANY, ANY),
    Input("pairs", Type.BOOL): (Ix.KV_HEAD, Ix.Q_IDX, Ix.KV_IDX),
    Input("threshold", Type.FLOAT): (),
    Input("slopes", Type.FLOAT): (Ix.HEAD,),
    Input("importance", Type.FLOAT): (Ix.KV_HEAD, Ix.K),
    Input("decay", Type.FLOAT): (Ix.BATCH, Ix.HEAD, POSITION),
    Input("bias", Type.FLOAT): (Ix.HEAD, Ix.Q, Ix.K),
    Input("relative", Type.FLOAT): (Ix.HEAD, ANY),
}
"""The inputs of drawn programs and the forms of their subscripts."""

GAIN = Input("gain", Type.FLOAT)
"""A factor for each head, drawn positive, so that ``-inf`` stays what it is."""


@dataclass(frozen=True)
class Words:
    """What drawn programs may be made of."""

    axes: tuple[Axis, ...] = ()
    loads: bool = True
    floats: bool = True
    sizes: bool = True
    heads: bool = True
    topk: bool = False


def grid(*sizes: int, start: int = 0) -> tuple[Axis, ...]:
    """Return the axes of a row-major token grid, named h, w, d."""
    count = 1
    for size in sizes:
        count *= size
    axes, stride = [], count
    for name, size in zip("hwd", sizes, strict=False):
        stride //= size
        axes.append(Axis(name, size, stride, start, count))
    return tuple(axes)


GRIDS = [grid(2, 3), grid(3, 3, start=1), grid(1, 5), grid(5, 1), grid(2, 2, 2), grid(7)]
WORDS = st.builds(lambda axes: Words(axes=axes), st.one_of(st.just(()), st.sampled_from(GRIDS)))


@st.composite
def masks(draw: DrawFn, depth: int = 3, words: Words | None = None) -> Expr:
    """Draw a boolean expression that does not read the score."""
    return _bool(draw, depth, draw(WORDS) if words is None else words)


@st.composite
def ints(draw: DrawFn, depth: int = 3, words: Words | None = None) -> Expr:
    """Draw an int expression; its value stays far inside 32 bits."""
    return _int(draw, depth, draw(WORDS) if words is None else words)


@st.composite
def floats(draw: DrawFn, depth: int = 3, words: Words | None = None) -> Expr:
    """Draw a float expression that float32 computes exactly."""
    return _float(draw, depth, draw(WORDS) if words is None else words)


@st.composite
def scores(draw: DrawFn, steps: int = 3, depth: int = 2, words: Words | None = None) -> Expr:
    """Draw a new score: up to ``steps`` common modifications of the score, one after another."""
    words = draw(WORDS) if words is None else words
    score: Expr = SCORE
    for _ in range(draw(st.integers(0, steps))):
        score = draw(st.sampled_from(STEPS))(draw, score, depth, words)
    return score


@st.composite
def epilogues(draw: DrawFn, words: Words | None = None) -> Expr:
    """Draw a new output from ``out``, ``lse`` and inputs that do not depend on k."""
    words = replace(draw(WORDS) if words is None else words, topk=False)
    term = draw(_without_k(words))
    lse = Call(Fn.SIGMOID, (Arith(ArithOp.SUB, Value(Given.LSE), term),))
    factor = draw(st.sampled_from([lse, _quarter(draw), Call(Fn.SIGMOID, (term,))]))
    return draw(st.sampled_from([OUT, Arith(ArithOp.MUL, OUT, factor)]))


@st.composite
def modules(draw: DrawFn, depth: int = 3, words: Words | None = None) -> Module:
    """Draw a whole program over one token grid."""
    words = draw(WORDS) if words is None else words
    mask = draw(st.one_of(st.just(TRUE), masks(depth, words)))
    score = draw(scores(words=words))
    return Module(mask, score, draw(st.one_of(st.just(OUT), epilogues(words))))


# Booleans

Rule = Callable[[DrawFn, int, Words], Expr]


def _bool(draw: DrawFn, depth: int, words: Words) -> Expr:
    if depth <= 0:
        return draw(st.sampled_from(LEAF_BOOLS))(draw, 0, words)
    return draw(st.sampled_from(BOOLS))(draw, depth - 1, words)


def _band(draw: DrawFn, depth: int, words: Words) -> Expr:
    """Draw ``q - k < c`` and the like: what most masks are made of."""
    left, right = draw(st.permutations([Index(Ix.Q), Index(Ix.K)]))
    if draw(st.booleans()):
        return Compare(draw(_ORDERS), left, right)
    distance = Arith(ArithOp.SUB, left, right)
    return Compare(draw(_ORDERS), *draw(st.permutations([distance, draw(_small)])))


def _mixed_band(draw: DrawFn, depth: int, words: Words) -> Expr:
    """Draw ``abs(2*k - 3*q) <= 40``."""
    terms = [
        Arith(ArithOp.MUL, IntConst(draw(st.integers(1, 4))), Index(which))
        for which in draw(st.permutations([Ix.Q, Ix.K]))
    ]
    distance = Arith(draw(st.sampled_from([ArithOp.SUB, ArithOp.ADD])), terms[0], terms[1])
    bound = IntConst(draw(st.integers(0, 40)))
    return Compare(draw(_ORDERS), Call(Fn.ABS, (distance,)), bound)


def _compare_ints(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Compare(
        draw(st.sampled_from(CompareOp)), _int(draw, depth, words), _int(draw, depth, words)
    )


def _compare_floats(draw: DrawFn, depth: int, words: Words) -> Expr:
    if not words.floats:
        return _compare_ints(draw, depth, words)
    left, right = _float(draw, depth, words), draw(st.sampled_from([_float, _int]))
    return Compare(draw(st.sampled_from(CompareOp)), left, right(draw, depth, words))


def _same_table(draw: DrawFn, depth: int, words: Words) -> Expr:
    """Draw ``doc[q] == doc[k]``."""
    if not words.loads:
        return _band(draw, depth, words)
    table = draw(st.sampled_from([Input("doc", Type.INT), Input("signed", Type.INT)]))
    sides = Load(table, (Index(Ix.Q),)), Load(table, (Index(Ix.K),))
    return Compare(draw(st.sampled_from(CompareOp)), *sides)


def _bool_load(draw: DrawFn, depth: int, words: Words) -> Expr:
    return _load(draw, Type.BOOL, depth, words, _band)


def _and_or(draw: DrawFn, depth: int, words: Words) -> Expr:
    parts = tuple(_bool(draw, depth, words) for _ in range(draw(st.integers(2, 3))))
    return draw(st.sampled_from([And, Or]))(parts)


def _not(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Not(_bool(draw, depth, words))


def _equal_bools(draw: DrawFn, depth: int, words: Words) -> Expr:
    op = draw(st.sampled_from([CompareOp.NE, CompareOp.EQ]))
    return Compare(op, _bool(draw, depth, words), _bool(draw, depth, words))


def _where_bool(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Where(*(_bool(draw, depth, words) for _ in range(3)))


def _to_bool(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Call(Fn.BOOL, (_int(draw, depth, words),))


def _topk(draw: DrawFn, depth: int, words: Words) -> Expr:
    if not (words.topk and words.loads):
        return _and_or(draw, depth, words)
    value = _float_load(draw, 0, words)
    where = draw(st.sampled_from([TRUE, _band(draw, 0, words)]))
    return TopK(value, draw(st.integers(1, 5)), where)


def _constant_bool(draw: DrawFn, depth: int, words: Words) -> Expr:
    return draw(st.sampled_from([TRUE, FALSE]))


LEAF_BOOLS: list[Rule] = [
    *(_band, _band, _same_table, _bool_load, _compare_ints, _mixed_band, _constant_bool)
]
BOOLS: list[Rule] = [
    *(_band, _and_or, _and_or, _not, _compare_ints, _compare_floats, _same_table, _bool_load),
    *(_mixed_band, _where_bool, _equal_bools, _to_bool, _topk),
]


# Ints


def _int(draw: DrawFn, depth: int, words: Words) -> Expr:
    if depth <= 0:
        return draw(_leaf_int(words))
    return draw(st.sampled_from(INTS))(draw, depth - 1, words)


_small = st.builds(IntConst, st.one_of(st.integers(-3, 9), st.sampled_from([64, 512])))
_ORDERS = st.sampled_from([CompareOp.LE, CompareOp.LT])
_DIVISORS = st.one_of(st.sampled_from([2, 3, 4, 1, 5, 7, 8]), st.sampled_from([-1, -2, -3]))


def _leaf_int(words: Words) -> SearchStrategy[Expr]:
    known: list[Expr] = [Index(which) for which in Ix if words.heads or which.dim in Dim.Q | Dim.K]
    if words.sizes:
        known += [Size(which) for which in Sz]
    leaves = [st.sampled_from([Index(Ix.Q), Index(Ix.K)]), _small, st.sampled_from(known)]
    if words.axes:
        leaves.append(_coordinates(words))
    return st.one_of(leaves)


def _coordinates(words: Words) -> SearchStrategy[Expr]:
    position = st.sampled_from([Index(Ix.Q), Index(Ix.K)])
    return st.builds(Coord, position, st.sampled_from(words.axes))


def _leaf(draw: DrawFn, depth: int, words: Words) -> Expr:
    return draw(_leaf_int(words))


def _sum(draw: DrawFn, depth: int, words: Words) -> Expr:
    op = draw(st.sampled_from([ArithOp.SUB, ArithOp.ADD]))
    return Arith(op, _int(draw, depth, words), _int(draw, depth, words))


def _multiple(draw: DrawFn, depth: int, words: Words) -> Expr:
    parts = IntConst(draw(st.integers(-4, 4))), _int(draw, depth, words)
    return Arith(ArithOp.MUL, *draw(st.permutations(parts)))


def _product(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Arith(ArithOp.MUL, draw(_leaf_int(words)), draw(_leaf_int(words)))


def _divide(draw: DrawFn, depth: int, words: Words) -> Expr:
    op = draw(st.sampled_from([ArithOp.FLOORDIV, ArithOp.MOD]))
    divisors: list[SearchStrategy[Expr]] = [st.builds(IntConst, _DIVISORS)]
    if words.sizes:
        divisors.append(st.builds(Size, st.sampled_from(Sz)))
    return Arith(op, _int(draw, depth, words), draw(st.one_of(divisors)))


def _power(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Arith(ArithOp.POW, draw(_leaf_int(words)), IntConst(draw(st.integers(0, 2))))


def _negative(draw: DrawFn, depth: int, words: Words) -> Expr:
    return _minus(_int(draw, depth, words))


def _min_max(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Call(*_args(draw, lambda: _int(draw, depth, words)))


def _where_int(draw: DrawFn, depth: int, words: Words) -> Expr:
    then, other = _int(draw, depth, words), _int(draw, depth, words)
    return Where(_bool(draw, depth, words), then, other)


def _from_bool(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Call(Fn.INT, (_bool(draw, depth, words),))


def _rounded(draw: DrawFn, depth: int, words: Words) -> Expr:
    if not words.floats:
        return _sum(draw, depth, words)
    fn = draw(st.sampled_from([Fn.FLOOR, Fn.CEIL, Fn.ROUND, Fn.INT]))
    return Call(fn, (_float(draw, depth, words),))


def _int_load(draw: DrawFn, depth: int, words: Words) -> Expr:
    return _load(draw, Type.INT, depth, words, _sum)


INTS: list[Rule] = [
    *(_leaf, _sum, _sum, _divide, _multiple, _int_load, _min_max, _where_int, _negative, _product),
    *(_from_bool, _rounded, _power),
]


# Floats, exact in float32


def _float(draw: DrawFn, depth: int, words: Words) -> Expr:
    if depth <= 0:
        return draw(st.sampled_from([_constant_float, _float_load]))(draw, 0, words)
    return draw(st.sampled_from(FLOATS))(draw, depth - 1, words)


def _quarter(draw: DrawFn) -> FloatConst:
    return FloatConst(draw(st.integers(-16, 16)) / 4)


def _constant_float(draw: DrawFn, depth: int, words: Words) -> Expr:
    return _quarter(draw)


def _float_load(draw: DrawFn, depth: int, words: Words) -> Expr:
    return _load(draw, Type.FLOAT, depth, words, _constant_float)


def _to_float(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Call(Fn.FLOAT, (_int(draw, depth, words),))


def _float_sum(draw: DrawFn, depth: int, words: Words) -> Expr:
    op = draw(st.sampled_from([ArithOp.ADD, ArithOp.SUB]))
    other = draw(st.sampled_from([_float, _int]))
    parts = draw(st.permutations([_float(draw, depth, words), other(draw, depth, words)]))
    return Arith(op, *parts)


def _float_multiple(draw: DrawFn, depth: int, words: Words) -> Expr:
    factor = FloatConst(draw(st.sampled_from([0.5, 2.0, -1.0, 0.25])))
    return Arith(ArithOp.MUL, *draw(st.permutations([factor, _float(draw, depth, words)])))


def _float_min_max(draw: DrawFn, depth: int, words: Words) -> Expr:
    return Call(*_args(draw, lambda: _float(draw, depth, words)))


def _where_float(draw: DrawFn, depth: int, words: Words) -> Expr:
    then, other = _float(draw, depth, words), _float(draw, depth, words)
    return Where(_bool(draw, depth, words), then, other)


def _negative_float(draw: DrawFn, depth: int, words: Words) -> Expr:
    return _minus(_float(draw, depth, words))


FLOATS: list[Rule] = [
    *(_float_load, _float_load, _constant_float, _to_float, _float_sum, _float_multiple),
    *(_float_min_max, _where_float, _negative_float),
]


# Scores: steps that take the score so far

Step = Callable[[DrawFn, Expr, int, Words], Expr]


def _add_term(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    parts = score, _term(draw, depth, words)
    return Arith(ArithOp.ADD, *(parts if draw(st.booleans()) else parts[::-1]))


def _add_alibi(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    slope = Load(Input("slopes", Type.FLOAT), (Index(Ix.HEAD),)) if words.loads else FloatConst(0.5)
    distance = Arith(ArithOp.SUB, Index(Ix.K), Index(Ix.Q))
    return Arith(ArithOp.ADD, score, Arith(ArithOp.MUL, slope, distance))


def _scale(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    factors: list[Expr] = [FloatConst(0.5), FloatConst(1.5)]
    if words.loads and words.heads:
        factors.append(Load(GAIN, (Index(Ix.HEAD),)))
    return Arith(ArithOp.MUL, *draw(st.permutations([score, draw(st.sampled_from(factors))])))


def _softcap(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    cap = FloatConst(draw(st.sampled_from([4.0, 30.0])))
    return Arith(ArithOp.MUL, cap, Call(Fn.TANH, (Arith(ArithOp.DIV, score, cap),)))


def _clamp_score(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    return Call(Fn.CLAMP, (score, FloatConst(-3.0), FloatConst(draw(st.sampled_from([2.0, 5.0])))))


def _mask_score(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    return Where(_bool(draw, depth, words), score, FloatConst(float("-inf")))


def _choose_score(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    return Where(_bool(draw, depth, words), score, _add_term(draw, score, 0, words))


def _min_score(draw: DrawFn, score: Expr, depth: int, words: Words) -> Expr:
    return Call(Fn.MIN, (score, _term(draw, depth, words)))


STEPS: list[Step] = [
    *(_add_term, _scale, _softcap, _mask_score, _add_alibi, _choose_score, _clamp_score),
    *(_min_score,),
]

_SMOOTH = [Fn.TANH, Fn.SIGMOID, Fn.SIN, Fn.COS]


def _term(draw: DrawFn, depth: int, words: Words) -> Expr:
    """Draw a finite term of a score."""
    exact = draw(st.sampled_from([_float, _int]))(draw, depth, words)
    positive = Arith(ArithOp.ADD, Call(Fn.ABS, (exact,)), IntConst(1))
    ways: list[Expr] = [
        exact,
        Call(draw(st.sampled_from(_SMOOTH)), (exact,)),
        Call(draw(st.sampled_from([Fn.LOG, Fn.LOG2, Fn.SQRT, Fn.RSQRT])), (positive,)),
        Arith(ArithOp.DIV, exact, draw(st.sampled_from([IntConst(3), FloatConst(1.5)]))),
        Call(Fn.EXP, (Call(Fn.CLAMP, (exact, IntConst(-3), IntConst(1))),)),
    ]
    return draw(st.sampled_from(ways))


@st.composite
def _without_k(draw: DrawFn, words: Words) -> Expr:
    leaves: list[Expr] = [FloatConst(0.5), Call(Fn.FLOAT, (Index(Ix.Q),))]
    if words.loads and words.heads:
        leaves.append(Load(Input("slopes", Type.FLOAT), (Index(Ix.HEAD),)))
        position = Index(Ix.BATCH), Index(Ix.HEAD), Index(Ix.Q)
        leaves.append(Load(Input("decay", Type.FLOAT), position))
    return draw(st.sampled_from(leaves))


# Subscripts


def _load(draw: DrawFn, kind: Type, depth: int, words: Words, otherwise: Rule) -> Expr:
    """Draw an element of an input of type ``kind``; ``otherwise`` where there are no inputs."""
    if not words.loads:
        return otherwise(draw, depth, words)
    tables = [
        (table, forms)
        for table, forms in TABLES.items()
        if table.type is kind and (words.heads or not {*forms} & {Ix.HEAD, Ix.KV_HEAD, Ix.BATCH})
    ]
    table, forms = draw(st.sampled_from(tables))
    return Load(table, tuple(_subscript(draw, form, depth, words) for form in forms))


def _subscript(draw: DrawFn, form: str | Ix, depth: int, words: Words) -> Expr:
    if isinstance(form, Ix):
        return Index(form)
    position = Index(draw(st.sampled_from([Ix.Q, Ix.K])))
    if form == POSITION:
        return position
    return draw(st.sampled_from(SUBSCRIPTS))(draw, position, depth, words)


def _block(draw: DrawFn, position: Expr, depth: int, words: Words) -> Expr:
    op = draw(st.sampled_from([ArithOp.FLOORDIV, ArithOp.MOD]))
    return Arith(op, position, IntConst(draw(st.sampled_from([2, 3, 4]))))


def _of_document(draw: DrawFn, position: Expr, depth: int, words: Words) -> Expr:
    return Load(Input("doc", Type.INT), (position,))


def _distance(draw: DrawFn, position: Expr, depth: int, words: Words) -> Expr:
    """Draw ``q - k + kv_len``, clamped at 0: queries may lie before the first key."""
    shifted = Arith(ArithOp.ADD, Arith(ArithOp.SUB, Index(Ix.Q), Index(Ix.K)), Size(Sz.KV_LEN))
    return Call(Fn.MAX, (shifted, IntConst(0)))


def _clamped(draw: DrawFn, position: Expr, depth: int, words: Words) -> Expr:
    inner = _int(draw, depth - 1, replace(words, loads=False))
    bound = draw(st.integers(0, 6))
    return Call(Fn.CLAMP, (inner, IntConst(0), IntConst(bound)))


def _coordinate(draw: DrawFn, position: Expr, depth: int, words: Words) -> Expr:
    if not words.axes:
        return position
    return Call(Fn.MAX, (Coord(position, draw(st.sampled_from(words.axes))), IntConst(0)))


def _plain(draw: DrawFn, position: Expr, depth: int, words: Words) -> Expr:
    return position


SUBSCRIPTS: list[Callable[[DrawFn, Expr, int, Words], Expr]] = [
    *(_plain, _block, _of_document, _distance, _clamped, _coordinate)
]


def _args(draw: DrawFn, part: Callable[[], Expr]) -> tuple[Fn, tuple[Expr, ...]]:
    fn = draw(st.sampled_from([Fn.MIN, Fn.MAX, Fn.ABS, Fn.CLAMP]))
    count = {Fn.ABS: 1, Fn.CLAMP: 3}.get(fn) or draw(st.integers(2, 3))
    return fn, tuple(part() for _ in range(count))


def _minus(expr: Any) -> Expr:
    """Return ``-expr`` as elaboration builds it: the minus of a literal belongs to it."""
    if isinstance(expr, IntConst | FloatConst):
        return type(expr)(-expr.value)
    return Call(Fn.NEG, (expr,))
