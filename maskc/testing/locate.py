"""Find where an error is: its row, the key whose weight is off, and the tokens of both."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

import torch
from torch import Tensor

from maskc.binding import inputs
from maskc.binding.call import CallSpec
from maskc.binding.signature import Shapes
from maskc.errors import LoweringError
from maskc.ir.nodes import OUT, Index, Load, walk
from maskc.ir.rows import Layout, Shape, to_rows
from maskc.ir.types import Dim, Ix, Type
from maskc.ir.vectorize import ROW_INDICES, At, Domain, vectorize
from maskc.testing.call import Call
from maskc.testing.place import Place, Value

MOST_RUNS = 64
"""How often a backend may run again to tell the weights of one row."""

TOKENS = [(Index(which),) for which in (Ix.Q, Ix.K, Ix.Q_IDX, Ix.KV_IDX)]
"""The subscripts of an input that holds one entry a token."""


def locate(call: Call, errors: Tensor, weights: Tensor, suspect: str | None) -> Place:
    """Return the place of the largest error.

    Args:
        call: the call.
        errors: of the output, ``[B, H, Q, Dv]``.
        weights: those expected, ``[B, H, Q, K]``.
        suspect: the backend, where its error is more than rounding; its weights are then compared.

    """
    batch, head, row, _ = largest_at(errors)
    expected = weights[batch, head, row].nan_to_num(0.0)
    place = Place(batch, head, row)
    result = None if suspect is None else _weights(call, suspect, place)
    if result is not None:
        place = _most_wrong(place, result, expected)
    if place.k is None and float(expected.max()) > 0:
        key = int(expected.argmax())
        place = replace(place, k=key, expected=float(expected[key]))
    return replace(place, tokens=_tokens(call, place))


def largest_at(errors: Tensor) -> tuple[int, ...]:
    """Return the subscripts of the first of the largest errors."""
    return tuple(int(i) for i in (errors == errors.max()).nonzero()[0])


def _most_wrong(place: Place, found: Tensor, expected: Tensor) -> Place:
    """Return the place with the key whose weight is off, if that is more than rounding.

    A key that only one of the two sees comes first: all others then gain or lose together.
    """
    rounding = 16 * torch.finfo(found.dtype).eps
    found = found.to(expected)
    off = (found - expected).abs().nan_to_num(torch.inf)
    unseen = ((found == 0) != (expected == 0)) & (off > rounding)
    key = int((torch.where(unseen, off, 0.0) if bool(unseen.any()) else off).argmax())
    weight, right = float(found[key]), float(expected[key])
    if isclose(weight, right, rel_tol=1e-3, abs_tol=rounding):
        return place
    return replace(place, k=key, weight=weight, expected=right)


def _weights(call: Call, backend: str, place: Place) -> Tensor | None:
    """Return the weights that a backend gives the keys of one row, None where they do not show.

    A backend has no weights to hand out; but where the values of a key are 1 in a column of its
    own and 0 elsewhere, that column of the output is its weight. As many keys at a time as v has
    columns, so that nothing is compiled again.
    """
    v = call.qkv["v"]
    width = v.shape[-1]
    starts = range(0, v.shape[2], width)
    if len(starts) > MOST_RUNS or call.program.module.out != OUT:
        return None
    shown = []
    for start in starts:
        keys = torch.arange(start, min(start + width, v.shape[2]), device=v.device)
        values = torch.zeros_like(v)
        values[:, :, keys, keys - start] = 1
        try:
            with torch.no_grad():
                out = replace(call, qkv={**call.qkv, "v": values}).out(backend)
        except LoweringError:
            return None
        shown.append(out[place.batch, place.head, place.q, : len(keys)])
    return torch.cat(shown)


def _tokens(call: Call, place: Place) -> dict[str, tuple[Value | None, Value | None]]:
    """Return the ints and bools that a program reads for the query and the key of a place."""
    loads = _token_loads(call, place)
    request = call.bound().spec
    shapes, tensors = inputs.read(loads, call.inputs, request)
    domain = Domain(request.sizes, {**request.tensors, **tensors}, request.device)
    layout, at = _layout(request, shapes), _at(place, domain)
    result: dict[str, tuple[Value | None, Value | None]] = {}
    for load in loads:
        held = vectorize(to_rows(load, layout), at, domain).item()
        value: Value = bool(held) if load.input.type is Type.BOOL else int(held)
        q, k = result.get(load.input.name, (None, None))
        result[load.input.name] = (q, value) if load.deps & Dim.K else (value, k)
    return result


def _token_loads(call: Call, place: Place) -> list[Load]:
    """Return where a program reads an entry a token; those of keys only where there is a key."""
    return [
        term
        for term in walk(*call.program.module.roots)
        if isinstance(term, Load)
        and term.input.type is not Type.FLOAT
        and term.indices in TOKENS
        and (place.k is not None or not term.deps & Dim.K)
    ]


def _at(place: Place, domain: Domain) -> At:
    """Return a place as the one point to evaluate at."""
    rows = (place.batch, place.head, place.q, place.k or 0)
    points = zip(ROW_INDICES, rows, strict=True)
    return At({w: torch.tensor(row, device=domain.device).view(1, 1, 1, 1) for w, row in points})


def _layout(request: CallSpec, shapes: Shapes) -> Layout:
    """Return how the inputs of a call are laid out."""
    layouts: dict[str, Shape | tuple[Shape, Shape]] = {}
    for name, sides in shapes:
        parts = [Shape(batched, tuple(n == 1 for n in shape)) for batched, shape in sides]
        layouts[name] = parts[0] if len(parts) == 1 else (parts[0], parts[1])
    return Layout(request.q, request.k, request.head_offset, request.group, layouts)
