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
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from maskc.ir import scalars
from maskc.ir.scalars import Number

EVERYWHERE = -math.inf
NOWHERE = math.inf


class Takes(Enum):
    """What the arguments of a function may be."""

    NUMBERS = auto()
    INTS = auto()
    ANYTHING = auto()
    """Numbers and bools: a conversion."""


class Gives(Enum):
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
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

    """

    name: str
    doc: str
    scalar: Callable[..., Number]
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

    @property
    def arity(self) -> tuple[int, int | None]:
        """The least and the largest number of arguments; None for any."""
        names = [name for name in self.parameters.split(", ") if name != "..."]
        return len(names), None if self.parameters.endswith("...") else len(names)

    @property
    def form(self) -> str:
        """How a call is written."""
        return f"{self.name}({self.parameters})"


class Named(Enum):
    """A member that shows and pickles as its name; its entry holds functions."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return getattr, (type(self), self.name)


class Fn(Named):
    """Functions of numbers; ``NEG`` is written ``-x``."""

    NEG = Function(
        name="-",
        doc="the negative of x",
        gives=Gives.WIDEST,
        scalar=operator.neg,
        number="(-{0})",
        shape=Falls(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, x: -x,
    )
    ABS = Function(
        name="abs",
        doc="the absolute value of x",
        gives=Gives.WIDEST,
        scalar=abs,
        tensor="torch.abs({0})",
        number="abs({args})",
        shape=Even(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, x: z3.If(x < 0, -x, x),
    )
    MIN = Function(
        name="min",
        doc="the least of two or more numbers",
        parameters="a, b, ...",
        gives=Gives.WIDEST,
        scalar=scalars.propagating(min),
        number="min({args})",
        shape=Rises(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, first, *rest: _z3_extreme(z3, operator.lt, first, *rest),
    )
    MAX = Function(
        name="max",
        doc="the largest of two or more numbers",
        parameters="a, b, ...",
        gives=Gives.WIDEST,
        scalar=scalars.propagating(max),
        number="max({args})",
        shape=Rises(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, first, *rest: _z3_extreme(z3, operator.gt, first, *rest),
    )
    CLAMP = Function(
        name="clamp",
        doc="x, raised to least and then lowered to most",
        parameters="x, least, most",
        gives=Gives.WIDEST,
        scalar=scalars.propagating(scalars.clamp),
        number="min(max({0}, {1}), {2})",
        shape=Rises(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, x, least, most: _z3_clamp(z3, x, least, most),
    )
    RELU = Function(
        name="relu",
        doc="x where it is above 0, else 0",
        gives=Gives.WIDEST,
        scalar=scalars.relu,
        tensor="torch.relu({0})",
        shape=Rises(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, x: z3.If(x > 0, x, 0),
    )
    SIGN = Function(
        name="sign",
        doc="-1, 0 or 1",
        gives=Gives.WIDEST,
        scalar=scalars.sign,
        tensor="torch.sign({0})",
        shape=Rises(),
        reach=scalars.largest,
        rounds=False,
        tame_from=EVERYWHERE,
        z3=lambda z3, x: z3.If(x > 0, 1, z3.If(x < 0, -1, 0)),
    )
    EXP = Function(
        name="exp",
        doc="e to the power of x",
        scalar=scalars.exp,
        tensor="torch.exp({0})",
        shape=Rises(),
    )
    EXP2 = Function(
        name="exp2",
        doc="2 to the power of x",
        scalar=scalars.ieee(lambda x: 2.0**x),
        tensor="torch.exp2({0})",
        shape=Rises(),
    )
    EXPM1 = Function(
        name="expm1",
        doc="exp(x) - 1, exact near 0",
        scalar=scalars.ieee(math.expm1),
        tensor="torch.expm1({0})",
        shape=Rises(),
    )
    LOG = Function(
        name="log",
        doc="the natural logarithm of x",
        scalar=scalars.ieee(math.log, {0.0: -math.inf}),
        tensor="torch.log({0})",
        shape=Rises(),
        tame_from=1.0,
    )
    LOG2 = Function(
        name="log2",
        doc="the logarithm of x to base 2",
        scalar=scalars.ieee(math.log2, {0.0: -math.inf}),
        tensor="torch.log2({0})",
        shape=Rises(),
        tame_from=1.0,
    )
    LOG1P = Function(
        name="log1p",
        doc="log(1 + x), exact near 0",
        scalar=scalars.ieee(math.log1p, {-1.0: -math.inf}),
        tensor="torch.log1p({0})",
        shape=Rises(),
        tame_from=0.0,
    )
    SQRT = Function(
        name="sqrt",
        doc="the square root of x",
        scalar=scalars.sqrt,
        tensor="torch.sqrt({0})",
        shape=Rises(),
        tame_from=1.0,
    )
    RSQRT = Function(
        name="rsqrt",
        doc="1 / sqrt(x)",
        scalar=lambda x: scalars.divide(1.0, scalars.sqrt(x)),
        tensor="torch.rsqrt({0})",
        shape=Falls(),
        tame_from=1.0,
    )
    TANH = Function(
        name="tanh",
        doc="the hyperbolic tangent of x",
        scalar=math.tanh,
        tensor="torch.tanh({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    SIGMOID = Function(
        name="sigmoid",
        doc="1 / (1 + exp(-x))",
        scalar=scalars.sigmoid,
        tensor="torch.sigmoid({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    ERF = Function(
        name="erf",
        doc="the error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x",
        scalar=math.erf,
        tensor="torch.erf({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    SIN = Function(
        name="sin",
        doc="the sine of x, in radians",
        scalar=scalars.ieee(math.sin),
        tensor="torch.sin({0})",
        shape=Within(-1, 1),
        tame_from=EVERYWHERE,
    )
    COS = Function(
        name="cos",
        doc="the cosine of x, in radians",
        scalar=scalars.ieee(math.cos),
        tensor="torch.cos({0})",
        shape=Within(-1, 1),
        tame_from=EVERYWHERE,
    )
    TAN = Function(
        name="tan",
        doc="the tangent of x, in radians",
        scalar=scalars.ieee(math.tan),
        tensor="torch.tan({0})",
    )
    ATAN = Function(
        name="atan",
        doc="the angle whose tangent is x, in radians",
        scalar=math.atan,
        tensor="torch.atan({0})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    FLOOR = Function(
        name="floor",
        doc="the largest int up to x",
        gives=Gives.ROUNDED,
        scalar=scalars.rounded(math.floor),
        tensor="torch.floor({0})",
        shape=Rises(),
        reach=scalars.largest,
        z3=lambda z3, x: x,
    )
    CEIL = Function(
        name="ceil",
        doc="the least int from x on",
        gives=Gives.ROUNDED,
        scalar=scalars.rounded(math.ceil),
        tensor="torch.ceil({0})",
        shape=Rises(),
        reach=scalars.largest,
        z3=lambda z3, x: x,
    )
    ROUND = Function(
        name="round",
        doc="the nearest int, of two the even one",
        gives=Gives.ROUNDED,
        scalar=scalars.rounded(round),
        tensor="torch.round({0})",
        shape=Rises(),
        reach=scalars.largest,
        z3=lambda z3, x: x,
    )
    FLOAT = Function(
        name="float",
        doc="x as a float",
        takes=Takes.ANYTHING,
        scalar=float,
        number="float({args})",
        shape=Rises(),
        tame_from=EVERYWHERE,
    )
    INT = Function(
        name="int",
        doc="x as an int, cut toward 0; true is 1",
        takes=Takes.ANYTHING,
        gives=Gives.ROUNDED,
        scalar=scalars.rounded(int),
        tensor="{0}",
        shape=Rises(),
        reach=scalars.largest,
        z3=lambda z3, x: x,
    )
    BOOL = Function(
        name="bool",
        doc="x != 0",
        takes=Takes.ANYTHING,
        gives=Gives.BOOL,
        scalar=bool,
        number="bool({args})",
        z3=lambda z3, x: x != 0,
    )
    BITAND = Function(
        name="bitand",
        doc="the bits that both ints have",
        parameters="a, b",
        takes=Takes.INTS,
        gives=Gives.WIDEST,
        scalar=operator.and_,
        tensor="torch.bitwise_and({0}, {1})",
        reach=scalars.bits,
    )
    BITOR = Function(
        name="bitor",
        doc="the bits that one of two ints has",
        parameters="a, b",
        takes=Takes.INTS,
        gives=Gives.WIDEST,
        scalar=operator.or_,
        tensor="torch.bitwise_or({0}, {1})",
        reach=scalars.bits,
    )
    BITXOR = Function(
        name="bitxor",
        doc="the bits that just one of two ints has",
        parameters="a, b",
        takes=Takes.INTS,
        gives=Gives.WIDEST,
        scalar=operator.xor,
        tensor="torch.bitwise_xor({0}, {1})",
        reach=scalars.bits,
    )
    SHL = Function(
        name="shl",
        doc="a * 2 ** n, for n kept within 0 to 31",
        parameters="a, n",
        takes=Takes.INTS,
        gives=Gives.WIDEST,
        scalar=operator.lshift,
        tensor="torch.bitwise_left_shift({0}, {1})",
        limits=(None, (0, 31)),
        shape=Monotone(),
        reach=lambda a, n: a << min(n, 31),
    )
    SHR = Function(
        name="shr",
        doc="a // 2 ** n, for n kept within 0 to 31",
        parameters="a, n",
        takes=Takes.INTS,
        gives=Gives.WIDEST,
        scalar=operator.rshift,
        tensor="torch.bitwise_right_shift({0}, {1})",
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

    """

    symbol: str
    scalar: Callable[[Any, Any], Number]
    tensor: Callable[[Any, Any], Any]
    z3: Callable[[Any, Any, Any], Any] | None = None


class ArithOp(Named):
    """Arithmetic on two numbers; ``//`` and ``%`` floor."""

    ADD = Operator("+", operator.add, operator.add, lambda z3, a, b: a + b)
    SUB = Operator("-", operator.sub, operator.sub, lambda z3, a, b: a - b)
    MUL = Operator("*", operator.mul, operator.mul, lambda z3, a, b: a * b)
    DIV = Operator("/", scalars.divide, operator.truediv)
    FLOORDIV = Operator(
        "//", scalars.floor_divide, operator.floordiv, lambda z3, a, b: _z3_floored(z3, a, b)
    )
    MOD = Operator(
        "%", scalars.modulo, operator.mod, lambda z3, a, b: a - b * _z3_floored(z3, a, b)
    )
    POW = Operator("**", scalars.power, operator.pow)

    @property
    def symbol(self) -> str:
        """The operator as it is written."""
        return self.value.symbol


class CompareOp(Named):
    """Comparisons; ``a > b`` is kept as ``b < a``."""

    LT = Operator("<", operator.lt, operator.lt, lambda z3, a, b: a < b)
    LE = Operator("<=", operator.le, operator.le, lambda z3, a, b: a <= b)
    EQ = Operator("==", operator.eq, operator.eq, lambda z3, a, b: a == b)
    NE = Operator("!=", operator.ne, operator.ne, lambda z3, a, b: a != b)

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
