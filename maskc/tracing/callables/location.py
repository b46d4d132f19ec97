"""Where in the callable an operation stands, which a refusal shows."""

from __future__ import annotations

import linecache
import os
import sys
from pathlib import Path
from types import FrameType

import torch

from maskc.source import Source, Span

_OURS = str(Path(__file__).parents[1]) + os.sep
_TORCH = str(Path(torch.__file__).parent) + os.sep


def user_frame() -> FrameType | None:
    """Return the innermost frame that is neither ours nor torch's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_user_code(frame):
        frame = frame.f_back
    return frame


def is_user_code(frame: FrameType) -> bool:
    """Tell whether a frame runs code that is neither ours nor torch's."""
    return not frame.f_code.co_filename.startswith((_OURS, _TORCH, "<frozen"))


def span_of(frame: FrameType | None, instruction: int | None = None) -> Span | None:
    """Return the expression that a frame is at, or None where its source cannot be read.

    Args:
        frame: the frame.
        instruction: of the frame, the one it is at if None.

    """
    if frame is None:
        return None
    file = frame.f_code.co_filename
    lines = linecache.getlines(file)
    at = frame.f_lasti if instruction is None else instruction
    place = list(frame.f_code.co_positions())[at // 2]
    first, last, start, end = place
    if not lines or first is None or first > len(lines):
        return None
    source = Source("".join(lines), _shown(file))
    before = sum(map(len, lines[: first - 1]))
    line = lines[first - 1]
    if start is None or end is None:
        return Span(source, before, before + len(line.rstrip()))
    stop = _column(line, end) if last == first else len(line.rstrip())
    return Span(source, before + _column(line, start), before + stop)


def raised_at(error: BaseException) -> Span | None:
    """Return the expression of the user's code in which an error was raised."""
    result = None
    step = error.__traceback__
    while step is not None:
        if is_user_code(step.tb_frame):
            result = span_of(step.tb_frame, step.tb_lasti)
        step = step.tb_next
    return result


def function_span(code: object) -> Span | None:
    """Return the line on which a function begins."""
    file, first = getattr(code, "co_filename", ""), getattr(code, "co_firstlineno", 0)
    lines = linecache.getlines(file)
    if not 0 < first <= len(lines):
        return None
    before, line = sum(map(len, lines[: first - 1])), lines[first - 1]
    indent = len(line) - len(line.lstrip())
    return Span(Source("".join(lines), _shown(file)), before + indent, before + len(line.rstrip()))


def _column(line: str, offset: int) -> int:
    """Return the character at a byte of a line's UTF-8, which is how Python counts."""
    return len(line.encode()[:offset].decode(errors="ignore"))


def _shown(file: str) -> str:
    """Return a file's path from here, where it lies below."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
