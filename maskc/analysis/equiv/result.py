"""What a comparison of two programs can say: equal, different at a point, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from maskc.ir.evaluate import Point
from maskc.ir.scalars import Number
from maskc.ir.types import Given, Sz


class Comparison:
    """What all three share: ``equal`` is True, False, or None for unknown."""

    __slots__ = ()

    equal: ClassVar[bool | None]

    def __bool__(self) -> NoReturn:
        raise TypeError("a comparison has three results; ask for `.equal`: True, False or None")

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data: ``equal`` is true, false or null, ``text`` what it prints."""
        return {"equal": self.equal, "text": str(self)}


@dataclass(frozen=True, slots=True)
class Equal(Comparison):
    """The programs give the same attention in every call, or in those of some sizes.

    Attributes:
        sizes: the sizes; None for every call.

    """

    equal: ClassVar[bool | None] = True
    sizes: Mapping[Sz, int] | None = None

    def __str__(self) -> str:
        if self.sizes is None:
            return "equal: proved for every call"
        shown = ", ".join(f"{size.value} = {count}" for size, count in self.sizes.items())
        return f"equal: at every pair of calls with {shown}"


@dataclass(frozen=True, slots=True)
class Different(Comparison):
    """A point at which the programs differ.

    Attributes:
        what: ``mask``, ``score`` or ``out``.
        at: batch, head, q and k.
        sizes: the sizes of the call.
        read: the elements of inputs that were read, as ``doc[3]``, and their values.
        given: the values of ``score``, ``out`` and ``lse``.
        first: the value in the first program.
        second: the value in the second program.

    """

    equal: ClassVar[bool | None] = False
    what: str
    at: Point
    sizes: Mapping[Sz, int]
    read: Mapping[str, Number]
    given: Mapping[Given, float]
    first: Number
    second: Number

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            **Comparison.as_dict(self),
            "what": self.what,
            "at": {"q": self.at.q_idx, "k": self.at.kv_idx, **_place(self.at)},
            "sizes": {size.value: count for size, count in self.sizes.items()},
            "inputs": dict(self.read),
            "first": self.first,
            "second": self.second,
        }

    def __str__(self) -> str:
        at = {"q": self.at.q_idx, "k": self.at.kv_idx, **_place(self.at)}
        parts = {
            "at": at,
            "sizes": {size.value: count for size, count in self.sizes.items()},
            "inputs": self.read,
            "given": {which.value: self.given[which] for which in _GIVEN_TO[self.what]},
        }
        lines = [f"different: {self.what} is {_told(self.first)}, then {_told(self.second)}"]
        for title, values in parts.items():
            if values:
                listed = ", ".join(f"{name} = {_told(value)}" for name, value in values.items())
                lines.append(f"  {title:<7}{listed}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Unknown(Comparison):
    """Neither proved nor disproved; no difference at so many points.

    Attributes:
        points: how many were tried.
        furthest: the largest q and k among them.
        tried_proof: whether z3 was there to try.

    """

    equal: ClassVar[bool | None] = None
    points: int
    furthest: int = 0
    tried_proof: bool = True

    def __str__(self) -> str:
        lines = [f"undecided: no difference at {self.points} points, q and k to {self.furthest}"]
        if not self.tried_proof:
            lines.append("  z3 may prove it: pip install 'maskc[prove]'")
        return "\n".join(lines)


_GIVEN_TO = {"mask": (), "score": (Given.SCORE,), "out": (Given.OUT, Given.LSE)}


def _place(at: Point) -> dict[str, int]:
    return {"head": at.head, "batch": at.batch}


def _told(value: Number) -> str:
    """Return a value as a program writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
