"""Where an error is: the query, the key that matters to it, and what their tokens hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | bool


@dataclass(frozen=True, slots=True)
class Place:
    """The row of an output with the largest error.

    Attributes:
        batch: its batch.
        head: its query head.
        q: its query, a row of q.
        k: the key, a row of k, whose weight is off most; where the weights are those expected, the
            key of most weight. None for a query without keys.
        weight: the weight that the backend gives that key; None where it is as expected, or
            cannot be told (the program has an epilogue, or there are very many keys).
        expected: the weight that it should have.
        tokens: of each input with an int or a bool a token, its values for that query and that
            key; None for a side that the program does not read.

    """

    batch: int
    head: int
    q: int
    k: int | None = None
    weight: float | None = None
    expected: float | None = None
    tokens: Mapping[str, tuple[Value | None, Value | None]] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f"batch {self.batch}, head {self.head}, q {self.q}"
        values = [_values(name, *pair) for name, pair in self.tokens.items()]
        return ", ".join([where, self._key(), *values])

    def _key(self) -> str:
        if self.k is None:
            return "which has no key"
        if self.weight is not None:
            return f"k {self.k} of weight {self.weight:.3g} instead of {self.expected:.3g}"
        return f"k {self.k}" + ("" if self.expected is None else f" of weight {self.expected:.3g}")


def _values(name: str, q: Value | None, k: Value | None) -> str:
    """Return the values of an input: of both tokens, or of the one that is read."""
    match q, k:
        case None, _:
            return f"{name}[k] {_shown(k)}"
        case _, None:
            return f"{name}[q] {_shown(q)}"
        case _:
            return f"{name} {_shown(q)} / {_shown(k)}"


def _shown(value: Value | None) -> str:
    return str(value).lower()
