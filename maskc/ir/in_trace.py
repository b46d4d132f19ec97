"""Whether this code is being traced: by ``torch.compile`` or ``torch.export``, in this thread.

``torch.compiler.is_compiling()`` is one flag for the process: while one thread compiles, it is true
in all. A thread that only calls a program must not take itself for traced.
"""

from __future__ import annotations

import torch


def in_trace() -> bool:
    """Tell whether what runs now becomes a graph, in which no tensor has values to look at.

    Dynamo takes the first question for true, and where it does not trace it is false.
    ``torch.export`` runs Python as it is, in one thread, and tells so in its context.
    """
    if torch.compiler.is_dynamo_compiling():
        return True
    return torch.compiler.is_exporting() and torch._guards.TracingContext.try_get() is not None
