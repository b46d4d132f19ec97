"""What a comparison of backends found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from math import inf
from typing import Any

from maskc.testing.place import Place

TOLERANCES = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
"""The largest error allowed by default, for q, k and v of a standard deviation of 1."""

ROUNDING = 8.0
"""How many times the error of plain SDPA is still rounding."""

LEGEND = "1.0x: the error of plain SDPA with the same mask, which is rounding alone"
"""What stands behind an error in the table."""

OUT = "out"
"""The name of the output among the errors; no input can have it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How far one backend is from the float64 reference.

    Attributes:
        backend: its name.
        max_error: the largest absolute error of the output; None if the backend did not run.
        mean_error: the mean absolute error.
        worst: where the largest error of the output is; None if there is no error.
        gradients: the largest absolute error of the gradient of each tensor.
        gradients_at: the subscripts of these errors, in the tensor of that name.
        refused: why the backend did not run, or gave no gradients.

    """

    backend: str
    max_error: float | None = None
    mean_error: float | None = None
    worst: Place | None = None
    gradients: Mapping[str, float] = field(default_factory=dict)
    gradients_at: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    refused: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "backend": self.backend,
            "max_error": self.max_error,
            "mean_error": self.mean_error,
            "gradients": dict(self.gradients),
            "worst": None if self.worst is None else str(self.worst),
            "refused": self.refused,
        }

    @property
    def errors(self) -> dict[str, float]:
        """The largest error of the output, under ``out``, and of each gradient."""
        return {} if self.max_error is None else {OUT: self.max_error, **self.gradients}

    @property
    def largest(self) -> float:
        """The largest error of all, 0 for a backend that did not run."""
        return max([0.0, *self.errors.values()])


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all backends for one call.

    Attributes:
        title: the sizes and the dtype of the call.
        program: its text.
        results: one a backend, in the order asked for.
        plain: the errors of plain SDPA in the dtype of the call, which are those of rounding (see
            ``maskc.testing.plain``); None where it cannot run.
        dtype: the coarsest of the call, by which errors are allowed.

    """

    title: str
    program: str
    results: tuple[Result, ...]
    plain: Result | None = None
    dtype: str = "float32"

    def __getitem__(self, backend: str) -> Result:
        """Return the result of one backend.

        Raises:
            KeyError: it was not compared.

        """
        return {result.backend: result for result in self.results}[backend]

    @property
    def worst(self) -> Result:
        """The result with the largest error."""
        return max(self.results, key=lambda result: result.largest)

    def ratio(self, backend: str, name: str = OUT) -> float | None:
        """Return an error of a backend by that of plain SDPA.

        Args:
            backend: which.
            name: of the tensor whose gradient it is; by default the output.

        Returns:
            None where one of them is not known; infinity where plain SDPA is exact and the backend
            is not.

        """
        error = self[backend].errors.get(name)
        return _ratio(error, None if self.plain is None else self.plain.errors.get(name))

    def limit(self, name: str = OUT, atol: float | None = None) -> float:
        """Return the largest error allowed, of the output or of a gradient.

        It is ``atol``, or what ``allowed`` says.
        """
        return allowed(self.dtype, self.plain, name) if atol is None else atol

    def misses(self, atol: float | None = None) -> list[str]:
        """Return what is over its limit, a sentence each."""
        return [
            f"{result.backend} is off by {error:.1e}, more than {self.limit(name, atol):.1e}, "
            f"{_where(result, name)}"
            for result in self.results
            for name, error in result.errors.items()
            if not error <= self.limit(name, atol)
        ]

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of the columns of ``rows``."""
        return ("error", *(result.backend for result in self._columns))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The errors as text, a row each; behind one how many times that of plain SDPA it is."""
        table = [self._row("output, max", OUT)]
        means = [(r, r.mean_error) for r in self._columns]
        table.append(("output, mean", *(self._cell(r, e, self._mean) for r, e in means)))
        return [*table, *(self._row(f"gradient of {name}", name) for name in self._names)]

    @property
    def remarks(self) -> list[str]:
        """What the columns mean, where the errors are, and what the backends refused."""
        result = [] if self.plain is None else [LEGEND]
        result += [f"{r.backend}: worst at {r.worst}" for r in self.results if r.worst is not None]
        return [*result, *(f"{r.backend}: {r.refused}" for r in self.results if r.refused)]

    def as_dict(self, atol: float | None = None) -> dict[str, Any]:
        """Return it as plain data, with what is over the limit of ``atol``."""
        every = [*([] if self.plain is None else [self.plain]), *self.results]
        return {
            "title": self.title,
            "program": self.program,
            "results": [result.as_dict() for result in every],
            "misses": self.misses(atol),
        }

    def _repr_html_(self) -> str:
        cells = [[escape(cell) for cell in row] for row in self.rows]
        head = "".join(f"<th>{escape(name)}</th>" for name in self.header)
        body = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
        remarks = "".join(f"<div>{escape(remark)}</div>" for remark in self.remarks)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<pre>{escape(self.program)}</pre><div>{escape(self.title)}</div>{table}{remarks}"

    def __str__(self) -> str:
        table = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([self.program, "", self.title, "", *lines, "", *self.remarks]).rstrip()

    @property
    def _columns(self) -> list[Result]:
        return [*([] if self.plain is None else [self.plain]), *self.results]

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for r in self._columns for name in r.gradients))

    @property
    def _mean(self) -> float | None:
        return None if self.plain is None else self.plain.mean_error

    def _row(self, title: str, name: str) -> tuple[str, ...]:
        plain = None if self.plain is None else self.plain.errors.get(name)
        return (title, *(self._cell(r, r.errors.get(name), plain) for r in self._columns))

    def _cell(self, result: Result, error: float | None, plain: float | None) -> str:
        if error is None:
            return "-"
        ratio = _ratio(error, plain or None)
        return f"{error:.1e}" + ("" if result is self.plain else _times(ratio))


def allowed(dtype: str, plain: Result | None, name: str) -> float:
    """Return the largest error that no bug explains: of the output, or of a gradient.

    That is the tolerance of the dtype, or eight times the error of plain SDPA, whichever is more:
    what a sum over many tokens loses to rounding grows with it. Kernels round in another order, so
    that their largest errors differ a few times.
    """
    error = None if plain is None else plain.errors.get(name)
    rounding = ROUNDING * error if error is not None and error < inf else 0.0
    return max(TOLERANCES.get(dtype, 0.0), rounding)


def _where(result: Result, name: str) -> str:
    if name == OUT:
        return "in the output" if result.worst is None else f"at {result.worst}"
    at = ", ".join(map(str, result.gradients_at.get(name, ())))
    return f"in the gradient of {name}" + (f" at [{at}]" if at else "")


def _ratio(error: float | None, plain: float | None) -> float | None:
    if error is None or plain is None or plain == inf:
        return None
    if error == 0:
        return 0.0
    return error / plain if plain else inf


def _times(ratio: float | None) -> str:
    if ratio is None or ratio == inf:
        return ""
    return f"  {ratio:.1f}x" if ratio < 1000 else f"  {ratio:.0e}x"
