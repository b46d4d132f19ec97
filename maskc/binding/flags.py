"""Arguments that are True or False."""

from __future__ import annotations

from typing import Any

from maskc.errors import BindError


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False; a tensor has no truth in a graph.

    Raises:
        BindError: it names the argument.

    """
    if not isinstance(value, bool):
        message = f"`{name}` is True or False, found {type(value).__name__}"
        raise BindError("M446", message, help="pass one of the two")
