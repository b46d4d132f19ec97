"""The numbers that a callable holds, each with a way to put another in its place.

Functions that close over one variable, or name one of their module, change together: what is put in
its place is seen by all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any

DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Held:
    """A number that a callable holds: in its closure, its module, or a ``partial``.

    Attributes:
        name: of the variable or the keyword.
        value: the number.
        replaced: gives the callable with another number in its place.

    """

    name: str
    value: int | float
    replaced: Callable[[int | float], Any]


def held_numbers(callable: Any) -> Iterator[Held]:
    """Yield the ints and floats of closures, modules and ``partial``s, inner ones too."""
    for place, value in dict(_numbers(callable, 0)).items():
        yield Held(place.name, value, functools.partial(_replaced, callable, place))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a number stands.

    Attributes:
        owner: the cell, the variables of a module, or the ``partial``, by its identity.
        name: of the variable there.

    """

    owner: int
    name: str


def _numbers(value: Any, depth: int) -> Iterator[tuple[_Place, int | float]]:
    """Yield each number that a value holds, with its place."""
    if depth > DEEPEST:
        return
    match value:
        case functools.partial():
            for name, part in value.keywords.items():
                yield from _number(_Place(id(value), name), part, depth)
            yield from _numbers(value.func, depth + 1)
        case FunctionType():
            yield from _of_function(value, depth)
        case _ if type(value) in (tuple, list):
            for part in value:
                yield from _numbers(part, depth + 1)


def _number(place: _Place, value: Any, depth: int) -> Iterator[tuple[_Place, int | float]]:
    if type(value) in (int, float):
        yield place, value
    else:
        yield from _numbers(value, depth + 1)


def _of_function(function: FunctionType, depth: int) -> Iterator[tuple[_Place, int | float]]:
    """Yield the numbers of a closure, and those of the module that the function names."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if cell != CellType():  # a variable of the enclosing function without a value yet
            yield from _number(_Place(id(cell), name), cell.cell_contents, depth)
    variables = function.__globals__
    for name in function.__code__.co_names:
        value = variables.get(name)
        if type(value) in (int, float) or _is_beside(value, variables):
            yield from _number(_Place(id(variables), name), value, depth)


def _is_beside(value: Any, variables: dict[str, Any]) -> bool:
    """Tell whether a variable of a module is a function of the module."""
    return isinstance(value, FunctionType) and value.__globals__ is variables


@dataclass(slots=True)
class _Change:
    """Another number in one place, and what was made again for it."""

    place: _Place
    new: int | float
    cells: dict[int, CellType]
    variables: dict[str, Any] | None = None


def _replaced(callable: Any, place: _Place, new: int | float) -> Any:
    """Return a callable with another number in one place."""
    return _changed(callable, _Change(place, new, {}), 0)


def _changed(value: Any, change: _Change, depth: int) -> Any:
    if depth > DEEPEST:
        return value
    match value:
        case functools.partial():
            keywords = {
                name: change.new
                if change.place == _Place(id(value), name)
                else _changed(part, change, depth + 1)
                for name, part in value.keywords.items()
            }
            return functools.partial(
                _changed(value.func, change, depth + 1), *value.args, **keywords
            )
        case FunctionType():
            closure = tuple(_cell(cell, change, depth) for cell in value.__closure__ or ())
            return _copy(value, _variables(value, change), closure)
        case _ if type(value) in (tuple, list):
            return type(value)(_changed(part, change, depth + 1) for part in value)
        case _:
            return value


def _cell(cell: CellType, change: _Change, depth: int) -> CellType:
    """Return the cell for another; functions that shared one share it still."""
    if id(cell) not in change.cells and cell != CellType():
        change.cells[id(cell)] = CellType()
        is_there = change.place.owner == id(cell)
        value = change.new if is_there else _changed(cell.cell_contents, change, depth + 1)
        change.cells[id(cell)].cell_contents = value
    return change.cells.get(id(cell), cell)


def _variables(function: FunctionType, change: _Change) -> dict[str, Any]:
    """Return the variables of a function's module, and its functions with those."""
    own = function.__globals__
    if change.place.owner != id(own):
        return own
    if change.variables is None:
        change.variables = {**own, change.place.name: change.new}
        for name, value in own.items():
            if isinstance(value, FunctionType) and _is_beside(value, own):
                change.variables[name] = _copy(value, change.variables, value.__closure__)
    return change.variables


def _copy(
    function: FunctionType, variables: dict[str, Any], closure: tuple[CellType, ...] | None
) -> FunctionType:
    copy = FunctionType(
        function.__code__, variables, function.__name__, function.__defaults__, closure or None
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
