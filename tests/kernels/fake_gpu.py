"""A GPU that is not there: inductor compiles FlexAttention for it, beside a CPU build of torch.

Within ``fake_gpu()`` torch believes in one idle NVIDIA GPU and every tensor is fake. Whatever is
replaced has its reason beside it. All of it is private to torch, so ``versions`` says first
whether this is the torch that it was written for.
"""

from __future__ import annotations

import contextlib
import ctypes
import types
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch
import torch._dynamo._trace_wrapped_higher_order_op as wrapped
import torch._inductor.config as inductor_config
import torch._inductor.fx_passes.joint_graph as joint_graph
import torch._inductor.fx_passes.post_grad as post_grad
from interpreter import completed
from mirror import Mirror
from torch._dynamo import device_interface
from torch._inductor.graph import GraphLowering
from torch._inductor.runtime import triton_helpers
from torch._subclasses.fake_tensor import FakeTensorMode
from versions import UnsupportedTorchError, check_versions

SHARED_MEMORY = {80: 166912, 90: 232448}
"""Bytes of shared memory that one block of threads may have, by compute capability."""
PROCESSORS = 2
"""Multiprocessors. Few, since decoding splits the keys among them, and each part is a program."""

GUARDS = "_ZN3c104impl26device_guard_impl_registryE"
"""The table of device guards in libc10, by ``c10::DeviceType``."""
CUDA, META, DEVICE_TYPES = 1, 14, 22


@contextlib.contextmanager
def fake_gpu(capability: int = 90) -> Iterator[Mirror]:
    """Compile for a GPU of this compute capability; yield what ties fake tensors to real ones.

    Args:
        capability: 80 for an A100, 90 for an H100.

    """
    check_versions()
    _lend_device_guard()
    _drive(capability)
    mirror = Mirror()
    with contextlib.ExitStack() as stack:
        for patch in (*_queries(capability), *_inductor(mirror), *_tracing(), *completed()):
            stack.enter_context(patch)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        torch._dynamo.reset()
        yield mirror


def _lend_device_guard() -> None:
    """Lend CUDA the device guard of ``meta``, which does nothing; a CPU build has none."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    try:
        guards = (ctypes.c_void_p * DEVICE_TYPES).in_dll(library, GUARDS)
    except ValueError as error:
        raise UnsupportedTorchError(f"this torch has no table of device guards: {error}") from None
    guards[CUDA] = guards[CUDA] or guards[META]


def _drive(capability: int) -> None:
    """Give triton a driver that knows its target and launches nothing."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver

    target = GPUTarget("cuda", capability, 32)
    stub = types.SimpleNamespace(
        get_current_target=lambda: target,
        get_current_device=lambda: 0,
        get_active_torch_device=lambda: torch.device("cuda"),
        get_device_interface=lambda: torch.cuda,
    )
    driver.set_active(stub)


def _queries(capability: int) -> Iterator[contextlib.AbstractContextManager[object]]:
    """Answer what torch asks about its GPUs, by ``torch.cuda`` and by dynamo's view of it."""
    properties = types.SimpleNamespace(
        name="no GPU",
        major=capability // 10,
        minor=capability % 10,
        multi_processor_count=PROCESSORS,
        total_memory=80 << 30,
        gcnArchName="",
        regs_per_multiprocessor=65536,
        max_threads_per_multi_processor=2048,
        max_threads_per_block=1024,
        warp_size=32,
        shared_memory_per_block_optin=SHARED_MEMORY[capability],
        shared_memory_per_multiprocessor=SHARED_MEMORY[capability] + 1024,
        L2_cache_size=50 << 20,
    )
    rng_state = torch.zeros(16, dtype=torch.uint8)
    answers = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: (properties.major, properties.minor),
        "synchronize": lambda *args: None,
        "get_rng_state": lambda *args: rng_state,
        "set_rng_state": lambda *args: None,
        "is_bf16_supported": lambda *args, **keywords: True,
        "_exchange_device": lambda device: 0,
        "_maybe_exchange_device": lambda device: 0,
    }
    for name, answer in answers.items():
        yield mock.patch.object(torch.cuda, name, answer)
        if hasattr(device_interface.CudaInterface, name):
            yield mock.patch.object(device_interface.CudaInterface, name, staticmethod(answer))


def _inductor(mirror: Mirror) -> Iterator[contextlib.AbstractContextManager[object]]:
    """Let inductor emit its code, and run that on the real tensors instead of loading it."""
    yield mock.patch.object(
        GraphLowering, "compile_to_module", lambda graph: mirror.compiled(graph)
    )
    yield mock.patch.object(triton_helpers, "set_driver_to_gpu")
    # The pattern matcher traces its patterns on the device at its first use.
    for passes in (joint_graph, post_grad):
        yield mock.patch.object(passes, "lazy_init")
    yield inductor_config.patch(
        pattern_matcher=False,
        joint_graph_constant_folding=False,  # it evaluates on the device
        force_disable_caches=True,  # a cache would skip the emitting
        compile_threads=1,
    )


def _tracing() -> Iterator[contextlib.AbstractContextManager[object]]:
    """Let fake tensors of CUDA be made and traced where no CUDA is."""
    yield mock.patch.object(FakeTensorMode, "avoid_device_init", True)
    yield subscripts_filled()


def subscripts_filled() -> contextlib.AbstractContextManager[object]:
    """Let number subscripts be filled on the device, not copied there."""
    return mock.patch.object(wrapped.TransformGetItemToIndex, "__torch_function__", _subscript)


def _subscript(self, func, types, args=(), kwargs=None):
    """Rewrite ``tensor[indices]`` as torch does, but fill number subscripts on the device.

    Torch copies them there by ``torch.tensor``, and no copy can reach a device that is not there.
    """
    if func is not torch.Tensor.__getitem__:
        return func(*args, **(kwargs or {}))
    tensor, found = args
    indices = found if isinstance(found, tuple) else (found,)
    if not indices or not all(isinstance(index, int | torch.Tensor) for index in indices):
        return func(*args, **(kwargs or {}))
    filled = [
        index if isinstance(index, torch.Tensor) else torch.full((), index, device=tensor.device)
        for index in indices
    ]
    return wrapped.mod_index(tensor, filled)
