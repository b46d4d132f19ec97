"""Programs by their text, and what is known of them: constants of a graph, worked out once.

A graph knows texts, and can hold what a function makes of them, but cannot look into a program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar, cast

import torch

from maskc.analysis.translation import is_translation_invariant
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import (
    FALSE,
    OUT,
    SCORE,
    TRUE,
    And,
    Expr,
    Index,
    Load,
    Module,
    TopK,
    rewrite,
    walk,
)
from maskc.ir.text import to_text
from maskc.ir.types import Ix
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
def shows_all(text: str) -> bool:
    """Tell whether every query sees every key, as in an encoder and between it and a decoder."""
    return _shows_all(text)


@constant
def shows_nothing(text: str) -> bool:
    """Tell whether no query sees any key."""
    return _shows_nothing(text)


@constant
def reads_query(text: str) -> bool:
    """Tell whether a program asks where a query stands."""
    return _reads_query(text)


@constant
def reads_by_position(text: str) -> bool:
    """Tell whether a program reads tensors by a position, which then must not be negative."""
    return _reads_by_position(text)


@constant
def is_same_anywhere(text: str) -> bool:
    """Tell whether a program asks only how far query and key are apart."""
    return _is_same_anywhere(text)


def composed(
    text: str, empty_rows: EmptyRows, clauses: Texts, score: Texts, added: Texts, out: Texts
) -> Program:
    """Return a program with more to its mask, its score and its output.

    Args:
        text: the program.
        empty_rows: what rows without a key give.
        clauses: masks besides its own.
        score: statements; those of the program take their place.
        added: statements about the score that hold besides.
        out: statements; those of the program take their place.

    """
    if not in_trace():
        return _composed(text, empty_rows, clauses, score, added, out)
    name = _held(text, empty_rows, clauses, score, added, out)
    program: Program = getattr(HELD, name)
    return program


class Held:
    """Programs as attributes: a graph needs to know where an object is that it works with."""


HELD = Held()


@constant
def _held(
    text: str, empty_rows: EmptyRows, clauses: Texts, score: Texts, added: Texts, out: Texts
) -> str:
    """Return the name under which a program is held."""
    program = _composed(text, empty_rows, clauses, score, added, out)
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
    added: Texts,
    out: Texts,
) -> Program:
    program = _among_allowed(compile_mask(text, empty_rows=empty_rows), clauses)
    for clause in clauses:
        program = program.masked_by(clause)
    module = program.module
    kept = [*(score if module.score == SCORE else ()), *added]
    kept += out if module.out == OUT else ()
    if not kept:
        return program
    return compile_mask("\n".join([program.text, *kept]), empty_rows=empty_rows)


def _among_allowed(program: Program, clauses: Texts) -> Program:
    """Return a program whose ``topk`` selects among the keys that the clauses allow, as if alone.

    A mask beside it would take from what was selected, and leave fewer keys than were asked for.
    """
    module = program.module
    if not clauses or not any(isinstance(term, TopK) for term in walk(*module.roots)):
        return program
    allowed = tuple(compile_mask(clause).module.mask for clause in clauses)

    def narrowed(expr: Expr) -> Expr | None:
        return replace(expr, where=And((expr.where, *allowed))) if isinstance(expr, TopK) else None

    roots = (rewrite(root, narrowed) for root in (module.mask, module.score, module.out))
    return compile_mask(to_text(Module(*roots)), empty_rows=program.empty_rows)


@lru_cache(maxsize=1024)
def _reach(text: str) -> tuple[int | None, int | None]:
    return compile_mask(text).max_distance()


@lru_cache(maxsize=1024)
def _is_same_anywhere(text: str) -> bool:
    return is_translation_invariant(*compile_mask(text).module.roots)


@lru_cache(maxsize=1024)
def _shows_all(text: str) -> bool:
    return compile_mask(text).module.mask == TRUE


@lru_cache(maxsize=1024)
def _shows_nothing(text: str) -> bool:
    return compile_mask(text).module.mask == FALSE


@lru_cache(maxsize=1024)
def _reads_query(text: str) -> bool:
    return is_of_query(compile_mask(text))


def is_of_query(program: Program) -> bool:
    """Tell whether a program asks where a query stands."""
    query = (Index(Ix.Q), Index(Ix.Q_IDX))
    return any(term in query for term in walk(*program.module.roots))


@lru_cache(maxsize=1024)
def _reads_by_position(text: str) -> bool:
    loads = [term for term in walk(*compile_mask(text).module.roots) if isinstance(term, Load)]
    return any(term in (Index(Ix.Q), Index(Ix.K)) for term in walk(*loads))
