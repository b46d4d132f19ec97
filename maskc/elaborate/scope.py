"""What names mean: the language's own, those that a call needs, and scopes of declared ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from maskc.ir.nodes import Axis, Expr, Input
from maskc.ir.operators import Fn
from maskc.ir.types import Given, Ix, Sz
from maskc.source import Span
from maskc.syntax import ast

INDICES = {which.value: which for which in Ix} | {"kv": Ix.K, "b": Ix.BATCH}
SIZES = {which.value: which for which in Sz}
GIVEN = {which.value: which for which in Given}
FUNCTIONS = {fn.value.name: fn for fn in Fn if fn is not Fn.NEG}
FORMS = frozenset({"where", "topk"})
"""Functions with rules of their own."""

LANGUAGE = frozenset({*INDICES, *SIZES, *GIVEN, *FUNCTIONS, *FORMS, "mask"})
"""Names that no declaration may take."""

CALL = frozenset(
    {"q", "k", "v", "device", "block_size", "compact", "backward"}
    | {"q_offset", "kv_offset", "head_offset"}
    | {"q_positions", "kv_positions", "backend", "scale", "dropout_p", "return_lse", "fold_bias"}
    | {"source", "library", "empty_rows", "text", *SIZES}
)
"""Keywords of ``compile_mask``, ``bind`` and the call: no param, input or axis may take them."""


@dataclass(frozen=True, slots=True)
class Macro:
    """A ``def`` and the scope that its body sees."""

    name: str
    parameters: tuple[ast.Parameter, ...]
    body: ast.Expr
    scope: Scope
    doc: str
    span: Span

    @property
    def arity(self) -> tuple[int, int]:
        """The least and the largest number of arguments."""
        required = sum(parameter.default is None for parameter in self.parameters)
        return required, len(self.parameters)

    @property
    def signature(self) -> str:
        """The macro's name, parameters and defaults."""
        return f"{self.name}({', '.join(_shown(one) for one in self.parameters)})"

    @property
    def declaration(self) -> str:
        """The macro's name, parameters, their domains and defaults."""
        return f"{self.name}({', '.join(_declared(one) for one in self.parameters)})"


def _shown(parameter: ast.Parameter) -> str:
    default = parameter.default
    return parameter.name.text + ("" if default is None else f" = {default.span.text}")


def _declared(parameter: ast.Parameter) -> str:
    domain, default = parameter.domain, parameter.default
    shown = parameter.name.text + ("" if domain is None else f": {domain.span.text}")
    return shown + ("" if default is None else f" = {default.span.text}")


@dataclass(frozen=True, slots=True)
class Overloads:
    """All ``def`` of one name, told apart by their parameters."""

    macros: tuple[Macro, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LetName:
    """A ``let``, given its meaning where it is first used."""

    name: str
    value: ast.Expr
    scope: Scope
    doc: str


@dataclass(frozen=True, slots=True)
class Family:
    """A standard mask that the language cannot write, for want of a list of names.

    ``relpos(h, w, ...)`` adds one term an axis, each reading an input named after the axis.
    """

    name: str
    doc: str


Meaning = Expr | Input | Axis | Overloads | LetName | Family
"""What a declared name can stand for; a constant stands for its node."""


@dataclass(eq=False, slots=True)
class Scope:
    """Names and their meanings, over those of an outer scope."""

    title: str
    outer: Scope | None = None
    names: dict[str, Meaning] = field(default_factory=dict)
    docs: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Meaning | None:
        """Return what ``name`` means here, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def hides(self, name: str) -> str | None:
        """Return the title of the outer scope whose ``name`` this scope hides, or None."""
        scope = self.outer
        while scope is not None:
            if name in scope.names:
                return scope.title
            scope = scope.outer
        return None

    def known(self) -> Iterator[str]:
        """Yield every name that can be used here."""
        yield from LANGUAGE
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.outer
