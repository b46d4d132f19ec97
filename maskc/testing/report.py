"""What a comparison of backends found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """How far one backend is from the float64 reference.

    Attributes:
        backend: its name.
        max_error: the largest absolute error of the output; None if the backend did not run.
        mean_error: the mean absolute error.
        worst: batch, head and query row of the largest error.
        gradients: the largest absolute error of the gradient of each tensor.
        refused: why the backend did not run, or gave no gradients.

    """

    backend: str
    max_error: float | None = None
    mean_error: float | None = None
    worst: tuple[int, int, int] | None = None
    gradients: Mapping[str, float] = field(default_factory=dict)
    refused: str | None = None

    @property
    def largest(self) -> float:
        """The largest error of all, 0 for a backend that did not run."""
        return max([self.max_error or 0.0, *self.gradients.values()])


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all backends for one call.

    Attributes:
        title: the sizes and the dtype of the call.
        program: its text.
        results: one a backend, in the order asked for.

    """

    title: str
    program: str
    results: tuple[Result, ...]

    def __getitem__(self, backend: str) -> Result:
        """Return the result of one backend."""
        return next(result for result in self.results if result.backend == backend)

    @property
    def worst(self) -> Result:
        """The result with the largest error."""
        return max(self.results, key=lambda result: result.largest)

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of the columns of ``rows``."""
        return (
            "backend",
            "max error",
            "mean error",
            "at batch, head, q",
            *(f"d{n}" for n in self._names),
        )

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The results as text, a row a backend."""
        return [self._row(result) for result in self.results]

    @property
    def remarks(self) -> list[str]:
        """What the backends refused, a sentence each."""
        return [f"{r.backend}: {r.refused}" for r in self.results if r.refused is not None]

    def __str__(self) -> str:
        table = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([self.program, "", self.title, "", *lines, *self.remarks])

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for r in self.results for name in r.gradients))

    def _row(self, result: Result) -> tuple[str, ...]:
        if result.max_error is None or result.mean_error is None or result.worst is None:
            return (result.backend, "did not run", *("" for _ in self.header[2:]))
        batch, head, row = result.worst
        place = f"{batch}, {head}, {row}"
        errors = (f"{result.max_error:.1e}", f"{result.mean_error:.1e}", place)
        return (result.backend, *errors, *(self._gradient(result, name) for name in self._names))

    def _gradient(self, result: Result, name: str) -> str:
        return f"{result.gradients[name]:.1e}" if name in result.gradients else "-"
