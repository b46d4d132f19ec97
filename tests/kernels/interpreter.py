"""What triton's interpreter lacks: NVIDIA's libdevice, and products of bfloat16 matrices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy
import torch

RENAMED: dict[str, Callable[..., Any]] = {
    "rsqrt": lambda x: 1 / numpy.sqrt(x),
    "pow": numpy.power,
    "nearbyint": numpy.rint,
    "erf": lambda x: torch.erf(torch.from_numpy(x)).numpy(),
}
"""Those that numpy has under another name or not at all; the others have numpy's names."""


def completed() -> Iterator[contextlib.AbstractContextManager[object]]:
    """Yield patches that complete the interpreter."""
    from torch._inductor.runtime import triton_helpers
    from triton.runtime.interpreter import InterpreterBuilder

    yield mock.patch.object(triton_helpers, "libdevice", Libdevice())
    yield mock.patch.object(InterpreterBuilder, "create_dot", _dot(InterpreterBuilder.create_dot))


def _dot(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a product that widens bfloat16 operands, whose bits the interpreter has as uint16."""

    def create_dot(self: Any, a: Any, b: Any, *args: Any) -> Any:
        return plain(self, _widened(a), _widened(b), *args)

    return create_dot


def _widened(block: Any) -> Any:
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    if block.dtype.scalar != tl.bfloat16:
        return block
    bits = block.data.astype(numpy.uint32) << 16
    return TensorHandle(bits.view(numpy.float32), tl.float32)


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
