"""The compiler, a line a stage: text, syntax tree, typed module, simplified module, program."""

from __future__ import annotations

from types import MappingProxyType

from maskc import log
from maskc.analysis.scores.hidden_inf import hidden_inf
from maskc.checking import raise_first
from maskc.compiled import EMPTY_ROWS, Compiled, Recipe
from maskc.elaborate.module import elaborate
from maskc.elaborate.open_layer import LAYER, open_layer
from maskc.errors import LoweringError, MaskNameError, did_you_mean, warn
from maskc.ir.nodes import Expr
from maskc.mistakes import mistakes
from maskc.passes.support.driver import simplify, simplify_at_every_pair
from maskc.syntax.parse import parse


def compile_recipe(recipe: Recipe) -> Compiled:
    """Compile what ``compile_mask`` was given.

    Raises:
        MaskcError: the program is wrong; the error shows the location and the fix.

    """
    begin = log.start()
    check_policy(recipe.empty_rows)
    tree, errors = parse(recipe.source)
    is_open = open_layer(tree, recipe.values)
    constants = recipe.values if is_open is None else {**recipe.values, LAYER: 0}
    typed, more = elaborate(tree, constants, recipe.libraries, assumed=is_open is not None)
    raise_first([*errors, *more])
    simplest = simplify_at_every_pair if recipe.empty_rows == "all" else simplify
    simple = simplest(typed.module)
    _check_hidden(simple.module.score, recipe.empty_rows)
    for mistake in mistakes(typed, simple.module):
        warn(mistake)
    params = MappingProxyType(dict(typed.params))
    log.done(begin, "compiled %s by the laws %s", recipe.source.name, ", ".join(simple.laws))
    return Compiled(
        recipe=recipe,
        written=typed.module,
        module=simple.module,
        inputs=typed.inputs,
        params=params,
        laws=simple.laws,
        hidden=typed.hidden,
        open_layer=is_open,
        needs=typed.needs,
    )


def check_policy(empty_rows: object) -> None:
    """Refuse what is no policy for query rows without a key.

    Raises:
        MaskNameError: it lists the policies.

    """
    if not isinstance(empty_rows, str) or empty_rows not in EMPTY_ROWS:
        expected = f"expected one of {', '.join(EMPTY_ROWS)}"
        help = did_you_mean(str(empty_rows), EMPTY_ROWS) or expected
        raise MaskNameError("M311", f"unknown `empty_rows={empty_rows!r}`", help=help)


def _check_hidden(score: Expr, empty_rows: str) -> None:
    """Refuse a policy for rows without keys where the scores decide which keys there are."""
    infinite = None if empty_rows == "zero" else hidden_inf(score)
    if infinite is not None:
        policy = f'`empty_rows="{empty_rows}"`'
        message = f"{policy} cannot tell whether a query has a key: that depends on its scores"
        help = 'take `empty_rows="zero"`, or let positions and inputs choose the -inf'
        raise LoweringError("M512", message, infinite.span, help)
