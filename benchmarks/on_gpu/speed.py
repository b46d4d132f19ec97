"""Times by CUDA's events, the contenders in turn, and peak memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from on_gpu.counts import launches
from on_gpu.setting import (
    BACKEND,
    DEVICE,
    DOCUMENTS,
    LENGTHS,
    ON_GPU,
    ROUNDS,
    WINDOW,
    Row,
    Run,
    ids,
    program_over,
    qkv_of,
)

with suppress(ImportError):
    from torch.nn.attention.varlen import varlen_attn

WARM_UP = 3
"""Turns that compile and warm up."""


def by_hand(name: str, length: int) -> Any:
    """Return the ``mask_mod`` that one writes by hand."""
    doc = ids(length)
    mods = {
        "causal": lambda b, h, q, k: q >= k,
        "window": lambda b, h, q, k: (q >= k) & (q - k < WINDOW),
        "documents": lambda b, h, q, k: (q >= k) & (doc[q] == doc[k]),
    }
    return mods[name]


def times() -> Iterator[Row]:
    """Yield medians of forward and of both passes, the contenders in turn."""
    for length in LENGTHS:
        for width in (64, 128):
            for name in ("causal", "window", "documents"):
                tensors = qkv_of(length, width, torch.bfloat16)
                for who, run in interleaved(contenders(name, length, tensors)).items():
                    yield {"program": name, "length": length, "width": width, "who": who, **run}


def contenders(name: str, length: int, tensors: list[Tensor]) -> dict[str, Run]:
    """Return ours, the same by hand where that runs, causal SDPA, and a kernel for documents."""
    bound = program_over(name, length)
    runs: dict[str, Run] = {
        "ours": lambda: bound(*tensors, backend=BACKEND),
        "banded": lambda: bound(*tensors, backend="banded"),
        "sdpa causal": lambda: F.scaled_dot_product_attention(*tensors, is_causal=True),
    }
    if ON_GPU:
        mod = by_hand(name, length)
        by_torch = torch.compile(create_block_mask)(mod, None, None, length, length, DEVICE)
        flex = torch.compile(flex_attention)
        runs["by hand"] = lambda: flex(*tensors, block_mask=by_torch)
    if name == "documents" and "varlen_attn" in globals():
        runs["varlen flash"] = varlen(tensors, length)
    both = {
        f"{who}, both passes": lambda run=run: torch.autograd.grad(run().sum(), tensors)
        for who, run in runs.items()
    }
    return {who: run for who, run in (runs | both).items() if runs_here(run)}


def varlen(tensors: list[Tensor], length: int) -> Run:
    """Return packed documents as torch's kernel for sequences of several lengths."""
    starts = (ids(length).diff() != 0).nonzero().flatten() + 1
    ends = torch.tensor([0, length], device=DEVICE)
    bounds = torch.cat((ends[:1], starts, ends[1:])).int()
    longest = int(bounds.diff().max())
    assert len(bounds) == DOCUMENTS + 1

    def run() -> Tensor:
        rows = [x[0].transpose(0, 1).contiguous() for x in tensors]
        return varlen_attn(*rows, bounds, bounds, longest, longest, window_size=(-1, 0))

    return run


def runs_here(run: Run) -> bool:
    """Tell whether a contender runs at all: flash attention does on some GPUs only."""
    try:
        run()
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        print(f"left out: {str(error).splitlines()[0][:90]}", flush=True)
        return False
    return True


def interleaved(runs: dict[str, Run]) -> dict[str, Row]:
    """Return the median seconds of each run, and its ratio to the first; they take turns."""
    taken: dict[str, list[float]] = {who: [] for who in runs}
    for turn in range(ROUNDS + WARM_UP):
        for who, run in runs.items():
            spent = seconds(run)
            if turn >= WARM_UP:
                taken[who].append(spent)
    medians = {who: statistics.median(spent) for who, spent in taken.items()}
    first = next(iter(medians.values()))
    return {who: {"seconds": spent, "ratio": spent / first} for who, spent in medians.items()}


def seconds(run: Run) -> float:
    """Return how long a run takes, by CUDA's events where there is CUDA."""
    if not ON_GPU:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def block_masks() -> Iterator[Row]:
    """Yield the times of building block masks, and how many kernels and waits that takes."""
    for length in LENGTHS:
        for name in ("window", "documents"):
            runs: dict[str, Run] = {"ours": partial(built, name, length)}
            if ON_GPU:
                mod, by_torch = by_hand(name, length), torch.compile(create_block_mask)
                runs["torch"] = partial(by_torch, mod, None, None, length, length, DEVICE)
            for who, row in interleaved(runs).items():
                asked = {"program": name, "length": length, "who": who}
                yield {**asked, **row, **launches(runs[who])}


def built(name: str, length: int) -> Any:
    """Bind a program and build its block mask."""
    return program_over(name, length).block_mask


def memory() -> Iterator[Row]:
    """Yield the peak of one forward and backward, in MiB; 0 where no GPU counts it."""
    for length in LENGTHS:
        bound, tensors = program_over("window", length), qkv_of(length, dtype=torch.bfloat16)
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        torch.autograd.grad(bound(*tensors, backend=BACKEND).sum(), tensors)
        peak = torch.cuda.max_memory_allocated() if ON_GPU else 0
        yield {"length": length, "peak_mib": peak / 2**20}
