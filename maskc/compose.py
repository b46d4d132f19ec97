"""Masks made of masks: what ``a & b``, ``a | b``, ``~a`` and ``masked_by`` give."""

from __future__ import annotations

from maskc.errors import MaskNameError, MaskTypeError
from maskc.ir.nodes import (
    OUT,
    SCORE,
    And,
    Axis,
    Coord,
    Module,
    Not,
    Or,
    inputs,
    walk,
)


def both(first: Module, second: Module) -> Module:
    """Return the mask that is true where both masks are.

    Raises:
        MaskcError: one is more than a mask, or they declare one name in two ways.

    """
    _refuse_scores("&", first, second)
    return masked_by(first, second)


def either(first: Module, second: Module) -> Module:
    """Return the mask that is true where one of the masks is.

    Raises:
        MaskcError: as for ``both``.

    """
    _refuse_scores("|", first, second)
    _check_names(first, second)
    return Module(Or((first.mask, second.mask)), SCORE, OUT)


def opposite(module: Module) -> Module:
    """Return the mask that is true where another is not.

    Raises:
        MaskTypeError: the program is more than a mask.

    """
    _refuse_scores("~", module)
    return Module(Not(module.mask), SCORE, OUT)


def masked_by(module: Module, mask: Module) -> Module:
    """Return a program with a mask besides its own; its score and its epilogue stay.

    Raises:
        MaskcError: ``mask`` is more than a mask, or they declare one name in two ways.

    """
    _refuse_scores("masked_by", mask)
    _check_names(module, mask)
    return Module(And((module.mask, mask.mask)), module.score, module.out)


def check_empty_rows(first: str, second: str) -> None:
    """Refuse two programs that treat query rows without keys in two ways.

    Raises:
        MaskNameError: they do.

    """
    if first != second:
        message = f"the programs have two policies for empty rows: `{first}` and `{second}`"
        raise MaskNameError("M314", message, help="compile both with one `empty_rows`")


def _refuse_scores(operation: str, *modules: Module) -> None:
    for module in modules:
        if module.score != SCORE or module.out != OUT:
            what = "a score" if module.score != SCORE else "an epilogue"
            message = f"`{operation}` takes masks, found a program with {what}"
            help = "`program.masked_by(mask)` keeps the score and the epilogue of `program`"
            raise MaskTypeError("M232", message, help=help)


def _check_names(first: Module, second: Module) -> None:
    """Refuse two programs in which a name is two things."""
    types = {source.name: source.type for source in inputs(*first.roots)}
    for source in inputs(*second.roots):
        if types.get(source.name, source.type) is not source.type:
            kinds = f"{types[source.name].value} and {source.type.value}"
            message = f"input `{source.name}` has two types: {kinds}"
            raise MaskNameError("M313", message, help="rename one of them")
    grids = [_grid(module) for module in (first, second)]
    axes = {axis.name: axis for axis in grids[0]}
    same_grid = len({(axis.start, axis.count) for grid in grids for axis in grid}) <= 1
    if not same_grid or any(axes.get(axis.name, axis) != axis for axis in grids[1]):
        message = "the programs declare two different grids"
        raise MaskNameError("M313", message, help="declare the same axes in both")


def _grid(module: Module) -> set[Axis]:
    return {term.axis for term in walk(*module.roots) if isinstance(term, Coord)}
