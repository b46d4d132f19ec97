"""A traced program as a person would have written it: ``let``s by name, and ``param``s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from maskc.ir.nodes import And, Expr, Input, Load, Or, children, inputs, with_children
from maskc.ir.text import expr_text
from maskc.ir.types import Type
from maskc.tracing.callables.captured import Captured, free_name
from maskc.tracing.names.local_names import LocalNames, watched
from maskc.tracing.names.params import Param, Path, params
from maskc.tracing.run.tracer import Tracer

SMALLEST = 3
"""Nodes of a term that is worth a name: ``q - k`` is."""


@dataclass(slots=True)
class _Writer:
    """Writes terms, and the ``let``s that they need."""

    names: LocalNames
    taken: dict[str, Any]
    uses: Mapping[Path, Expr]
    lets: list[str] = field(default_factory=list)
    made: dict[Expr, Expr] = field(default_factory=dict)

    def write(self, term: Expr, path: Path = ()) -> Expr:
        """Return a term with names in the place of what has one."""
        if path in self.uses:
            return self.uses[path]
        if path and term in self.made:
            return self.made[term]
        kids = tuple(self.write(kid, (*path, at)) for at, kid in enumerate(children(term)))
        joined = self._joined(term, kids) if isinstance(term, And | Or) else None
        written = with_children(term, kids) if joined is None else joined
        name = self.names.get(term) if path and term.weight >= SMALLEST else None
        return written if name is None else self._let(term, name, written)

    def _let(self, term: Expr, name: str, written: Expr) -> Expr:
        free = free_name(name, self.taken)
        self.taken[free] = term
        self.lets.append(f"let {free} = {expr_text(written)}")
        self.made[term] = Load(Input(free, term.type), ())
        return self.made[term]

    def _joined(self, term: And | Or, kids: tuple[Expr, ...]) -> Expr | None:
        """Return a flat ``&`` or ``|`` in which some neighbours have one name, or None."""
        for count in range(len(kids) - 1, 1, -1):
            for first in range(len(kids) - count + 1):
                part = type(term)(term.args[first : first + count])
                name = self.names.get(part)
                if name is not None:
                    written = type(term)(kids[first : first + count])
                    known = self.made.get(part)
                    joined = self._let(part, name, written) if known is None else known
                    return type(term)((*kids[:first], joined, *kids[first + count :]))
        return None


def named_text(
    mask_mod: Callable[..., Any] | None,
    score_mod: Callable[..., Any] | None,
    sizes: Mapping[str, int],
) -> str:
    """Return the program of callables with the names that they have for its parts."""
    captured = Captured.of(*(mod for mod in (mask_mod, score_mod) if mod is not None))
    taken: dict[str, Any] = {}
    result: list[Param] = []
    statements: list[str] = []
    lets: list[str] = []
    roots: list[Expr] = []
    for mod, is_mask, start in ((mask_mod, True, ""), (score_mod, False, "score = ")):
        if mod is None:
            continue
        with watched() as names:
            root = Tracer(captured, sizes, is_mask).run(mod)
        taken |= captured.inputs
        known = params(mod, root, _retracer(sizes, is_mask), taken)
        taken |= {param.name: param for param in known}
        writer = _Writer(names, taken, _all_uses(known))
        statements.append(start + expr_text(writer.write(root)))
        result, lets = result + known, lets + writer.lets
        roots.append(root)
    declared = [f"input {one.name}: {one.type.value}" for one in inputs(*roots)]
    return "\n".join([*declared, *map(_declared, result), *lets, *statements])


def _retracer(sizes: Mapping[str, int], is_mask: bool) -> Callable[[Any], Expr]:
    return lambda mod: Tracer(Captured.of(mod), sizes, is_mask).run(mod)


def _all_uses(found: list[Param]) -> dict[Path, Expr]:
    return {path: use for param in found for path, use in param.uses.items()}


def _declared(param: Param) -> str:
    kind = Type.INT if isinstance(param.value, int) else Type.FLOAT
    return f"param {param.name}: {kind.value} = {param.value!r}"
