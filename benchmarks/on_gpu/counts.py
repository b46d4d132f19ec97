"""What can be counted on a GPU: kernels, waits, and the registers of attention kernels."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from by_hand.kernels import HEADS, LENGTH, forms
from torch.profiler import ProfilerActivity, profile

from maskc import compile_mask
from on_gpu.setting import BACKEND, DEVICE, ON_GPU, Row, Run

STATIC = Path(__file__).parents[1] / "results" / "kernels.json"
KERNEL = "flex_attention"


def launches(run: Run) -> Row:
    """Return how many kernels a run launches and how often it waits for the device."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if ON_GPU else [])]
    with profile(activities=activities) as seen:
        run()
        if ON_GPU:
            torch.cuda.synchronize()
    names = [event.name for event in seen.events()]
    waits = sum("Synchronize" in name for name in names) - ON_GPU
    return {"kernels": sum("LaunchKernel" in name for name in names), "waits": waits}


def registers() -> Iterator[Row]:
    """Yield registers and spills of the kernels of ``make kernels``, beside what that counted."""
    known = static_table()
    for form in forms():
        if form.mask_mod is not None or (not ON_GPU and form.group != "causal"):
            continue
        bound = compile_mask(form.text).bind(
            q_len=LENGTH,
            num_heads=HEADS,
            device=DEVICE,
            **{name: x.to(DEVICE) for name, x in form.inputs.items()},
        )
        q = torch.randn(1, HEADS, LENGTH, 64, device=DEVICE, dtype=torch.float16)
        torch.compiler.reset()
        before = {id(kernel) for kernel in kernels()}
        bound(q, q, q, backend=BACKEND)
        row = {"group": form.group, "form": form.name, **known.get((form.group, form.name), {})}
        new = [kernel for kernel in kernels() if id(kernel) not in before]
        yield {**row, **(used(new[-1]) if new else {})}


def static_table() -> dict[tuple[str, str], Row]:
    """Return registers and stack by form, as counted without a GPU, for this one or sm_90."""
    major = torch.cuda.get_device_capability()[0] if ON_GPU else 9
    rows = json.loads(STATIC.read_text(encoding="utf-8"))["kernels"]
    return {
        (row["group"], row["form"]): {"static regs": row["registers"], "static stack": row["stack"]}
        for row in rows
        if row["sm"] == 10 * major
    }


def kernels() -> list[Any]:
    """Return inductor's attention kernels in this process that were compiled."""
    from torch._inductor.runtime.triton_heuristics import CachingAutotuner

    found = [x for x in gc.get_objects() if isinstance(x, CachingAutotuner)]
    return [x for x in found if KERNEL in getattr(x.fn, "__name__", "") and x.launchers]


def used(kernel: Any) -> Row:
    """Return the registers and the spilled values of a kernel."""
    launcher = kernel.launchers[0]
    return {"regs": launcher.n_regs, "spills": launcher.n_spills}
