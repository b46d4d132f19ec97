"""Ints: positions, sizes, coordinates, tables of ints, and arithmetic that floors."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from oracle.draw import Draw, produces
from oracle.tables import LARGE, table
from oracle.terms import Level, Term, World, apply, call_of, constant, infix

SIZES = ("q_len", "kv_len", "num_heads", "num_kv_heads", "batch_size")
WIDEST = 22
"""Bits of an int that is multiplied: the language refuses ints that may leave 32."""


def index(draw: Draw, which: str) -> Term:
    """Return an index by its name in the language."""
    call = draw.call
    largest = {
        "q": call.q_extent,
        "k": call.k_extent,
        "q_idx": call.q_len,
        "kv_idx": call.kv_len,
        "batch": call.batch_size,
    }
    group = call.num_heads // call.num_kv_heads
    aliases = {"k": ["k", "k", "kv"], "batch": ["batch", "b"]}
    text = draw.rng.choice(aliases.get(which, [which]))

    def formula(world: World) -> Tensor:
        if which == "kv_head":
            return world.head // group
        found: Tensor = getattr(world, which)
        return found

    bits = largest.get(which, call.model_heads).bit_length()
    return Term(text, formula, whole=bits)


def position(draw: Draw) -> Term:
    """Draw a position of a query or a key."""
    names = ["q", "q_idx"] if draw.rows_only else ["q", "q", "q", "k", "k", "k", "q_idx", "kv_idx"]
    return index(draw, draw.rng.choice(names))


def distance(draw: Draw) -> Term:
    """Return ``q - k`` or ``k - q``."""
    ends = [index(draw, "q"), index(draw, "k")]
    if draw.rows_only:
        ends = [index(draw, "q"), index(draw, "q_idx")]
    draw.rng.shuffle(ends)
    return minus(*ends)


def plus(left: Term, right: Term) -> Term:
    """Return the sum."""
    return _wider(infix("+", torch.add, left, right, Level.SUM), left, right)


def minus(left: Term, right: Term) -> Term:
    """Return the difference."""
    return _wider(infix("-", torch.sub, left, right, Level.SUM), left, right)


def _wider(result: Term, left: Term, right: Term) -> Term:
    return result.sized(max(left.whole, right.whole) + 1, max(left.part, right.part))


def floored(draw: Draw, symbol: str, left: Term, right: Term) -> Term:
    """Return ``left // right`` or ``left % right``, which floor."""

    def quotient(a: Tensor, b: Tensor) -> Tensor:
        return torch.div(a, b, rounding_mode="floor")

    meaning = quotient if symbol == "//" else torch.remainder
    bits = left.whole if symbol == "//" else right.whole
    return infix(symbol, meaning, left, right, Level.PRODUCT).sized(bits + 1, 0)


def clamped(value: Term, low: Term, high: Term) -> Term:
    """Return ``clamp(value, low, high)``."""

    def meaning(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, a), b)

    return call_of("clamp", meaning, value, low, high).sized(max(low.whole, high.whole), value.part)


@produces("int", 5, leaf=True)
def a_position(draw: Draw, depth: int) -> Term:
    return position(draw)


@produces("int", 2, leaf=True)
def a_head_or_batch(draw: Draw, depth: int) -> Term:
    return index(draw, draw.rng.choice(["head", "kv_head", "batch"]))


@produces("int", 2, leaf=True)
def a_number(draw: Draw, depth: int) -> Term:
    number = draw.rng.choice([0, 1, 2, 3, 5, 7, 16, 33, 260, 2050, -1, -4])
    if number < 0 or draw.chance(0.7):
        return constant(number)
    name = draw.name("p")
    if draw.chance(0.5):
        draw.declare(name, f"param {name} = {number}")
    else:
        draw.declare(name, f"param {name}: int")
        draw.constants[name] = number
    return replace(constant(number), text=name, uses=frozenset([name]))


@produces("int", leaf=True)
def a_size(draw: Draw, depth: int) -> Term:
    name = draw.rng.choice(SIZES)
    value = draw.call.sizes[name]
    return Term(name, lambda _: torch.tensor(value), whole=value.bit_length())


@produces("int", leaf=True)
def a_coordinate(draw: Draw, depth: int) -> Term:
    return coordinate(draw, draw.rng.choice("q" if draw.rows_only else "qk"))


def coordinate(draw: Draw, side: str, axis: str | None = None) -> Term:
    """Return where a token lies along an axis of the grid, -1 outside; a position without one."""
    if not draw.axes:
        return index(draw, side)
    name, size, stride = next(
        (one for one in draw.axes if one[0] == axis), draw.rng.choice(draw.axes)
    )
    count = draw.axes[0][1] * draw.axes[0][2]
    start = draw.start

    def meaning(position: Tensor) -> Tensor:
        token = position - start
        inside = (token >= 0) & (token < count)
        along = torch.div(token, stride, rounding_mode="floor") % size
        return torch.where(inside, along, -1)

    found = apply(f"{side}.{name}", meaning, index(draw, side))
    return replace(found, uses=frozenset(["axis"]), whole=size.bit_length(), part=0)


@produces("int", 3, leaf=True)
def a_read(draw: Draw, depth: int) -> Term:
    """Read a table of ints by one position, head or batch."""
    most = draw.rng.choice([2, 5, 40, 300, 3000])
    return one_subscript(draw, "int", most=most)


def one_subscript(draw: Draw, kind: str, **ranges: int) -> Term:
    """Declare a table and read it by one position, head or batch, or with no subscript."""
    call, rng = draw.call, draw.rng
    sides = ["q"] if draw.rows_only else ["q", "k", "kv_idx"]
    which = rng.choice([*sides, *sides, "q_idx", "head", "head", "kv_head", "batch", ""])
    heads = call.num_kv_heads if which == "kv_head" else call.num_heads
    if call.head_offset:
        heads = call.model_heads
    extents = {
        "q": call.q_extent, "k": call.k_extent, "q_idx": call.q_len, "kv_idx": call.kv_len,
        "batch": call.batch_size, "head": heads, "kv_head": heads,
    }  # fmt: skip
    if not which:
        return table(draw, kind, **ranges).read()
    slack = rng.choice([0, 0, 3]) if which in ("q", "k") else 0
    dims = 1 if draw.chance(0.1) else extents[which] + slack
    batched = False if which == "batch" else None
    return table(draw, kind, dims, batched=batched, **ranges).read(index(draw, which))


@produces("int", leaf=True)
def a_large_id(draw: Draw, depth: int) -> Term:
    """Read ids beyond the ints that float32 holds."""
    extent = max(draw.call.q_extent, draw.call.k_extent)
    ids = table(draw, "int", extent, least=LARGE, most=LARGE + 5)
    side = "q" if draw.rows_only else draw.rng.choice("qk")
    return ids.read(index(draw, side))


@produces("int", 3)
def a_sum(draw: Draw, depth: int) -> Term:
    join = draw.rng.choice([plus, minus])
    return join(draw.term("int", depth - 1), draw.term("int", depth - 1))


@produces("int", 2)
def a_distance(draw: Draw, depth: int) -> Term:
    return distance(draw)


@produces("int")
def a_product(draw: Draw, depth: int) -> Term:
    term = draw.term("int", depth - 1)
    factor = constant(draw.rng.choice([2, 3, 7, -1, -3]))
    if term.whole > WIDEST:
        return term
    ends = [term, factor]
    draw.rng.shuffle(ends)
    found = infix("*", torch.mul, *ends, level=Level.PRODUCT)
    return found.sized(term.whole + factor.whole, 0)


@produces("int", 3)
def a_floored(draw: Draw, depth: int) -> Term:
    symbol = draw.rng.choice(["//", "%"])
    divisor = constant(draw.rng.choice([1, 2, 3, 4, 8, 16, 33, -2, -5]))
    if draw.chance(0.2):
        heads = draw.call.model_heads
        widths = table(draw, "int", heads, least=1, most=9)
        divisor = widths.read(index(draw, "head"))
    return floored(draw, symbol, draw.term("int", depth - 1), divisor)


@produces("int")
def a_least_or_most(draw: Draw, depth: int) -> Term:
    name = draw.rng.choice(["min", "max"])
    meaning = torch.minimum if name == "min" else torch.maximum
    ends = [draw.term("int", depth - 1) for _ in range(2)]
    return call_of(name, meaning, *ends).sized(max(term.whole for term in ends), 0)


@produces("int")
def an_absolute_or_negative(draw: Draw, depth: int) -> Term:
    term = draw.term("int", depth - 1)
    if draw.chance(0.6):
        return call_of("abs", torch.abs, term).sized(term.whole, 0)
    text = f"-{term.at(Level.POWER)}"
    return apply(text, torch.neg, term, level=Level.MINUS).sized(term.whole, 0)


@produces("int")
def a_clamp(draw: Draw, depth: int) -> Term:
    low = draw.rng.choice([-5, 0, 1])
    high = low + draw.rng.choice([0, 3, 20])
    return clamped(draw.term("int", depth - 1), constant(low), constant(high)).sized(6, 0)


@produces("int")
def a_choice(draw: Draw, depth: int) -> Term:
    return choice(draw, "int", depth)


def choice(draw: Draw, kind: str, depth: int) -> Term:
    """Draw ``where(test, then, other)`` or ``then if test else other``."""
    test = draw.term("bool", depth - 1)
    then, other = draw.term(kind, depth - 1), draw.term(kind, depth - 1)
    text = f"where({test.text}, {then.text}, {other.text})"
    level = Level.ATOM
    if draw.chance(0.4):
        text = f"{then.at(Level.OR)} if {test.at(Level.OR)} else {other.at(Level.CHOICE)}"
        level = Level.CHOICE
    found = apply(text, torch.where, test, then, other, level=level)
    return found.sized(max(then.whole, other.whole), max(then.part, other.part))


@produces("int")
def an_indirect_read(draw: Draw, depth: int) -> Term:
    """Read a table by what another one holds, or by a term folded into its range."""
    size = draw.rng.choice([3, 8, 20])
    inner = draw.term("int", depth - 1)
    place = floored(draw, "%", inner, constant(size))
    if draw.chance(0.4):
        place = clamped(inner, constant(0), constant(size - 1))
    return table(draw, "int", size, most=draw.rng.choice([4, 300])).read(place)


@produces("int")
def a_rounded(draw: Draw, depth: int) -> Term:
    """Round a float to an int, which saturates far beyond what is drawn here."""
    name = draw.rng.choice(["floor", "ceil", "round", "int"])
    term = draw.term("float", depth - 1)
    meaning = {"floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "int": torch.trunc}
    shift = 0.5 if name == "round" else 0.0

    def formula(world: World) -> Tensor:
        value = term.formula(world)
        if not term.is_exact:
            world.note(((value + shift) - torch.round(value + shift)).abs() / (1 + value.abs()))
        found = meaning[name](value).nan_to_num(0.0)
        return found.clamp(-(2**31 - 128), 2**31 - 128).long()

    return Term(f"{name}({term.text})", formula, uses=term.uses, whole=min(31, term.whole))
