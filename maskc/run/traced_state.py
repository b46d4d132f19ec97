"""Binding within a trace: what shapes tell is a constant of it, and tensors go the usual way.

Dynamo runs ``_locate`` for real and sees a number come back, by which it finds what was worked out.
Sizes that the trace leaves open stay open where the program is right for all that meet a few
conditions, which become guards; elsewhere the sizes at hand become constants of the trace. What
only the values of tensors tell is not looked at: a subscript is kept inside its input, and an int
that leaves 32 bits, a policy for rows without keys and a selection are no business of a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

import torch

from maskc.analysis.intervals.has_keys import has_keys
from maskc.binding.bind import BoundMask, BoundScore
from maskc.binding.call import CallSpec
from maskc.binding.check_reads import Sides
from maskc.binding.inputs import missing, names_of, read
from maskc.binding.open_sizes import Condition, Term, conditions, count_conditions
from maskc.binding.signature import (
    CallSignature,
    RowProgram,
    Shapes,
    call_signature,
    layout_of,
    refuse_open,
    row_program,
    tensor_names,
)
from maskc.blocks import traced
from maskc.blocks.auto_size import UNSEEN
from maskc.blocks.traced_bands import numbered
from maskc.compiled import BY_NUMBER, Compiled
from maskc.errors import LoweringError
from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, TopK, walk
from maskc.ir.rows import Layout, Position, to_rows
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower.constant_in_trace import ByNumber, constant_in_trace
from maskc.lower.plan import Facts, facts
from maskc.lower.specialise import specialise

OPEN = -1
"""Stands for a size or a dimension that the trace leaves open."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a program and the shapes of a call tell.

    Attributes:
        mask: over rows.
        left: what sizes leave of it.
        score: likewise over rows; None while some of its inputs are left to the call.
        out: the epilogue, likewise.
        facts: of both.
        signature: of both; None for a program that is a mask alone, and for open sizes.
        has_keys: whether every query row is known to have a key.
        blocks: the block mask as it can be traced.
        bands: the number of its bands.
        is_fixed: whether no size is open.
        conditions: on open sizes; None: they must be constants of the trace.

    """

    mask: Expr
    left: Expr
    score: Expr | None
    out: Expr | None
    facts: Facts | None
    signature: CallSignature | None
    has_keys: bool
    blocks: traced.Blocks
    bands: int
    is_fixed: bool
    conditions: tuple[Condition, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Key:
    """All that ``Known`` depends on, but for the program."""

    sizes: tuple[int, ...]
    q: str
    k: str
    head_offset: bool
    block: tuple[int, int] | None
    device: str
    backward: bool
    shapes: Shapes


_known = ByNumber[Known]()
_numbers: dict[tuple[Any, ...], int] = {}


def known_of(
    program: Compiled, spec: CallSpec, given: Mapping[str, Any]
) -> tuple[Known, BoundMask, BoundScore | None]:
    """Return what a trace binds of a program.

    Raises:
        BindError: an input does not fit.
        LoweringError: only values could tell what the program does.

    """
    module = program.module
    roots = (module.score, module.out)
    shapes, tensors = read((module.mask,), given, spec)
    late = missing(roots, given)
    more, of_score = ((), {}) if late else read(roots, given, spec)
    known = _find(program, spec, tuple({**dict(shapes), **dict(more)}.items()), bool(late))
    own = {name: x.detach() for name, x in {**spec.tensors, **tensors}.items()}
    mask = BoundMask(known.mask, Domain(spec.sizes, own, spec.device))
    if known.score is None or known.out is None or known.facts is None:
        return known, mask, None
    domain = Domain(spec.sizes, {**own, **spec.tensors, **of_score}, spec.device)
    return known, mask, BoundScore(known.score, known.out, domain, known.facts)


def _find(program: Compiled, spec: CallSpec, shapes: Shapes, late: bool) -> Known:
    """Return what is known, with as many sizes open as the program allows."""
    if not late:
        known = _at(program, spec, shapes, _open_or_fixed)
        if known.conditions is not None:
            values = _values(spec, shapes)
            if all(condition.holds(values) for condition in known.conditions):
                return known
    return _at(program, spec, shapes, index)


def _at(program: Compiled, spec: CallSpec, shapes: Shapes, size: Callable[[int], int]) -> Known:
    block = spec.block_size
    return _known.get(
        _number(
            index(program.number),
            tuple([size(spec.sizes[which]) for which in Sz]),
            spec.q.value,
            spec.k.value,
            spec.head_offset,
            None if block is None else (index(block[0]), index(block[1])),
            str(spec.device),
            spec.backward,
            tuple([(name, _sized(sides, size)) for name, sides in shapes]),
        )
    )


def _sized(sides: Sides, size: Callable[[int], int]) -> Sides:
    return tuple([(batched, tuple([size(n) for n in dims])) for batched, dims in sides])


def _open_or_fixed(size: int) -> int:
    from torch.fx.experimental.symbolic_shapes import has_static_value

    return index(size) if has_static_value(size) else OPEN


def _values(spec: CallSpec, shapes: Shapes) -> dict[Term, int]:
    values: dict[Term, int] = {which: spec.sizes[which] for which in Sz}
    for name, sides in shapes:
        for own, (_, dims) in zip(tensor_names(name, sides), sides, strict=True):
            for dim, n in enumerate(dims):
                values[own, dim] = n
    return values


def _locate(number: int, *key: Any) -> int:
    """Work out what a program and shapes tell; return the number under which it is known."""
    place = _numbers.get((number, *key))
    if place is None:
        place = _known.add(_work_out(BY_NUMBER[number], Key(*key)))
        place = _numbers.setdefault((number, *key), place)
    return place


_number: Callable[..., int] = constant_in_trace(_locate)


def _work_out(program: Compiled, key: Key) -> Known:
    sizes = dict(zip(Sz, key.sizes, strict=True))
    _refuse_selections(program)
    if OPEN in key.sizes or any(OPEN in dims for _, sides in key.shapes for _, dims in sides):
        return _for_open_sizes(program, key, sizes)
    return _for_sizes(program, key, sizes)


def _for_sizes(program: Compiled, key: Key, sizes: dict[Sz, int]) -> Known:
    module, spec = program.module, _spec(key, sizes)
    of_mask = call_signature((module.mask,), spec)
    rows = row_program(of_mask.number, _of(key.shapes, (module.mask,)))
    refuse_open(rows, of_mask, by_values=False)
    mask = rows.exprs[0]
    keys = has_keys(mask, sizes)
    _refuse_policy(program, keys)
    roots = (module.score, module.out)
    signature = None
    score: RowProgram | None = RowProgram((SCORE, OUT), (), (), False, facts(SCORE, OUT))
    if roots != (SCORE, OUT):
        signature = call_signature(roots, spec, None if mask == TRUE else mask)
        if missing(roots, dict(key.shapes)):
            score = None
        else:
            score = row_program(signature.number, _of(key.shapes, roots))
            refuse_open(score, signature, by_values=False)
    return Known(
        mask=mask,
        left=specialise(mask, sizes, {}),
        score=None if score is None else score.exprs[0],
        out=None if score is None else score.exprs[1],
        facts=None if score is None else score.facts or facts(*score.exprs),
        signature=signature,
        has_keys=keys,
        blocks=_blocks(mask, key),
        bands=numbered(mask, spec),
        is_fixed=True,
    )


def _for_open_sizes(program: Compiled, key: Key, sizes: dict[Sz, int]) -> Known:
    module, spec = program.module, _spec(key, sizes)
    group = sizes[Sz.NUM_HEADS] // sizes[Sz.NUM_KV_HEADS]
    shapes = {name: layout_of(sides) for name, sides in key.shapes}
    layout = Layout(Position(key.q), Position(key.k), key.head_offset, group, shapes)
    mask, score, out = (to_rows(root, layout) for root in module.roots)
    ranks: dict[str, int] = {}
    layouts: dict[str, list[tuple[str, bool, tuple[bool, ...]]]] = {}
    for name, sides in key.shapes:
        named = list(zip(tensor_names(name, sides), sides, strict=True))
        ranks |= {own: len(dims) for own, (_, dims) in named}
        layouts[name] = [
            (own, batched, tuple(n == 1 for n in dims)) for own, (batched, dims) in named
        ]
    open_sizes = {which: None if size == OPEN else size for which, size in sizes.items()}
    asked = conditions((mask, score, out), open_sizes, ranks)
    if asked is not None and not key.head_offset:
        asked = (*asked, *count_conditions(module.roots, layouts))
    return Known(
        mask=mask,
        left=mask,
        score=score,
        out=out,
        facts=facts(score, out),
        signature=None,
        has_keys=False,
        blocks=_blocks(mask, key),
        bands=numbered(mask, spec),
        is_fixed=False,
        conditions=None if program.empty_rows != "zero" else asked,
    )


def _spec(key: Key, sizes: Mapping[Sz, int]) -> CallSpec:
    return CallSpec(
        sizes,
        Position(key.q),
        Position(key.k),
        {},
        {},
        head_offset=key.head_offset,
        block_size=key.block,
        compact=False,
        backward=key.backward,
        device=torch.device(key.device),
    )


def _blocks(mask: Expr, key: Key) -> traced.Blocks:
    return traced.blocks(mask, torch.device(key.device), key.block or UNSEEN, key.backward)


def _of(shapes: Shapes, roots: tuple[Expr, ...]) -> Shapes:
    known = dict(shapes)
    return tuple((name, known[name]) for name in names_of(roots))


def _refuse_selections(program: Compiled) -> None:
    for term in walk(*program.module.roots):
        if isinstance(term, TopK):
            message = "within torch.compile nothing tells which keys `topk` selects"
            raise LoweringError("M508", message, term.span, _OUTSIDE)


def _refuse_policy(program: Compiled, keys: bool) -> None:
    if program.empty_rows != "zero" and not keys:
        message = f"within torch.compile nothing tells which rows `{program.empty_rows}` is for"
        raise LoweringError("M508", message, program.module.mask.span, _OUTSIDE)


_OUTSIDE = "bind outside of the compiled function, and give it the binding"
