"""``package.module:function``: a callable by its name, for the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from typing import Any

from maskc.arity import takes_score
from maskc.errors import TraceError
from maskc.tracing.traced import Traced, trace


def callable_of(ref: str) -> Callable[..., Any]:
    """Return the callable that ``package.module:name`` or ``package.module:Class.name`` is.

    Modules are looked up from the working directory, as ``python -m`` does.

    Raises:
        TraceError: there is no such module, or no such name in it.

    """
    module, colon, name = ref.partition(":")
    if not colon or not module or not name:
        message = f"`{ref}` is no reference to a callable"
        raise TraceError("M812", message, help="expected `package.module:function`")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = import_module(module)
        found = reduce(getattr, name.split("."), found)
    except (ImportError, AttributeError) as error:
        raise TraceError("M812", f"`{ref}` cannot be loaded: {error}") from error
    checked: Callable[..., Any] = found
    return checked


def trace_reference(ref: str, sizes: dict[str, int]) -> Traced:
    """Trace a callable by its name: a ``score_mod`` if it takes five arguments.

    Raises:
        TraceError: it cannot be loaded or traced.

    """
    found = callable_of(ref)
    if callable(found) and takes_score(found):
        return trace(score_mod=found, sizes=sizes)
    return trace(found, sizes=sizes)
