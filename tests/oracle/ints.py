"""Ints: positions, sizes, coordinates, tables of ints, and arithmetic that floors."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from oracle.arithmetic import choice, clamped, floored, minus, plus
from oracle.draw import Draw, produces
from oracle.positions import coordinate, distance, entry, index, one_subscript, position
from oracle.tables import LARGE, table
from oracle.terms import Level, Term, World, apply, call_of, constant, infix

SIZES = ("q_len", "kv_len", "num_heads", "num_kv_heads", "batch_size")
WIDEST = 22
"""Bits of an int that is multiplied: the language refuses ints that may leave 32."""


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


@produces("int", 3, leaf=True)
def a_read(draw: Draw, depth: int) -> Term:
    """Read a table of ints by one position, head or batch."""
    most = draw.rng.choice([2, 5, 40, 300, 3000])
    return one_subscript(draw, "int", most=most)


@produces("int", leaf=True)
def a_large_id(draw: Draw, depth: int) -> Term:
    """Read ids beyond the ints that float32 holds."""
    extent = max(draw.call.q_extent, draw.call.k_extent)
    ids = table(draw, "int", extent, least=LARGE, most=LARGE + 5)
    side = "q" if draw.rows_only else draw.rng.choice("qk")
    return ids.read(entry(draw, side))


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
