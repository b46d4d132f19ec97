"""What kind of callable FlexAttention takes one for."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def takes_score(mod: Callable[..., Any]) -> bool:
    """Tell a ``score_mod`` from a ``mask_mod``: it takes five arguments, the score first.

    A module's own arguments are those of ``forward``, which its ``__call__`` passes on.
    """
    called = getattr(mod, "forward", mod)
    needed = [
        one
        for one in signature(called).parameters.values()
        if one.kind in POSITIONAL and one.default is Parameter.empty
    ]
    return len(needed) == 5
