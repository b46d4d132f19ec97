"""Every error of a program, from its text and types alone: no pass, analysis or lowering runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maskc.elaborate.module import Constant, elaborate
from maskc.errors import MaskcError
from maskc.source import Source
from maskc.syntax.parse import parse


def check(
    source: Source,
    libraries: Sequence[Source] = (),
    constants: Mapping[str, Constant] | None = None,
) -> list[MaskcError]:
    """Return every error of a program; a param without a value is taken as 1."""
    tree, errors = parse(source)
    _, more = elaborate(tree, constants or {}, libraries, placeholders=True)
    return sorted([*errors, *more], key=_place)


def raise_first(errors: Sequence[MaskcError]) -> None:
    """Raise the first of the errors by place, with a note of how many more there are."""
    if errors:
        first = min(errors, key=_place)
        raise (
            first
            if len(errors) == 1
            else first.noting(f"{len(errors) - 1} more: `maskc check` lists all")
        )


def _place(error: MaskcError) -> int:
    return error.span.start if error.span else 0
