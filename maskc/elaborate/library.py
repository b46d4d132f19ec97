"""The standard library and libraries of a user's own, as scopes."""

from __future__ import annotations

from functools import cache, lru_cache

from maskc.elaborate.declare import Declarations
from maskc.elaborate.errors import Report
from maskc.elaborate.scope import Family, Scope
from maskc.errors import MaskTypeError
from maskc.source import Source
from maskc.syntax import ast, resources
from maskc.syntax.parse import parse

PRELUDE = "grammar/prelude.mask"

RELPOS = Family(
    "relpos",
    "decomposed relative positions, to be added to the score: the sum of "
    "`rel_h[batch, head, q_idx, k.h]` over the axes given (MViTv2, arXiv:2112.01526; SAM; MONAI)",
)


@cache
def prelude() -> Scope:
    """Return the names of the standard library."""
    scope = Scope("prelude")
    scope.names[RELPOS.name], scope.docs[RELPOS.name] = RELPOS, RELPOS.doc
    _fill(scope, Source(resources.read("prelude.mask"), PRELUDE))
    return scope


@lru_cache(maxsize=64)
def scope_of(libraries: tuple[Source, ...]) -> Scope:
    """Return the names of a user's libraries, over those of the standard library.

    A library may use and hide the names of those before it.

    Raises:
        MaskcError: the first error of a library.

    """
    if not libraries:
        return prelude()
    *before, last = libraries
    scope = Scope(last.name, scope_of(tuple(before)))
    _fill(scope, last)
    return scope


def _fill(scope: Scope, source: Source) -> None:
    """Declare the names of a library; it may hold declarations only."""
    tree, errors = parse(source)
    report = Report(tree.lost)
    Declarations(scope, report, {}, placeholders=False).declare(tree.statements)
    for statement in tree.statements:
        if isinstance(statement, ast.Assignment):
            message = "a library declares names, expected `let` or `def`"
            help = "name it: `let my_mask = ...`"
            report.add(MaskTypeError("M220", message, statement.span, help))
    if result := [*errors, *report.errors]:
        raise min(result, key=lambda error: error.span.start if error.span else 0)
