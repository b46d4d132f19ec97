"""What a user sees when something is wrong; the only place that renders errors and warnings.

Codes: M1xx syntax, M2xx types, M3xx names and constants, M4xx binding, M5xx lowering, M6xx files,
M7xx what is legal and almost surely wrong, M8xx tracing of callables, M9xx models of other
libraries.
"""

from __future__ import annotations

import difflib
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable
from itertools import islice
from types import FrameType
from typing import ClassVar

from maskc.source import Span


class Diagnostic(Exception):  # noqa: N818 - a warning is one as well
    """What an error and a warning have in common: a code, one sentence, a place and a fix.

    Attributes: ``code`` (stable, ``M201``), ``message`` (one sentence), ``span`` (the place in the
    source, or None where there is none), ``help`` (the fix, or None), ``notes`` (context added by
    outer calls).
    """

    word: ClassVar[str]

    def __init__(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        help: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.span = span
        self.help = help
        self.notes = notes

    def __str__(self) -> str:
        return render(self)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.code, self.message, self.span, self.help, self.notes)


class MaskcError(Diagnostic, ValueError):
    """A bad program, a bad binding, or a program that a backend cannot run.

    Its attributes are those of ``Diagnostic``.
    """

    word = "error"
    kind: ClassVar[str] = "error"

    def at(self, span: Span | None) -> MaskcError:
        """Return this error placed at ``span`` if it has no place yet."""
        if self.span is not None:
            return self
        return type(self)(self.code, self.message, span, self.help, self.notes)

    def noting(self, note: str, span: Span | None = None) -> MaskcError:
        """Return this error with ``note`` added and, if given, its place moved to ``span``."""
        place = span if span is not None else self.span
        return type(self)(self.code, self.message, place, self.help, (*self.notes, note))


class MaskSyntaxError(MaskcError):
    """The text is not a program."""

    kind = "syntax"


class MaskTypeError(MaskcError):
    """An operand or a statement has a type that it cannot have."""

    kind = "type"


class MaskNameError(MaskcError):
    """A name or a constant is unknown, missing, declared twice, or reserved."""

    kind = "name"


class BindError(MaskcError):
    """A run-time tensor or size is missing, unknown, or does not fit the program."""

    kind = "bind"


class LoweringError(MaskcError):
    """The program is right, but this backend cannot run it; the help names one that can."""

    kind = "lowering"


class LoadError(MaskcError):
    """A file that cannot be read or written, or a key that holds no program."""

    kind = "load"


class MaskcWarning(Diagnostic, UserWarning):
    """A program or a call that is legal and almost surely wrong.

    Its attributes are those of ``Diagnostic``.
    """

    word = "warning"


class TraceError(MaskcError):
    """A callable does what no program says; the error shows its file and line."""

    kind = "trace"


class ModelError(MaskcError):
    """A model of another library does not hand its attention over, or a cache lacks keys."""

    kind = "model"


class TracingWarning(MaskcWarning):
    """A callable could not be traced, so torch evaluates it at every pair of tokens."""


class DenseScoresWarning(UserWarning):
    """FlexAttention keeps the scores of all pairs, where a compiled kernel would keep none."""


def warn(warning: MaskcWarning) -> None:
    """Issue a warning at the line outside of maskc that led to it; Python shows it there once."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "maskc"


def render(diagnostic: Diagnostic) -> str:
    """Return a diagnostic as text: code and sentence, the source line with carets, notes, help."""
    lines = [f"{diagnostic.word}[{diagnostic.code}]: {_cut(diagnostic.message)}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span)
    lines += [f"    = note: {_cut(note)}" for note in diagnostic.notes]
    if diagnostic.help is not None:
        lines.append(f"    = help: {_cut(diagnostic.help)}")
    return printable("\n".join(lines))


def did_you_mean(name: object, known: Iterable[str]) -> str | None:
    """Return "did you mean ...?" for the known name closest to ``name``, or None.

    That is one spelled alike, or one of several words of which ``name`` is one.
    """
    if not isinstance(name, str):
        return None
    names = list(islice(known, _MOST_NAMES))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    close = close or sorted((one for one in names if name in one.split("_")), key=len)
    return f"did you mean `{close[0]}`?" if close else None


def printable(text: str) -> str:
    """Return a text that can be encoded; a path may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_WIDEST_LINE = 120
_LONG_QUOTE = re.compile(r"`[^`]{121,}`")
_MOST_NAMES = 300
_MOST_SIGNS = 800


def _cut(sentence: str) -> str:
    """Truncate long backticked quotes, such as a huge number, and what is long all the same."""
    short = _LONG_QUOTE.sub(lambda quote: f"{quote[0][:81]}...`", sentence)
    return short if len(short) <= _MOST_SIGNS else f"{short[:_MOST_SIGNS]}..."


def _excerpt(span: Span) -> list[str]:
    line, column = span.source.position(span.start)
    text = span.source.line(line)
    width = max(1, min(span.source.width(span.start, span.end), len(text) - column + 1))
    shown, first = _shorten(text, column, width)
    width = min(width, max(1, len(shown) - first + 1))
    number = f"{line:>3}"
    before, marked = shown[: first - 1], shown[first - 1 : first - 1 + width]
    return [
        f" --> {span.source.file}:{line}:{column}",
        f"{number} | {shown}".rstrip(),
        f"{' ' * len(number)} | {' ' * _columns(before)}{'^' * max(1, _columns(marked))}",
    ]


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide letters take two, accents none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _shorten(text: str, column: int, width: int) -> tuple[str, int]:
    """Cut a very long line to the part around the column; tabs and control signs become blanks."""
    start = max(0, min(column - 1 - _WIDEST_LINE // 3, len(text) - _WIDEST_LINE))
    part = text[start : start + _WIDEST_LINE]
    return "".join(c if c.isprintable() else " " for c in part), column - start
