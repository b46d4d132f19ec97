"""Floats: literals, tables in every float dtype, and functions."""

from __future__ import annotations

import torch

from oracle.arithmetic import bounded, choice, divided, minus, plus, times
from oracle.draw import Draw, produces
from oracle.positions import entry, index, one_subscript
from oracle.tables import table
from oracle.terms import Level, Term, apply, call_of, constant, float_of, infix


@produces("float", 2, leaf=True)
def a_number(draw: Draw, depth: int) -> Term:
    return constant(draw.rng.choice([0.5, 1.0, 2.25, 0.125, 12.0, 0.1, -0.5, -3.0, 256.5]))


@produces("float", 5, leaf=True)
def a_read(draw: Draw, depth: int) -> Term:
    """Read a table of floats by one position, head or batch."""
    return one_subscript(draw, "float")


@produces("float", 2, leaf=True)
def a_converted_int(draw: Draw, depth: int) -> Term:
    term = draw.term("int", depth - 1)
    return call_of("float", float_of, term).sized(term.whole, 0)


@produces("float", 3)
def a_read_by_distance(draw: Draw, depth: int) -> Term:
    """Read ``t[clamp(k - q, -r, r) + r]``, by head or not."""
    if draw.rows_only:
        return a_read(draw, depth)
    reach = draw.rng.choice([1, 3, 9])
    between = minus(index(draw, "k"), index(draw, "q"))
    place = plus(bounded(between, reach).sized(5, 0), constant(reach))
    if draw.chance(0.5):
        return table(draw, "float", 2 * reach + 1).read(place)
    by_head = table(draw, "float", draw.call.model_heads, 2 * reach + 1)
    return by_head.read(index(draw, "head"), place)


@produces("float")
def a_read_of_every_pair(draw: Draw, depth: int) -> Term:
    """Read a dense bias, by rows or by positions."""
    call = draw.call
    if draw.rows_only or call.q_len * call.kv_len > 40_000:
        return a_read(draw, depth)
    if draw.chance(0.5) and call.q_extent * call.k_extent < 40_000:
        bias = table(draw, "float", call.q_extent, call.k_extent)
        return bias.read(entry(draw, "q"), entry(draw, "k"))
    heads = draw.rng.choice([1, call.model_heads])
    bias = table(draw, "float", heads, call.q_len, call.kv_len)
    return bias.read(*(index(draw, which) for which in ("head", "q_idx", "kv_idx")))


@produces("float", 3)
def a_sum(draw: Draw, depth: int) -> Term:
    join = draw.rng.choice([plus, minus])
    ends = [draw.term("float", depth - 1), draw.term(draw.rng.choice(["int", "float"]), depth - 1)]
    draw.rng.shuffle(ends)
    return join(*ends)


@produces("float", 2)
def a_product(draw: Draw, depth: int) -> Term:
    """Multiply a table or a number by an int or a float."""
    ends = [draw.term("float", 0), draw.term(draw.rng.choice(["int", "float"]), depth - 1)]
    if sum(term.whole for term in ends) > 30:
        return ends[0]
    draw.rng.shuffle(ends)
    return times(*ends)


@produces("float")
def a_quotient(draw: Draw, depth: int) -> Term:
    """Divide by a number; by a power of two exactly."""
    left = draw.term(draw.rng.choice(["int", "float"]), depth - 1)
    divisor = draw.rng.choice([2, 4, 8.0, 0.5, 3, 10.0, -2.0])
    found = divided(left, constant(divisor))
    is_power = divisor in (2, 4, 8.0, 0.5, -2.0)
    return found.sized(left.whole + 1, left.part + 3) if is_power else found


@produces("float")
def a_least_or_most(draw: Draw, depth: int) -> Term:
    name = draw.rng.choice(["min", "max"])
    meaning = torch.minimum if name == "min" else torch.maximum
    ends = [draw.term("float", depth - 1) for _ in range(2)]
    parts = max(term.part for term in ends)
    return call_of(name, meaning, *ends).sized(max(term.whole for term in ends), parts)


@produces("float")
def an_absolute_or_negative(draw: Draw, depth: int) -> Term:
    term = draw.term("float", depth - 1)
    if draw.chance(0.6):
        return call_of("abs", torch.abs, term).sized(term.whole, term.part)
    found = apply(f"-{term.at(Level.POWER)}", torch.neg, term, level=Level.MINUS)
    return found.sized(term.whole, term.part)


@produces("float")
def a_choice(draw: Draw, depth: int) -> Term:
    return choice(draw, "float", depth)


@produces("float", 3)
def a_function(draw: Draw, depth: int) -> Term:
    """Apply a function where it is finite and no steeper than rounding bears."""
    term = draw.term(draw.rng.choice(["int", "float"]), depth - 1)
    small = divided(bounded(term, 60), constant(8))
    size = call_of("abs", torch.abs, term)
    above = plus(constant(1.0), size)
    forms = {
        "exp": (small, torch.exp),
        "tanh": (small, torch.tanh),
        "sigmoid": (small, torch.sigmoid),
        "sin": (small, torch.sin),
        "cos": (small, torch.cos),
        "log": (above, torch.log),
        "log2": (above, torch.log2),
        "sqrt": (size, torch.sqrt),
        "rsqrt": (above, torch.rsqrt),
    }
    name = draw.rng.choice(list(forms))
    inner, meaning = forms[name]
    return call_of(name, lambda x: meaning(float_of(x)), inner).sized(max(12, term.whole))


@produces("float")
def a_power(draw: Draw, depth: int) -> Term:
    term = draw.term("float", depth - 1)
    small = divided(bounded(term, 60), constant(16))
    return infix("**", lambda x, n: float_of(x) ** n, small.bracketed, constant(2), Level.POWER)
