"""The functions of NVIDIA's libdevice by numpy, for triton's interpreter, which has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import torch

RENAMED: dict[str, Callable[..., Any]] = {
    "rsqrt": lambda x: 1 / numpy.sqrt(x),
    "pow": numpy.power,
    "nearbyint": numpy.rint,
    "erf": lambda x: torch.erf(torch.from_numpy(x)).numpy(),
}
"""Those that numpy has under another name or not at all; the others have numpy's names."""


class Libdevice:
    """Stands for ``torch._inductor.runtime.triton_helpers.libdevice``."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = RENAMED.get(name) or getattr(numpy, name)
        return lambda *args: _wrapped(function, args)


def _wrapped(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Apply a function of arrays to the interpreter's blocks; the result has the first's dtype."""
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    like = args[0]
    arrays = [arg.handle.data if isinstance(arg, tl.tensor) else arg for arg in args]
    result = function(*arrays).astype(like.handle.data.dtype)
    return tl.core.tensor(TensorHandle(result, like.handle.dtype), like.type)
