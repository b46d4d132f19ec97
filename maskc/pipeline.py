"""The compiler, a line a stage: text, syntax tree, typed module, simplified module, program."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from maskc.errors import MaskcError, MaskNameError, MaskSyntaxError, MaskTypeError, did_you_mean
from maskc.ir.elaborate import Constant, elaborate
from maskc.loading import read_source
from maskc.passes.driver import simplify
from maskc.runtime.program import Program, Recipe
from maskc.runtime.request import EMPTY_ROWS
from maskc.source import Source
from maskc.syntax.parse import parse


def compile_mask(
    source: str | Source,
    *,
    empty_rows: str = "zero",
    library: str | None = None,
    **constants: Constant,
) -> Program:
    """Compile a program.

    Args:
        source: its text.
        empty_rows: what a query row without a key gives: ``zero`` (the default; log-sum-exp -inf),
            ``all`` (it attends to every key), ``nan``, or ``error`` when bound.
        library: a ``.mask`` file of definitions to use beside the standard library.
        **constants: values of the program's params and sizes of its axes.

    Raises:
        MaskcError: the program is wrong; the error shows the place and the fix.

    """
    text = source if isinstance(source, Source) else Source(_text(source))
    extra = None if library is None else read_source(str(library))
    return compile_recipe(Recipe(text, _keyed(constants), empty_rows, extra))


@lru_cache(maxsize=1024)
def compile_recipe(recipe: Recipe) -> Program:
    """Compile what ``compile_mask`` was given."""
    _check_policy(recipe.empty_rows)
    constants = {name: value for name, _, value in recipe.constants}
    tree, errors = parse(recipe.source)
    elaborated, more = elaborate(tree, constants, recipe.library)
    _raise_first([*errors, *more])
    simplified = simplify(elaborated.module)
    return Program(elaborated, simplified, recipe, compile_recipe)


def load(
    ref: str, *, empty_rows: str = "zero", library: str | None = None, **constants: Constant
) -> Program:
    """Compile the program of a ``.mask`` file, or of a config file: ``model.toml:attention.mask``.

    Args:
        ref: the path, with a dotted key after a colon for TOML, YAML and JSON.
        empty_rows: as for ``compile_mask``.
        library: as for ``compile_mask``.
        **constants: as for ``compile_mask``.

    Raises:
        MaskcError: the file or the key cannot be read, or the program is wrong.

    """
    return compile_mask(read_source(str(ref)), empty_rows=empty_rows, library=library, **constants)


def check(
    source: Source, library: str | None = None, constants: Mapping[str, Constant] | None = None
) -> list[MaskcError]:
    """Return every error of a program; a param without a value is taken as 1."""
    tree, errors = parse(source)
    extra = None if library is None else read_source(library)
    _, more = elaborate(tree, constants or {}, extra, placeholders=True)
    return sorted([*errors, *more], key=_place)


def _raise_first(errors: list[MaskcError]) -> None:
    if errors:
        first = min(errors, key=_place)
        raise (
            first
            if len(errors) == 1
            else first.noting(f"{len(errors) - 1} more: `maskc check` lists all")
        )


def _place(error: MaskcError) -> int:
    return error.span.start if error.span else 0


def _check_policy(empty_rows: str) -> None:
    if empty_rows not in EMPTY_ROWS:
        help = (
            did_you_mean(str(empty_rows), EMPTY_ROWS) or f"expected one of {', '.join(EMPTY_ROWS)}"
        )
        raise MaskNameError("M311", f"unknown `empty_rows={empty_rows!r}`", help=help)


def _text(source: object) -> str:
    if isinstance(source, str):
        return source
    message = f"a program is a text, found {type(source).__name__}"
    raise MaskSyntaxError("M108", message, help="pass a string; `maskc.load` reads files")


def _keyed(constants: Mapping[str, Constant]) -> tuple[tuple[str, str, Constant], ...]:
    for name, value in constants.items():
        if not isinstance(value, bool | int | float):
            message = f"`{name}` is a compile-time constant, found {type(value).__name__}"
            help = "a tensor is an `input`, given to `bind` or to the call"
            raise MaskTypeError("M227", message, help=help)
    return tuple((name, type(value).__name__, value) for name, value in sorted(constants.items()))
