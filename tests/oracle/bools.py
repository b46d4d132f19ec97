"""Bools: comparisons, tables, selections, and the connectives."""

from __future__ import annotations

import torch
from torch import Tensor

from oracle.arithmetic import choice, divided, minus
from oracle.draw import Draw, produces
from oracle.positions import coordinate, distance, entry, guarded, index, one_subscript, position
from oracle.tables import LARGE, table
from oracle.terms import Level, Term, World, apply, call_of, constant, float_of, infix

COMPARISONS = {
    "<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge, "==": torch.eq, "!=": torch.ne,
}  # fmt: skip


def compared(symbols: list[str], terms: list[Term]) -> Term:
    """Return a chain of comparisons; numbers of two types are compared as doubles."""
    text = terms[0].at(Level.SUM)
    for symbol, term in zip(symbols, terms[1:], strict=True):
        text += f" {symbol} {term.at(Level.SUM)}"

    def formula(world: World) -> Tensor:
        values = [term.formula(world) for term in terms]
        found = torch.tensor(True)
        for number, symbol in enumerate(symbols):
            left, right = values[number : number + 2]
            if left.is_floating_point() or right.is_floating_point():
                left, right = float_of(left), float_of(right)
                if not (terms[number].is_exact and terms[number + 1].is_exact):
                    world.note((left - right).abs() / (1 + left.abs().maximum(right.abs())))
            found = found & COMPARISONS[symbol](left, right)
        return found

    uses = frozenset().union(*(term.uses for term in terms))
    return Term(text, formula, Level.COMPARE, uses)


def joined(symbol: str, left: Term, right: Term) -> Term:
    """Return two bools joined by ``&``, ``|`` or ``^``, or their words."""
    level, meaning = {
        "&": (Level.AND, torch.logical_and),
        "and": (Level.AND, torch.logical_and),
        "|": (Level.OR, torch.logical_or),
        "or": (Level.OR, torch.logical_or),
        "^": (Level.XOR, torch.logical_xor),
    }[symbol]
    return infix(symbol, meaning, left, right, level)


def denied(draw: Draw, term: Term) -> Term:
    """Return ``!term``, in one of its spellings."""
    sign = draw.rng.choice(["!", "~", "not "])
    return apply(f"{sign}{term.at(Level.NOT)}", torch.logical_not, term, level=Level.NOT)


@produces("bool", 4, leaf=True)
def an_order(draw: Draw, depth: int) -> Term:
    """Compare a query's position with a key's, or with a number."""
    symbol = draw.rng.choice(list(COMPARISONS))
    if draw.chance(0.4):
        bound = constant(draw.rng.choice([0, 1, 4, 16, 100, 300]))
        return compared([symbol], [position(draw), bound])
    ends = [index(draw, "q"), index(draw, "q_idx" if draw.rows_only else "k")]
    draw.rng.shuffle(ends)
    return compared([symbol], ends)


@produces("bool", 3, leaf=True)
def a_band(draw: Draw, depth: int) -> Term:
    """Keep a distance within a chain of bounds."""
    low = constant(draw.rng.choice([-40, -3, 0, 0, 1]))
    high = constant(draw.rng.choice([2, 5, 17, 130, 512]))
    signs = draw.rng.choice([["<=", "<"], ["<", "<="], ["<", "<"]])
    return compared(signs, [low, distance(draw), high])


@produces("bool", 3, leaf=True)
def along_an_axis(draw: Draw, depth: int) -> Term:
    """Compare coordinates of a query and of a key on the grid, if there is one."""
    if draw.rows_only or not draw.axes:
        return an_order(draw, depth)
    name = draw.rng.choice(draw.axes)[0]
    ends = [coordinate(draw, side, name) for side in "qk"]
    if draw.chance(0.4):
        return compared([draw.rng.choice(["==", "<=", ">"])], ends)
    apart = call_of("abs", torch.abs, minus(*ends)).sized(4, 0)
    return compared(["<="], [apart, constant(draw.rng.choice([0, 1, 3]))])


@produces("bool", 3, leaf=True)
def equal_ids(draw: Draw, depth: int) -> Term:
    """Compare the id of the query with that of the key, from one table or from a pair."""
    call = draw.call
    if draw.rows_only:
        return an_order(draw, depth)
    extent = max(call.q_extent, call.k_extent)
    pair = (call.q_extent, call.k_extent) if draw.chance(0.2) else None
    ids = table(
        draw, "int", extent, pair=pair, most=draw.rng.choice([1, 3, 40]), ordered=draw.chance(0.6)
    )
    symbol = draw.rng.choice(["==", "==", "==", "!=", "<=", ">"])

    def read(query: Term, key: Term) -> Term:
        ends = [ids.read(query), ids.read(key, key_side=True)]
        draw.rng.shuffle(ends)
        return compared([symbol], ends)

    if draw.chance(0.5):
        return guarded(draw, read, "q", "k")
    return read(entry(draw, "q"), entry(draw, "k"))


@produces("bool", 2, leaf=True)
def a_read(draw: Draw, depth: int) -> Term:
    """Read a table of bools."""
    call = draw.call
    dense = not draw.rows_only and call.q_extent * call.k_extent < 40_000
    if dense and draw.chance(0.2):
        return guarded(draw, table(draw, "bool", call.q_extent, call.k_extent).read, "q", "k")
    return one_subscript(draw, "bool")


@produces("bool", leaf=True)
def a_literal(draw: Draw, depth: int) -> Term:
    name = draw.rng.choice(["true", "true", "false", "full"])
    return Term(name, lambda _: torch.tensor(name != "false"))


@produces("bool", 3)
def a_comparison(draw: Draw, depth: int) -> Term:
    symbol = draw.rng.choice(list(COMPARISONS))
    return compared([symbol], [draw.term("int", depth - 1), draw.term("int", depth - 1)])


@produces("bool", 4)
def a_comparison_of_floats(draw: Draw, depth: int) -> Term:
    """Compare floats, or a float with an int."""
    symbol = draw.rng.choice(list(COMPARISONS))
    other = draw.term(draw.rng.choice(["int", "int", "float"]), depth - 1)
    ends = [draw.term("float", depth - 1), other]
    draw.rng.shuffle(ends)
    return compared([symbol], ends)


@produces("bool")
def large_ids(draw: Draw, depth: int) -> Term:
    """Compare ids that float32 would take for one another as floats."""
    if draw.rows_only:
        return an_order(draw, depth)
    extent = max(draw.call.q_extent, draw.call.k_extent)
    ids = table(draw, "int", extent, least=LARGE, most=LARGE + 5)
    ends = [ids.read(entry(draw, side)) for side in "qk"]
    if draw.chance(0.5):
        ends[0] = call_of("float", float_of, ends[0]).sized(ends[0].whole, 0)
    else:
        ends = [divided(end, constant(2)).sized(end.whole, 1) for end in ends]
    return compared([draw.rng.choice(list(COMPARISONS))], ends)


@produces("bool", 3)
def a_threshold(draw: Draw, depth: int) -> Term:
    """Compare a position or a distance with a table of floats, in halves too."""
    term = draw.rng.choice([position, distance])(draw)
    ends = [term, one_subscript(draw, "float")]
    draw.rng.shuffle(ends)
    return compared([draw.rng.choice(["<", "<=", ">"])], ends)


@produces("bool", 6)
def a_connective(draw: Draw, depth: int) -> Term:
    symbol = draw.rng.choice(["&", "&", "&", "|", "|", "^", "and", "or"])
    return joined(symbol, draw.term("bool", depth - 1), draw.term("bool", depth - 1))


@produces("bool", 2)
def a_denial(draw: Draw, depth: int) -> Term:
    return denied(draw, draw.term("bool", depth - 1))


@produces("bool", 2)
def a_choice(draw: Draw, depth: int) -> Term:
    return choice(draw, "bool", depth)


@produces("bool")
def an_equality_of_bools(draw: Draw, depth: int) -> Term:
    symbol = draw.rng.choice(["==", "!="])
    ends = [draw.term("bool", depth - 1).bracketed for _ in range(2)]
    text = f" {symbol} ".join(term.text for term in ends)
    return apply(text, COMPARISONS[symbol], *ends, level=Level.COMPARE)


@produces("bool")
def a_converted_int(draw: Draw, depth: int) -> Term:
    return call_of("bool", lambda x: x != 0, draw.term("int", depth - 1))


@produces("bool")
def a_selection(draw: Draw, depth: int) -> Term:
    """Select the keys with the largest values; the lower key wins a tie."""
    call = draw.call
    if draw.rows_only or call.q_len * call.kv_len > 40_000:
        return an_order(draw, depth)
    count = draw.rng.choice([1, 2, 5, 30])
    value = draw.term("float", 1)
    where = draw.term("bool", 1)
    text = f"topk({value.text}, {count}, where = {where.text})"

    def formula(world: World) -> Tensor:
        shape = (call.batch_size, call.num_heads, call.q_len, call.kv_len)
        values, allowed = value.formula(world).expand(shape), where.formula(world).expand(shape)
        if not value.is_exact:
            world.note(nearest_of(values))
        return largest(values, allowed, count)

    return Term(text, formula, uses=value.uses | where.uses)


def largest(values: Tensor, allowed: Tensor, count: int) -> Tensor:
    """Return which of the allowed entries of a row are among its ``count`` largest."""
    order = values.argsort(dim=-1, descending=True, stable=True)
    sorted_allowed = allowed.gather(-1, order)
    chosen = sorted_allowed & (sorted_allowed.cumsum(-1) <= count)
    return torch.zeros_like(allowed).scatter(-1, order, chosen)


def nearest_of(values: Tensor) -> Tensor:
    """Return the gaps between values of a row that are close and not equal, as shares."""
    gaps = values.sort(-1).values.diff(dim=-1)
    return torch.where(gaps == 0, 1.0, gaps / (1 + values.abs().amax()))
