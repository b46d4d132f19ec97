"""What a program was compiled from: enough to compile it again, in any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from maskc.elaborate.module import Constant
from maskc.errors import MaskTypeError
from maskc.source import Source

Constants = tuple[tuple[str, str, Constant], ...]
"""Name, type and value: 1, 1.0 and True are equal in Python, and three constants here."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A program's text and what was given with it.

    Attributes:
        source: the text.
        constants: values of params and sizes of axes; see ``keyed``.
        empty_rows: what a query row without a key gives.
        libraries: definitions to use beside the standard library, later ones over earlier ones.

    """

    source: Source
    constants: Constants = ()
    empty_rows: str = "zero"
    libraries: tuple[Source, ...] = ()

    @property
    def values(self) -> dict[str, Constant]:
        """The constants by name."""
        return {name: value for name, _, value in self.constants}

    def with_constants(self, constants: Mapping[str, Constant]) -> Recipe:
        """Return the recipe with these constants beside the others."""
        return replace(self, constants=keyed({**self.values, **constants}))


def keyed(constants: Mapping[str, Constant]) -> Constants:
    """Return constants as a key that tells 1 from 1.0 and True.

    Raises:
        MaskTypeError: a constant is no bool, int or float.

    """
    for name, value in constants.items():
        if not isinstance(value, bool | int | float):
            message = f"`{name}` is a compile-time constant, found {type(value).__name__}"
            help = "a tensor is an `input`, given to `bind` or to the call"
            raise MaskTypeError("M227", message, help=help)
    return tuple((name, type(value).__name__, value) for name, value in sorted(constants.items()))
