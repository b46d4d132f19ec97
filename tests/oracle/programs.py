"""Whole programs: a mask, scores and an epilogue, as a text and as formulas."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from oracle import bools, floats, ints, library  # noqa: F401, they register productions
from oracle.arithmetic import bounded, minus, plus, times
from oracle.call import Call, draw_call
from oracle.draw import Draw
from oracle.positions import index
from oracle.tables import table
from oracle.terms import Level, Term, World, apply, call_of, constant

SCORE, OUT, LSE = (
    Term(name, lambda world, name=name: world.given[name], part=99)
    for name in ("score", "out", "lse")
)


@dataclass(frozen=True, slots=True)
class Step:
    """A new score from the old.

    Attributes:
        value: the score where it is finite.
        allowed: where a choice of -inf leaves the key in; None if there is none.

    """

    value: Term
    allowed: Term | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the tensors that go with it.

    Attributes:
        masks: what a pair must satisfy, all of them.
        steps: of the score, in order.
        out: the epilogue, None for none.
        declared: the declarations by name; ``needs`` what each needs.
        bound: the inputs' tensors.
        constants: for ``compile_mask``.
        unread: inputs that are declared and read nowhere.

    """

    call: Call
    masks: tuple[Term, ...]
    steps: tuple[Step, ...]
    out: Term | None
    declared: Mapping[str, str]
    needs: Mapping[str, frozenset[str]]
    bound: Mapping[str, Any]
    constants: Mapping[str, Any]
    unread: frozenset[str] = frozenset()

    @property
    def uses(self) -> frozenset[str]:
        """The names of all declarations that the program needs."""
        terms = [*self.masks, *(step.value for step in self.steps)]
        terms += [step.allowed for step in self.steps if step.allowed is not None]
        terms += [self.out] if self.out is not None else []
        return self.unread | self.needed(terms)

    def needed(self, terms: Iterable[Term]) -> frozenset[str]:
        """Return the names of the declarations that some terms need, and those that these need."""
        found: frozenset[str] = frozenset().union(*(term.uses for term in terms))
        while more := frozenset().union(*(self.needs.get(name, ()) for name in found)) - found:
            found |= more
        return found

    @property
    def text(self) -> str:
        """The program in the language."""
        uses = self.uses
        lines = [text for name, text in self.declared.items() if name in uses and text]
        if self.masks:
            lines.append(" & ".join(term.at(Level.NOT) for term in self.masks))
        lines += [f"score = {step.value.text}" for step in self.steps]
        if self.out is not None:
            lines.append(f"out = {self.out.text}")
        return "\n".join(lines) or "full"

    @property
    def inputs(self) -> dict[str, Any]:
        """The tensors that the program takes."""
        return {name: value for name, value in self.bound.items() if name in self.uses}

    @property
    def given(self) -> dict[str, Any]:
        """What ``compile_mask`` is given."""
        return {name: value for name, value in self.constants.items() if name in self.uses
                or (name in "hwt" and "axis" in self.uses)}  # fmt: skip

    @property
    def selects(self) -> bool:
        """Whether a term selects keys."""
        return "topk(" in self.text

    def smaller(self) -> list[Program]:
        """Return the programs with one part less."""
        found = [replace(self, masks=_without(self.masks, i)) for i in range(len(self.masks))]
        found += [replace(self, steps=_without(self.steps, i)) for i in range(len(self.steps))]
        found += [replace(self, out=None)] if self.out is not None else []
        found += [replace(self, unread=frozenset())] if self.unread else []
        return found


def _without(parts: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    return (*parts[:place], *parts[place + 1 :])


def draw_program(seed: str) -> Program:
    """Draw a call and a program for it."""
    rng = random.Random(seed)
    call = draw_call(rng)
    draw = Draw(rng, call)
    if draw.chance(0.3):
        _draw_grid(draw)
    masks = tuple(named(draw, "bool", 3) for _ in range(rng.choice([0, 1, 1, 2, 2, 3])))
    steps = tuple(_step(draw) for _ in range(rng.choice([0, 0, 1, 1, 2])))
    if draw.chance(0.12):
        steps = (*steps, _infinite(draw))
    draw.rows_only = True
    out = _epilogue(draw) if draw.chance(0.2) else None
    unread = frozenset()
    if draw.chance(0.05):
        unread = frozenset([table(draw, "int", 3).name])
    return Program(
        call, masks, steps, out, draw.declared, draw.needs, draw.bound, draw.constants, unread
    )


def _draw_grid(draw: Draw) -> None:
    """Declare a grid of two or three axes; a size may be left to ``compile_mask``."""
    rng = draw.rng
    names = rng.choice([("h", "w"), ("t", "h", "w")])
    sizes = [rng.choice([1, 2, 3, 5, 8]) for _ in names]
    draw.start = rng.choice([0, 0, 1, 4])
    strides = [1]
    for size in reversed(sizes[1:]):
        strides.insert(0, strides[0] * size)
    draw.axes = tuple(zip(names, sizes, strides, strict=True))
    shown = []
    for name, size in zip(names, sizes, strict=True):
        late = draw.chance(0.2)
        if late:
            draw.constants[name] = size
        shown.append(name if late else f"{name} = {size}")
    start = f" from {draw.start}" if draw.start else ""
    draw.declare("axis", f"axis {', '.join(shown)}{start}")


def named(draw: Draw, kind: str, depth: int) -> Term:
    """Draw a term, sometimes under a name of its own."""
    term = draw.term(kind, draw.rng.randint(1, depth))
    if not draw.chance(0.15):
        return term
    name = draw.name("x")
    draw.declare(name, f"let {name} = {term.text}", term.uses)
    return replace(term, text=name, level=Level.ATOM, uses=frozenset([name]))


def _step(draw: Draw) -> Step:
    """Draw a new score from the old."""
    rng = draw.rng
    form = rng.choice(
        ["add", "add", "add", "scale", "by_head", "by_rows", "softcap", "choose", "clamp", "other"]
    )
    match form:
        case "add":
            join = rng.choice([plus, plus, minus])
            return Step(join(SCORE, bounded(named(draw, "float", 3), 300)))
        case "scale":
            return Step(times(SCORE, constant(rng.choice([2, 0.5, 0.0, -1.5]))))
        case "by_head":
            gains = table(draw, "float", draw.call.model_heads)
            return Step(times(SCORE, gains.read(index(draw, "head"))))
        case "by_rows":
            sides = ("q_idx", draw.call.q_len), ("kv_idx", draw.call.kv_len)
            gains = [table(draw, "float", size).read(index(draw, side)) for side, size in sides]
            return Step(times(times(SCORE, gains[0]), gains[1]))
        case "softcap":
            return Step(library.softcap(SCORE, rng.choice([1, 2.5, 30])))
        case "choose":
            test, other = draw.term("bool", 2), minus(SCORE, constant(1.5))
            text = f"where({test.text}, score, {other.text})"
            return Step(apply(text, torch.where, test, SCORE, other))
        case "clamp":
            return Step(bounded(SCORE, rng.choice([1, 3])))
        case _:
            name = rng.choice(["tanh", "sigmoid", "sin", "abs"])
            return Step(call_of(name, getattr(torch, name), SCORE))


def _infinite(draw: Draw) -> Step:
    """Draw a choice of -inf, which masks."""
    test = bools.a_literal(draw, 0) if draw.chance(0.2) else draw.term("bool", 2)
    text = draw.rng.choice(
        [
            f"where({test.text}, score, -inf)",
            f"score if {test.at(Level.OR)} else -inf",
            f"score + where({test.text}, 0.0, -inf)",
            f"where({bools.denied(draw, test).text}, -inf, score)",
        ]
    )
    return Step(Term(text, SCORE.formula, uses=test.uses, part=99), test)


def _epilogue(draw: Draw) -> Term:
    """Draw a factor of the output, a row at a time."""
    call = draw.call
    form = draw.rng.choice(["sink", "gate", "any", "lse", "choose"])
    match form:
        case "sink":
            sink = table(draw, "float", call.model_heads).read(index(draw, "head"))
            gap = minus(LSE, sink)
            factor = call_of("sigmoid", torch.sigmoid, gap)
        case "gate":
            gates = table(draw, "float", call.batch_size, call.q_len, batched=False)
            factor = gates.read(index(draw, "batch"), index(draw, "q_idx"))
        case "lse":
            factor = call_of("exp", lambda x: x.clamp(max=2.0).exp(),
                             call_of("min", torch.minimum, LSE, constant(2.0)))  # fmt: skip
        case "any":
            factor = bounded(draw.term("float", 2), 20)
        case _:
            test = draw.term("bool", 2)
            text = f"where({test.text}, out, out * 0.5)"
            return apply(text, lambda t, out: torch.where(t, out, out * 0.5), test, OUT)
    return times(OUT, factor)


def mask_of(program: Program, world: World) -> Tensor:
    """Return where a query attends by the mask and the choices of -inf, ``[B, H, Q, K]``."""
    call = program.call
    shape = (call.batch_size, call.num_heads, call.q_len, call.kv_len)
    allowed = [step.allowed for step in program.steps if step.allowed is not None]
    found = torch.tensor(True)
    for term in (*program.masks, *allowed):
        found = found & term.formula(world)
    return found.expand(shape)
