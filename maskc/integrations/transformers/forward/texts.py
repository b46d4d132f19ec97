"""Programs by their text, and what is known of them: constants of a graph, worked out once.

A graph knows texts, and can hold what a function makes of them, but cannot look into a program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import torch

from maskc.analysis.translation import is_translation_invariant
from maskc.ir.nodes import OUT, SCORE
from maskc.options import EmptyRows
from maskc.program import Program, compile_mask

Texts = tuple[str, ...]
Function = TypeVar("Function", bound=Callable[..., Any])


def constant(function: Function) -> Function:
    """Let a graph call a function once, while it is traced, and hold what it returns."""
    hold: Any = torch._dynamo.assume_constant_result
    return cast(Function, hold(function))


@constant
def is_causal(text: str) -> bool:
    """Tell whether no key lies ahead of its query."""
    return _reach(text)[1] == 0


@constant
def looks_back(text: str) -> int | None:
    """Return how many tokens the furthest key lies behind its query; None: any number."""
    return _reach(text)[0]


@constant
def is_same_anywhere(text: str) -> bool:
    """Tell whether a program asks only how far query and key are apart."""
    return _is_same_anywhere(text)


def composed(text: str, empty_rows: EmptyRows, clauses: Texts, score: Texts, out: Texts) -> Program:
    """Return a program with more to its mask, its score and its output.

    Args:
        text: the program.
        empty_rows: what rows without a key give.
        clauses: masks besides its own.
        score: statements; those of the program take their place.
        out: likewise.

    """
    name = _held(text, empty_rows, clauses, score, out)
    program: Program = getattr(HELD, name)
    return program


class Held:
    """Programs as attributes: a graph needs to know where an object is that it works with."""


HELD = Held()


@constant
def _held(text: str, empty_rows: EmptyRows, clauses: Texts, score: Texts, out: Texts) -> str:
    """Return the name under which a program is held."""
    program = _composed(text, empty_rows, clauses, score, out)
    name = f"program_{program.digest}"
    if not hasattr(HELD, name):
        setattr(HELD, name, program)
    return name


@lru_cache(maxsize=1024)
def _composed(
    text: str,
    empty_rows: EmptyRows,
    clauses: Texts,
    score: Texts,
    out: Texts,
) -> Program:
    program = compile_mask(text, empty_rows=empty_rows)
    for clause in clauses:
        program = program.masked_by(clause)
    module = program.module
    kept = [*(score if module.score == SCORE else ()), *(out if module.out == OUT else ())]
    if not kept:
        return program
    return compile_mask("\n".join([program.text, *kept]), empty_rows=empty_rows)


@lru_cache(maxsize=1024)
def _reach(text: str) -> tuple[int | None, int | None]:
    return compile_mask(text).max_distance()


@lru_cache(maxsize=1024)
def _is_same_anywhere(text: str) -> bool:
    return is_translation_invariant(*compile_mask(text).module.roots)
