"""The numbers that a callable holds, each with a way to put another in its place."""

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


def held_numbers(callable: Any, depth: int = 0) -> Iterator[Held]:
    """Yield the ints and floats of closures, modules and ``partial``s, inner ones too."""
    if depth > DEEPEST:
        return
    match callable:
        case functools.partial():
            yield from _of_partial(callable, depth)
        case FunctionType():
            yield from _of_closure(callable, depth)
            yield from _of_globals(callable)
        case tuple() | list():
            for index, part in enumerate(callable):
                yield from _inside(part, _item_setter(callable, index), depth)


def _of_partial(whole: functools.partial[Any], depth: int) -> Iterator[Held]:
    for name, value in whole.keywords.items():

        def put(new: Any, name: str = name) -> Any:
            return functools.partial(whole.func, *whole.args, **{**whole.keywords, name: new})

        yield from _named(name, value, put, depth)
    yield from _inside(
        whole.func, lambda new: functools.partial(new, *whole.args, **whole.keywords), depth
    )


def _of_closure(function: FunctionType, depth: int) -> Iterator[Held]:
    for index, (name, cell) in enumerate(
        zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    ):
        if cell == CellType():
            continue

        def put(new: Any, index: int = index) -> FunctionType:
            cells = list(function.__closure__ or ())
            cells[index] = CellType(new)
            return _copy(function, function.__globals__, tuple(cells))

        yield from _named(name, cell.cell_contents, put, depth)


def _of_globals(function: FunctionType) -> Iterator[Held]:
    """Yield the numbers of the module that the function names."""
    for name in function.__code__.co_names:
        value: Any = function.__globals__.get(name)
        if type(value) in (int, float):

            def put(new: int | float, name: str = name) -> FunctionType:
                return _copy(function, {**function.__globals__, name: new}, function.__closure__)

            yield Held(name, value, put)


def _copy(
    function: FunctionType, variables: dict[str, Any], closure: tuple[CellType, ...] | None
) -> FunctionType:
    copy = FunctionType(
        function.__code__, variables, function.__name__, function.__defaults__, closure
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _named(name: str, value: Any, put: Callable[[Any], Any], depth: int) -> Iterator[Held]:
    if type(value) in (int, float):
        yield Held(name, value, put)
    else:
        yield from _inside(value, put, depth)


def _inside(value: Any, put: Callable[[Any], Any], depth: int) -> Iterator[Held]:
    """Yield the numbers of a part, put back into the whole."""
    for held in held_numbers(value, depth + 1):
        yield Held(held.name, held.value, functools.partial(_through, put, held.replaced))


def _through(put: Callable[[Any], Any], inner: Callable[[Any], Any], new: int | float) -> Any:
    return put(inner(new))


def _item_setter(items: Any, place: int) -> Callable[[Any], Any]:
    return lambda new: type(items)([*items[:place], new, *items[place + 1 :]])
