"""A compiled program as data: what it was compiled from, and what it became."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import get_args
from weakref import WeakValueDictionary

from maskc.elaborate.module import Constant, DeclaredInput
from maskc.elaborate.needs import Need
from maskc.elaborate.open_layer import LAYER
from maskc.errors import BindError, MaskTypeError
from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.options import EmptyRows
from maskc.source import Source, Span

EMPTY_ROWS: tuple[EmptyRows, ...] = get_args(EmptyRows)
"""What a query row without a key may give."""

Constants = tuple[tuple[str, str, Constant], ...]
"""Name, type and value: 1, 1.0 and True are equal in Python, and three constants here."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A program's text and what was given with it: enough to compile it again, in any process.

    Attributes:
        source: the text.
        constants: values of params and sizes of axes; see ``keyed``.
        empty_rows: what a query row without a key gives.
        libraries: definitions to use beside the standard library, later ones over earlier ones.

    """

    source: Source
    constants: Constants = ()
    empty_rows: EmptyRows = "zero"
    libraries: tuple[Source, ...] = ()

    @property
    def values(self) -> dict[str, Constant]:
        """The constants by name."""
        return {name: value for name, _, value in self.constants}

    def with_constants(self, constants: Mapping[str, Constant]) -> Recipe:
        """Return the recipe with these constants beside the others."""
        return replace(self, constants=keyed({**self.values, **constants}))


@dataclass(frozen=True, eq=False, repr=False)
class Compiled:
    """A mask, a score and an epilogue. Two are equal if canonical text and ``empty_rows`` are.

    Attributes:
        recipe: what it was compiled from.
        written: the program before simplification.
        module: the simplified program.
        inputs: the tensors it takes, with type, number of subscripts and doc.
        params: its compile-time constants and axis sizes.
        laws: the laws that simplified it.
        hidden: prelude names that its text hides.
        open_layer: the location of a ``param layer`` without a value, None if there is none; such
            a program stands for all layers of a model, and ``Program.for_layer`` gives the one to
            bind.
        needs: what its definitions need of the sizes of a call.
        number: of this object, by which a trace finds it in ``BY_NUMBER``.

    """

    recipe: Recipe
    written: Module
    module: Module
    inputs: tuple[DeclaredInput, ...]
    params: Mapping[str, Constant]
    laws: tuple[str, ...]
    hidden: tuple[str, ...]
    open_layer: Span | None
    needs: tuple[Need, ...] = ()
    number: int = field(default_factory=count().__next__)

    @property
    def empty_rows(self) -> EmptyRows:
        """What a query row without a key gives: ``zero``, ``all``, ``nan`` or ``error``."""
        return self.recipe.empty_rows

    @property
    def source(self) -> str:
        """The source as it was written."""
        return self.recipe.source.text

    @cached_property
    def text(self) -> str:
        """The canonical source; with the same ``empty_rows`` it parses back to an equal program.

        That of a program for all layers is the source as it was written. What definitions need
        of the sizes of a call (M704) is known of the source alone: this text has none of them, so
        that programs of one meaning have one text.
        """
        return to_text(self.module) if self.open_layer is None else self.source

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of the canonical text and ``empty_rows``, the same in every process."""
        parts = [self.text, f"empty_rows = {self.empty_rows}"]
        if self.open_layer is not None:
            parts += [repr(self.recipe.constants), *(one.text for one in self.recipe.libraries)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def meaning(self) -> Hashable:
        """What equal programs share; one that stands for all layers has only its recipe."""
        return (self.text, self.empty_rows) if self.open_layer is None else self.recipe

    def refuse_open(self) -> None:
        """Refuse to run a program that stands for all layers.

        Raises:
            BindError: it names the param without a value.

        """
        if self.open_layer is not None:
            message = f"param `{LAYER}` has no value, so the program stands for all layers"
            help = f"take the one of a layer: `program.for_{LAYER}(0)`, or give it: `{LAYER}=0`"
            raise BindError("M427", message, self.open_layer, help)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Compiled):
            return NotImplemented
        return self.meaning == other.meaning

    def __hash__(self) -> int:
        return hash(self.meaning)


BY_NUMBER: WeakValueDictionary[int, Compiled] = WeakValueDictionary()
"""The programs that live."""

# A program is a value: `dataclasses.asdict` of a config that holds one must not take it apart.
del Compiled.__dataclass_fields__


def keyed(constants: Mapping[str, Constant]) -> Constants:
    """Return constants as a key that tells 1 from 1.0 and True.

    Raises:
        MaskTypeError: a constant is no bool, int or float.

    """
    plain = {name: _plain(value) for name, value in constants.items()}
    for name, value in plain.items():
        if not isinstance(value, bool | int | float):
            message = f"`{name}` is a compile-time constant, found {type(value).__name__}"
            help = "a tensor is an `input`, given to `bind` or to the call"
            raise MaskTypeError("M227", message, help=help)
    return tuple((name, type(value).__name__, value) for name, value in sorted(plain.items()))


def _plain(value: Constant) -> Constant:
    """Return a number of another library, such as numpy's, as one of Python."""
    match value:
        case bool():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case _:
            return value
