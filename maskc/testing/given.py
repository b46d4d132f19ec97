"""What comparisons are given: programs."""

from __future__ import annotations

from typing import Any

from maskc.errors import MaskTypeError
from maskc.program import Program


def check_program(value: Any) -> None:
    """Refuse what is no program, and what does not stand in for one.

    Raises:
        MaskTypeError: it tells what was found.

    """
    if not isinstance(value, Program) and not hasattr(value, "bind_to"):
        message = f"expected a program, found {type(value).__name__}"
        raise MaskTypeError("M232", message, help="compile it: `maskc.compile_mask(text)`")
