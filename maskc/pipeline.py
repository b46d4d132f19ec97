"""The compiler, a line a stage: text, syntax tree, typed module, simplified module, program."""

from __future__ import annotations

from functools import lru_cache
from os import PathLike

from maskc.analysis.scores.hidden_inf import hidden_inf
from maskc.binding.call import EMPTY_ROWS
from maskc.checking import raise_first
from maskc.compiled import Recipe, keyed
from maskc.elaborate.module import Constant, elaborate
from maskc.elaborate.open_layer import LAYER, open_layer
from maskc.errors import LoweringError, MaskNameError, MaskSyntaxError, did_you_mean, warn
from maskc.ir.nodes import Expr
from maskc.libraries import naming_library
from maskc.loading import Paths, read, read_libraries
from maskc.mistakes import mistakes
from maskc.passes.support.driver import AT_EVERY_PAIR, WHOLE, simplify
from maskc.program import Program
from maskc.source import Source
from maskc.syntax.parse import parse


def compile_mask(
    source: str | Source,
    *,
    empty_rows: str = "zero",
    library: Paths | None = None,
    **constants: Constant,
) -> Program:
    """Compile a program.

    Args:
        source: its text.
        empty_rows: what a query row without a key gives: ``zero`` (the default; log-sum-exp -inf),
            ``all`` (it attends to every key), ``nan``, or ``error`` when bound. A key that the
            mask, or a choice of -inf in the score, allows is one, whatever its score comes out as.
        library: a ``.mask`` file of definitions to use beside the standard library, or several;
            a later one hides what an earlier one defines.
        **constants: values of the program's params and sizes of its axes. ``param layer: int``
            may stay without one: see ``Program.for_layer``.

    Raises:
        MaskcError: the program is wrong; the error shows the place and the fix.

    """
    text = source if isinstance(source, Source) else Source(_text(source))
    return compile_recipe(Recipe(text, keyed(constants), empty_rows, read_libraries(library)))


@lru_cache(maxsize=1024)
def compile_recipe(recipe: Recipe) -> Program:
    """Compile what ``compile_mask`` was given."""
    _check_policy(recipe.empty_rows)
    tree, errors = parse(recipe.source)
    is_open = open_layer(tree, recipe.values)
    constants = recipe.values if is_open is None else {**recipe.values, LAYER: 0}
    elaborated, more = elaborate(tree, constants, recipe.libraries, assumed=is_open is not None)
    raise_first([*errors, *more])
    laws = AT_EVERY_PAIR if recipe.empty_rows == "all" else WHOLE
    simplified = simplify(elaborated.module, laws=laws)
    _check_hidden(simplified.module.score, recipe.empty_rows)
    for mistake in mistakes(elaborated, simplified.module):
        warn(mistake)
    return Program(elaborated, simplified, recipe, is_open)


Program.compiler = staticmethod(compile_recipe)


def load(
    ref: str | PathLike[str],
    *,
    empty_rows: str = "zero",
    library: Paths | None = None,
    **constants: Constant,
) -> Program:
    """Compile the program of a ``.mask`` file, or of a config file: ``model.toml:attention.mask``.

    A key ``library`` beside the program in the config file names libraries, as paths from the
    file's folder.

    Args:
        ref: the path, with a dotted key after a colon for TOML, YAML and JSON.
        empty_rows: as for ``compile_mask``.
        library: as for ``compile_mask``; over those that the config file names.
        **constants: as for ``compile_mask``.

    Raises:
        MaskcError: the file or the key cannot be read, or the program is wrong.

    """
    located = read(str(ref))
    libraries = (*located.libraries, *read_libraries(library))
    try:
        return compile_recipe(Recipe(located.source, keyed(constants), empty_rows, libraries))
    except MaskNameError as error:
        raise naming_library(error) from None


def _check_policy(empty_rows: str) -> None:
    if empty_rows not in EMPTY_ROWS:
        help = (
            did_you_mean(str(empty_rows), EMPTY_ROWS) or f"expected one of {', '.join(EMPTY_ROWS)}"
        )
        raise MaskNameError("M311", f"unknown `empty_rows={empty_rows!r}`", help=help)


def _check_hidden(score: Expr, empty_rows: str) -> None:
    """Refuse a policy for rows without keys where the scores decide which keys there are."""
    found = None if empty_rows == "zero" else hidden_inf(score)
    if found is not None:
        policy = f'`empty_rows="{empty_rows}"`'
        message = f"{policy} cannot tell whether a query has a key: that depends on its scores"
        help = 'take `empty_rows="zero"`, or let positions and inputs choose the -inf'
        raise LoweringError("M512", message, found.span, help)


def _text(source: object) -> str:
    if isinstance(source, str):
        return source
    message = f"a program is a text, found {type(source).__name__}"
    raise MaskSyntaxError("M108", message, help="pass a string; `maskc.load` reads files")
