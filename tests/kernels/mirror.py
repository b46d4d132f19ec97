"""Fake CUDA tensors tied to real ones on CPU, and the code that inductor emits, run on those."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._inductor.graph import GraphLowering
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn.attention.flex_attention import BlockMask

from maskc.lower.codegen.mods import Mod

TABLES = tuple(
    f"{full}{side}_{what}"
    for side in ("kv", "q")
    for full in ("", "full_")
    for what in ("num_blocks", "indices")
)
"""The tables of a block mask, in the order in which the kernels take them."""

ON_CPU = (
    ("from torch._C import _cuda_getCurrentRawStream as get_raw_stream", "", True),
    ("empty_strided_cuda = torch._C._dynamo.guards._empty_strided_cuda", "", True),
    ("empty_strided_cuda(", "empty_strided_cpu(", False),
    ("get_raw_stream(0)", "0", True),
    ("torch.cuda._DeviceGuard(0)", "__import__('contextlib').nullcontext()", True),
    ("torch.cuda.set_device(0)", "pass", True),
    ("device='cuda'", "device='cpu'", False),
)
"""What becomes of the emitted wrapper: old text, new text, and whether it must be there."""


class Mirror:
    """The real tensor behind every fake one, and the code that was emitted.

    Attributes: ``codes`` (the Python text of each compiled graph), ``runs`` (whether the code runs;
    else the outputs of a call are missing, and it raises ``NotRunError``).
    """

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.runs = True
        self._real: dict[int, Tensor] = {}
        self._alive: list[Tensor] = []

    def fake(self, tensor: Tensor) -> Tensor:
        """Return a fake CUDA tensor of the same shape and strides, tied to ``tensor``."""
        fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
        with unset_fake_temporarily():
            self._real[_storage(fake)] = tensor.detach()
        self._alive.append(fake)  # a freed storage's address would come back for another
        return fake

    def real(self, fake: Tensor) -> Tensor:
        """Return a copy of the values behind a fake tensor, which may be a view of one of ours.

        The storage is copied, and not the tensor, whose rows may overlap.
        """
        with unset_fake_temporarily():
            real = self._real[_storage(fake)]
            storage = real.untyped_storage().clone()
            start = real.storage_offset() + fake.storage_offset()
            return real.new_empty(0).set_(storage, start, fake.shape, fake.stride())

    def mod(self, mod: Mod | None) -> Mod | None:
        """Return a mask or a score of a binding over fakes of what it captured."""
        if mod is None:
            return None
        return type(mod)(mod.expr, tuple(map(self.fake, mod.tensors)), mod.sizes)

    def blocks(self, blocks: BlockMask | None) -> BlockMask | None:
        """Return a block mask over fakes of its tables."""
        if blocks is None:
            return None
        tables = {name: self.fake(getattr(blocks, name)) for name in TABLES}
        mod = self.mod(blocks.mask_mod)
        return BlockMask(blocks.seq_lengths, **tables, BLOCK_SIZE=blocks.BLOCK_SIZE, mask_mod=mod)

    def compiled(self, graph: GraphLowering) -> types.SimpleNamespace:
        """Return what stands for the module of a graph; see ``GraphLowering.compile_to_module``."""
        emitted, _ = graph.codegen()
        self.codes.append(emitted.value)
        run = _load(emitted.value) if self.runs else None

        def call(args: list[Any]) -> tuple[Any, ...]:
            if run is None:
                raise NotRunError
            given = [self.real(arg) if isinstance(arg, Tensor) else arg for arg in args]
            args.clear()
            with unset_fake_temporarily(), torch.no_grad():
                outputs = run(given)
            return tuple(self.fake(out) if isinstance(out, Tensor) else out for out in outputs)

        return types.SimpleNamespace(call=call)


class NotRunError(Exception):
    """The code is there, and nothing was to run."""


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _load(code: str) -> Callable[[list[Any]], tuple[Any, ...]]:
    """Return the function ``call`` of an emitted wrapper, on CPU.

    With ``TRITON_INTERPRET=1`` the kernels in it are numpy's work, on real tensors.
    """
    scope: dict[str, Any] = {"__name__": "emitted"}
    with unset_fake_temporarily():
        exec(compile(_on_cpu(code), "<emitted>", "exec"), scope)
    return scope["call"]


def _on_cpu(code: str) -> str:
    for old, new, needed in ON_CPU:
        if needed and old not in code:
            raise AssertionError(f"inductor's wrapper no longer has `{old}`")
        code = code.replace(old, new)
    return re.sub(r"'cuda:0'", "'cpu'", code)
