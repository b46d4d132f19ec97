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
        result: Any = import_module(module)
        result = reduce(getattr, name.split("."), result)
    except (ImportError, AttributeError) as error:
        raise TraceError("M812", f"`{ref}` cannot be loaded: {error}") from error
    checked: Callable[..., Any] = result
    return checked


def trace_reference(ref: str, sizes: dict[str, int]) -> Traced:
    """Trace a callable by its name: a ``score_mod`` if it takes five arguments.

    Raises:
        TraceError: it cannot be loaded or traced.

    """
    result = callable_of(ref)
    if callable(result) and takes_score(result):
        return trace(score_mod=result, sizes=sizes)
    return trace(result, sizes=sizes)
