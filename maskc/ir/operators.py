"""The table of operators: what each function and operator is, for every interpreter.

An entry states a meaning once: the evaluator, tensors, generated code, intervals, ranges, slopes,
infinities, proofs, printing and the documentation read it here. Every default is the safe one: a
function without an interval rule is unbounded, one without a z3 meaning is opaque to proofs, and
one of which nothing is said is taken to be steep. So a new function is one entry.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import auto
from typing import Any

from maskc.ir import scalars
from maskc.ir.scalars import Number
from maskc.ir.types import Word

EVERYWHERE = -math.inf
NOWHERE = math.inf


class Takes(Word):
    """What the arguments of a function may be."""

    NUMBERS = auto()
    INTS = auto()
    ANYTHING = auto()
    """Numbers and bools: a conversion."""


class Gives(Word):
    """What type a function returns."""

    FLOAT = auto()
    WIDEST = auto()
    """The widest type of the arguments."""
    ROUNDED = auto()
    """An int: a float is rounded and saturates (see ``scalars.rounded``), an int stays itself."""
    BOOL = auto()


@dataclass(frozen=True, slots=True)
class Rises:
    """Not decreasing in any argument: extreme where all arguments are."""


@dataclass(frozen=True, slots=True)
class Falls:
    """Not increasing in any argument."""


@dataclass(frozen=True, slots=True)
class Even:
    """A function of ``abs(x)`` that does not decrease with it."""


@dataclass(frozen=True, slots=True)
class Monotone:
    """Monotone in each argument, in a direction that the others decide: extreme at corners."""


@dataclass(frozen=True, slots=True)
class Within:
    """Never outside ``[least, most]`` for finite arguments."""

    least: float
    most: float


Shape = Rises | Falls | Even | Monotone | Within
"""How the values of a function on an interval are found from its ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of numbers.

    Attributes:
        name: as it is written.
        doc: its meaning, for the list of functions.
        parameters: as they are shown; ``...`` at the end for any number of them.
        takes: what the arguments may be.
        gives: the type of the result.
        scalar: the meaning, on Python numbers.
        tensor: the same on tensors, as Python text with ``{0}``, ``{1}`` for the arguments; at
            least one of them is a tensor. Of a rounding it is the part before it becomes an int.
            Without one, the interpreters of tensors write the function themselves.
        number: the same on Python numbers, likewise, where there is a shorter text than that of
            ``tensor`` on tensors of one element; ``{args}`` for all arguments.
        limits: for each argument, what it is kept within; None for no limit.
        shape: how its bounds follow from those of its arguments; None if they do not.
        reach: of an int result, the largest absolute value, from those of the arguments.
        rounds: whether a float result is rounded; not where it is an argument, its negative, or one
            of a few small numbers.
        tame_from: the function and its slope are finite at every finite argument from here on.
        z3: its meaning on mathematical ints, given the module z3 and terms; None if it has none.
        javascript: the meaning in the page of the explorer, as text with ``{0}``, ``{1}`` or
            ``{args}``, over the functions of ``view/explorer/evaluate.js``; ints are numbers
            there. Of a rounding it is the part before it becomes an int. Without one, no page
            evaluates the function.

    """

    name: str
    doc: str
    scalar: Callable[..., Number]
    _: KW_ONLY
    parameters: str = "x"
    takes: Takes = Takes.NUMBERS
    gives: Gives = Gives.FLOAT
    tensor: str | None = None
    number: str | None = None
    limits: tuple[tuple[int, int] | None, ...] = ()
    shape: Shape | None = None
    reach: Callable[..., int] | None = None
    rounds: bool = True
    tame_from: float = NOWHERE
    z3: Callable[..., Any] | None = None
    javascript: str | None = None

    @property
    def arity(self) -> tuple[int, int | None]:
        """The least and the largest number of arguments; None for any."""
        names = [name for name in self.parameters.split(", ") if name != "..."]
        return len(names), None if self.parameters.endswith("...") else len(names)

    @property
    def form(self) -> str:
        """How a call is written."""
        return f"{self.name}({self.parameters})"


class Named(Word):
    """A member that shows and pickles as its name; its entry holds functions."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return getattr, (type(self), self.name)


def _exact(name: str, doc: str, scalar: Callable[..., Number], **columns: Any) -> Function:
    """Return a function that gives an argument, its negative, or one of a few small numbers."""
    columns = {"reach": scalars.largest, "rounds": False, "tame_from": EVERYWHERE, **columns}
    return Function(name, doc, scalar, gives=Gives.WIDEST, **columns)


def _rounding(name: str, doc: str, scalar: Callable[..., Number], **columns: Any) -> Function:
    """Return a rounding: ints stay what they are."""
    columns = {"shape": Rises(), "reach": scalars.largest, "z3": lambda z3, x: x, **columns}
    return Function(name, doc, scalar, gives=Gives.ROUNDED, **columns)


def _of_bits(name: str, doc: str, scalar: Callable[..., Number], **columns: Any) -> Function:
    """Return a function of the bits of ints."""
    return Function(name, doc, scalar, takes=Takes.INTS, gives=Gives.WIDEST, **columns)


class Fn(Named):
    """Functions of numbers; ``NEG`` is written ``-x``."""

    NEG = _exact(
        "-",
        "the negative of x",
        operator.neg,
        number="(-{0})",
        javascript="(-{0})",
        shape=Falls(),
        z3=lambda z3, x: -x,
    )
    ABS = _exact(
        "abs",
        "the absolute value of x",
        abs,
        tensor="torch.abs({0})",
        number="abs({args})",
        javascript="Math.abs({0})",
        shape=Even(),
        z3=lambda z3, x: z3.If(x < 0, -x, x),
    )
    MIN = _exact(
        "min",
        "the least of two or more numbers",
        scalars.propagating(min),
        parameters="a, b, ...",
        number="min({args})",
        javascript="least({args})",
        shape=Rises(),
        z3=lambda z3, first, *rest: _z3_extreme(z3, operator.lt, first, *rest),
    )
    MAX = _exact(
        "max",
        "the largest of two or more numbers",
        scalars.propagating(max),
        parameters="a, b, ...",
        number="max({args})",
        javascript="greatest({args})",
        shape=Rises(),
        z3=lambda z3, first, *rest: _z3_extreme(z3, operator.gt, first, *rest),
    )
    CLAMP = _exact(
        "clamp",
        "x, raised to least and then lowered to most",
        scalars.propagating(scalars.clamp),
        parameters="x, least, most",
        number="min(max({0}, {1}), {2})",
        javascript="clamped({0}, {1}, {2})",
        shape=Rises(),
        z3=lambda z3, x, least, most: _z3_clamp(z3, x, least, most),
    )
    RELU = _exact(
        "relu",
        "x where it is above 0, else 0",
        scalars.relu,
        tensor="torch.relu({0})",
        javascript="relu({0})",
        shape=Rises(),
        z3=lambda z3, x: z3.If(x > 0, x, 0),
    )
    SIGN = _exact(
        "sign",
        "-1, 0 or 1",
        scalars.sign,
        tensor="torch.sign({0})",
        javascript="sign({0})",
        shape=Rises(),
        z3=lambda z3, x: z3.If(x > 0, 1, z3.If(x < 0, -1, 0)),
    )
    EXP = Function(
        "exp",
        "e to the power of x",
        scalars.exp,
        tensor="torch.exp({0})",
        javascript="Math.exp({0})",
        shape=Rises(),
    )
    EXP2 = Function(
        "exp2",
        "2 to the power of x",
        scalars.ieee(lambda x: 2.0**x),
        tensor="torch.exp2({0})",
        javascript="(2 ** {0})",
        shape=Rises(),
    )
    EXPM1 = Function(
        "expm1",
        "exp(x) - 1, exact near 0",
        scalars.ieee(math.expm1),
        tensor="torch.expm1({0})",
        javascript="Math.expm1({0})",
        shape=Rises(),
    )
    LOG = Function(
        "log",
        "the natural logarithm of x",
        scalars.ieee(math.log, {0.0: -math.inf}),
        tensor="torch.log({0})",
        javascript="Math.log({0})",
        shape=Rises(),
        tame_from=1.0,
    )
    LOG2 = Function(
        "log2",
        "the logarithm of x to base 2",
        scalars.ieee(math.log2, {0.0: -math.inf}),
        tensor="torch.log2({0})",
        javascript="Math.log2({0})",
        shape=Rises(),
        tame_from=1.0,
    )
    LOG1P = Function(
        "log1p",
        "log(1 + x), exact near 0",
        scalars.ieee(math.log1p, {-1.0: -math.inf}),
        tensor="torch.log1p({0})",
        javascript="Math.log1p({0})",
        shape=Rises(),
        tame_from=0.0,
    )
    SQRT = Function(
        "sqrt",
        "the square root of x",
        scalars.sqrt,
        tensor="torch.sqrt({0})",
        javascript="Math.sqrt({0})",
        shape=Rises(),
        tame_from=1.0,
    )
    RSQRT = Function(
        "rsqrt",
        "1 / sqrt(x)",
        lambda x: scalars.divide(1.0, scalars.sqrt(x)),
        tensor="torch.rsqrt({0})",
        javascript="(1 / Math.sqrt({0}))",
        shape=Falls(),
        tame_from=1.0,
    )
    TANH = Function(
        "tanh",
        "the hyperbolic tangent of x",
        math.tanh,
        tensor="torch.tanh({0})",
        javascript="Math.tanh({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    SIGMOID = Function(
        "sigmoid",
        "1 / (1 + exp(-x))",
        scalars.sigmoid,
        tensor="torch.sigmoid({0})",
        javascript="(1 / (1 + Math.exp(-{0})))",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    SOFTPLUS = Function(
        "softplus",
        "log(1 + exp(x)), exact for large x; -softplus(-x) is log(sigmoid(x))",
        lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
        tensor="torch.nn.functional.softplus({0})",
        javascript="softplus({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    ERF = Function(
        "erf",
        "the error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x",
        math.erf,
        tensor="torch.erf({0})",
        javascript="erf({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    SIN = Function(
        "sin",
        "the sine of x, in radians",
        scalars.ieee(math.sin),
        tensor="torch.sin({0})",
        javascript="Math.sin({0})",
        shape=Within(-1, 1),
        tame_from=EVERYWHERE,
    )
    COS = Function(
        "cos",
        "the cosine of x, in radians",
        scalars.ieee(math.cos),
        tensor="torch.cos({0})",
        javascript="Math.cos({0})",
        shape=Within(-1, 1),
        tame_from=EVERYWHERE,
    )
    TAN = Function(
        "tan",
        "the tangent of x, in radians",
        scalars.ieee(math.tan),
        tensor="torch.tan({0})",
        javascript="Math.tan({0})",
    )
    ATAN = Function(
        "atan",
        "the angle whose tangent is x, in radians",
        math.atan,
        tensor="torch.atan({0})",
        javascript="Math.atan({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    FLOOR = _rounding(
        "floor",
        "the largest int up to x",
        scalars.rounded(math.floor),
        tensor="torch.floor({0})",
        javascript="Math.floor({0})",
    )
    CEIL = _rounding(
        "ceil",
        "the least int from x on",
        scalars.rounded(math.ceil),
        tensor="torch.ceil({0})",
        javascript="Math.ceil({0})",
    )
    ROUND = _rounding(
        "round",
        "the nearest int, of two the even one",
        scalars.rounded(round),
        tensor="torch.round({0})",
        javascript="roundedToEven({0})",
    )
    FLOAT = Function(
        "float",
        "x as a float",
        float,
        takes=Takes.ANYTHING,
        number="float({args})",
        javascript="Number({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    INT = _rounding(
        "int",
        "x as an int, cut toward 0; true is 1",
        scalars.rounded(int),
        takes=Takes.ANYTHING,
        tensor="{0}",
        javascript="Math.trunc({0})",
    )
    BOOL = Function(
        "bool",
        "x != 0",
        bool,
        takes=Takes.ANYTHING,
        gives=Gives.BOOL,
        number="bool({args})",
        javascript="({0} != 0)",
        z3=lambda z3, x: x != 0,
    )
    BITAND = _of_bits(
        "bitand",
        "the bits that both ints have",
        operator.and_,
        parameters="a, b",
        tensor="torch.bitwise_and({0}, {1})",
        javascript="(int32({0}) & int32({1}))",
        reach=scalars.bits,
    )
    BITOR = _of_bits(
        "bitor",
        "the bits that one of two ints has",
        operator.or_,
        parameters="a, b",
        tensor="torch.bitwise_or({0}, {1})",
        javascript="(int32({0}) | int32({1}))",
        reach=scalars.bits,
    )
    BITXOR = _of_bits(
        "bitxor",
        "the bits that just one of two ints has",
        operator.xor,
        parameters="a, b",
        tensor="torch.bitwise_xor({0}, {1})",
        javascript="(int32({0}) ^ int32({1}))",
        reach=scalars.bits,
    )
    SHL = _of_bits(
        "shl",
        "a * 2 ** n, for n kept within 0 to 31",
        operator.lshift,
        parameters="a, n",
        tensor="torch.bitwise_left_shift({0}, {1})",
        javascript="({0} * 2 ** {1})",
        limits=(None, (0, 31)),
        shape=Monotone(),
        reach=lambda a, n: a << min(n, 31),
    )
    SHR = _of_bits(
        "shr",
        "a // 2 ** n, for n kept within 0 to 31",
        operator.rshift,
        parameters="a, n",
        tensor="torch.bitwise_right_shift({0}, {1})",
        javascript="Math.floor({0} / 2 ** {1})",
        limits=(None, (0, 31)),
        shape=Monotone(),
        reach=lambda a, n: a,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """An operator between two operands.

    Attributes:
        symbol: as it is written, in the language and in Python.
        scalar: the meaning, on Python numbers.
        tensor: the same on tensors, where it is that of Python's operator.
        z3: its meaning on mathematical ints, given the module z3 and two terms; None if it has none
            or one of its own.
        javascript: the meaning in the page of the explorer, as text with ``{0}`` and ``{1}``.
        javascript_ints: that of two ints whose result is one, where it is another.

    """

    symbol: str
    scalar: Callable[[Any, Any], Number]
    tensor: Callable[[Any, Any], Any]
    z3: Callable[[Any, Any, Any], Any] | None = None
    _: KW_ONLY
    javascript: str | None = None
    javascript_ints: str | None = None


class ArithOp(Named):
    """Arithmetic on two numbers; ``//`` and ``%`` floor."""

    ADD = Operator(
        "+", operator.add, operator.add, lambda z3, a, b: a + b, javascript="({0} + {1})"
    )
    SUB = Operator(
        "-", operator.sub, operator.sub, lambda z3, a, b: a - b, javascript="({0} - {1})"
    )
    MUL = Operator(
        "*", operator.mul, operator.mul, lambda z3, a, b: a * b, javascript="({0} * {1})"
    )
    DIV = Operator("/", scalars.divide, operator.truediv, javascript="({0} / {1})")
    FLOORDIV = Operator(
        "//",
        scalars.floor_divide,
        operator.floordiv,
        lambda z3, a, b: _z3_floored(z3, a, b),
        javascript="floorDivided({0}, {1})",
        javascript_ints="floorDividedInts({0}, {1})",
    )
    MOD = Operator(
        "%",
        scalars.modulo,
        operator.mod,
        lambda z3, a, b: a - b * _z3_floored(z3, a, b),
        javascript="remainder({0}, {1})",
        javascript_ints="remainderOfInts({0}, {1})",
    )
    POW = Operator(
        "**",
        scalars.power,
        operator.pow,
        javascript="power({0}, {1})",
        javascript_ints="powerOfInts({0}, {1})",
    )

    @property
    def symbol(self) -> str:
        """The operator as it is written."""
        return self.value.symbol


class CompareOp(Named):
    """Comparisons; ``a > b`` is kept as ``b < a``."""

    LT = Operator("<", operator.lt, operator.lt, lambda z3, a, b: a < b, javascript="({0} < {1})")
    LE = Operator(
        "<=", operator.le, operator.le, lambda z3, a, b: a <= b, javascript="({0} <= {1})"
    )
    EQ = Operator(
        "==", operator.eq, operator.eq, lambda z3, a, b: a == b, javascript="({0} === {1})"
    )
    NE = Operator(
        "!=", operator.ne, operator.ne, lambda z3, a, b: a != b, javascript="({0} !== {1})"
    )

    @property
    def symbol(self) -> str:
        """The comparison as it is written."""
        return self.value.symbol


ARITHMETIC = {op.symbol: op for op in ArithOp}
COMPARISONS = {op.symbol: op for op in CompareOp}
"""The operators by what is written."""


def _z3_extreme(z3: Any, wins: Callable[[Any, Any], Any], first: Any, *rest: Any) -> Any:
    for term in rest:
        first = z3.If(wins(term, first), term, first)
    return first


def _z3_clamp(z3: Any, x: Any, least: Any, most: Any) -> Any:
    return _z3_extreme(z3, operator.lt, _z3_extreme(z3, operator.gt, x, least), most)


def _z3_floored(z3: Any, left: Any, right: Any) -> Any:
    """Return the floored quotient; z3's rounds so that the remainder is at least 0."""
    return z3.If(right > 0, left / right, -left / -right)
