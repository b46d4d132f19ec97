"""Names of the standard library, with what the contract says that they mean."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from oracle.draw import Draw, produces
from oracle.positions import coordinate, guarded, index
from oracle.tables import Table, table, values
from oracle.terms import Term, World, constant, float_of


def _of_distance(text: str, meaning: object) -> Term:
    """Return a term that means something of the positions ``q`` and ``k``."""
    return Term(text, lambda world: meaning(world.q, world.k, world.call))  # type: ignore[operator]


@produces("bool", 4, leaf=True)
def an_order(draw: Draw, depth: int) -> Term:
    if draw.rows_only:
        return Term("true", lambda _: torch.tensor(True))
    n, step = draw.rng.choice([1, 3, 16, 130, 512]), draw.rng.choice([1, 2, 5])
    left, right = draw.rng.choice([0, 4, 40]), draw.rng.choice([0, 2, 300])
    forms = [
        ("causal", lambda q, k, call: k <= q),
        ("causal", lambda q, k, call: k <= q),
        ("causal_lower_right", lambda q, k, call: k <= q + call.kv_len - call.q_len),
        (f"window({n})", lambda q, k, call: (q - k).abs() < n),
        (f"window({left}, {right})", lambda q, k, call: (-right <= q - k) & (q - k <= left)),
        (f"chunked({n})", lambda q, k, call: _floor(q, n) == _floor(k, n)),
        (f"sinks({n})", lambda q, k, call: k < n),
        (f"dilated({n}, {step})", lambda q, k, call: ((q - k).abs() < n) & ((q - k) % step == 0)),
    ]
    text, meaning = draw.rng.choice(forms)
    return _of_distance(text, meaning)


def _floor(value: Tensor, by: int) -> Tensor:
    return torch.div(value, by, rounding_mode="floor")


@produces("bool", 3, leaf=True)
def a_table(draw: Draw, depth: int) -> Term:
    """Mask by documents, padding or a prefix, whose tensors have their own names."""
    call = draw.call
    if draw.rows_only:
        return Term("true", lambda _: torch.tensor(True))
    name = draw.rng.choice(["same_doc", "valid_keys", "prefix"])
    if name == "prefix":
        lengths = _named(draw, "int", "prefix_len", (call.batch_size,), most=9)
        found = lengths.read(index(draw, "batch"))
        return Term(name, lambda world: world.k < found.formula(world), uses=found.uses)
    extent = max(call.q_extent, call.k_extent)
    if name == "valid_keys":
        valid = _named(draw, "bool", "valid", (extent,))
        return guarded(draw, lambda key: replace(valid.read(key), text=name), "k")
    ids = _named(draw, "int", "doc", (extent,), most=3, ordered=True)

    def same(query: Term, key: Term) -> Term:
        ends = ids.read(query), ids.read(key)

        def formula(world: World) -> Tensor:
            return ends[0].formula(world) == ends[1].formula(world)

        return Term(name, formula, uses=ends[0].uses)

    return guarded(draw, same, "q", "k")


def _named(draw: Draw, kind: str, name: str, shape: tuple[int, ...], **ranges: int) -> Table:
    """Bind an input that the library declares, once a program."""
    if name not in draw.bound:
        batched = not name.startswith(("prefix", "rel")) and draw.chance(0.5)
        dtype = {"int": torch.int64, "bool": torch.bool, "float": torch.float32}[kind]
        if kind == "float":
            dtype = draw.rng.choice([torch.bfloat16, torch.float16, torch.float32])
        front = (draw.call.batch_size,) if batched else ()
        draw.declare(name, "")
        draw.bound[name] = values(draw, dtype, (*front, *shape), **ranges)
    tensor = draw.bound[name]
    return Table(name, kind, len(shape), (tensor,), 12, 3 if kind == "float" else 0)


@produces("float", 2)
def alibi(draw: Draw, depth: int) -> Term:
    """Add what grows with the distance, at one slope a head."""
    if draw.rows_only:
        return constant(1.0)
    slopes = _named(draw, "float", "slopes", (draw.call.model_heads,)).read(index(draw, "head"))

    def formula(world: World) -> Tensor:
        return slopes.formula(world) * float_of(world.k - world.q)

    return Term("alibi", formula, uses=slopes.uses, whole=24, part=3)


@produces("float")
def t5(draw: Draw, depth: int) -> Term:
    """Read a table by T5's bucket of the distance."""
    if draw.rows_only:
        return constant(1.0)
    buckets, furthest = draw.rng.choice([(8, 20), (32, 128)])
    both = draw.chance(0.5)
    text = f"t5_bucket(k - q, {buckets}, {furthest}, {'true' if both else 'false'})"
    bucket = Term(text, lambda world: _bucket(world, buckets, furthest, both), whole=6)
    by_bucket = table(draw, "float", draw.call.model_heads, buckets)
    return by_bucket.read(index(draw, "head"), bucket)


def _bucket(world: World, buckets: int, furthest: int, both: bool) -> Tensor:
    """Return T5's relative position bucket (arXiv:1910.10683)."""
    distance = world.k - world.q
    first = torch.zeros_like(distance)
    if both:
        buckets //= 2
        first = torch.where(distance > 0, buckets, 0)
    size = distance.abs() if both else (-distance).clamp(min=0)
    exact = buckets // 2
    share = (float_of(size.clamp(min=1)) / exact).log() / math.log(furthest / exact)
    steps = share * (buckets - exact)
    gap = torch.where(size < exact, 1.0, (steps - steps.round()).abs())
    # A bucket's edge is a whole number of steps; powers of two meet it by rounding alone.
    world.note(torch.where(steps.round() >= buckets - exact, 1.0, gap))
    far = (exact + steps.floor().long()).clamp(max=buckets - 1)
    return first + torch.where(size < exact, size, far)


@produces("float", 2)
def relpos(draw: Draw, depth: int) -> Term:
    """Add a bias by row of q and coordinate of k, where the key is on the grid."""
    call = draw.call
    if draw.rows_only or not draw.axes:
        return constant(2.0)
    names = [axis[0] for axis in draw.axes]
    tables = [
        _named(draw, "float", f"rel_{name}", (call.batch_size, call.model_heads, call.q_len, size))
        for name, size, _ in draw.axes
    ]
    places = [coordinate(draw, "k", name) for name in names]
    text = f"where(k.{names[0]} >= 0, relpos({', '.join(names)}), 0.0)"

    def formula(world: World) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        inside = places[0].formula(world) >= 0
        for one, place in zip(tables, places, strict=True):
            along = place.formula(world).clamp(min=0)
            values = one.tensors[0].double()
            at = (world.batch, world.head, world.q_idx, along)
            at = tuple(
                i if n > 1 else torch.zeros_like(i) for i, n in zip(at, values.shape, strict=True)
            )
            total = total + values[at]
        return torch.where(inside, total, 0.0)

    uses = frozenset(["axis", *(one.name for one in tables)])
    return Term(text, formula, uses=uses, whole=9, part=3)


def softcap(score: Term, cap: float) -> Term:
    """Return ``softcap(score, cap)``."""

    def formula(world: World) -> Tensor:
        return cap * torch.tanh(score.formula(world) / cap)

    return Term(f"softcap({score.text}, {cap})", formula, uses=score.uses, whole=8, part=99)
