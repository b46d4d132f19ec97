"""What to run on the day that a GPU is at hand: correctness first, then times.

    python benchmarks/gpu.py [--only smoke times ...]

The sections, in order: ``smoke`` (six programs, forward and backward, in bfloat16 and float32
against float64; a failure stops here), ``gallery``, ``tables`` (gradients of captured tensors),
``lengths`` (compilations over three lengths), ``blocks`` (block sizes), ``decode``, ``times`` (CUDA
events, interleaved, medians; against hand-written mods and SDPA), ``block_masks`` (built by us and
by torch's compiled ``create_block_mask``) and ``memory``. Each section is written to
``benchmarks/results/gpu.json`` as soon as it ends, and its failures are rows of it.

Without a GPU everything runs at small sizes through SDPA on CPU, so that no line of this file runs
for the first time on that day; then nothing is written, and the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from maskc import Bound, MaskcError, compile_mask

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gpu.json"
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
BACKEND = "flex" if ON_GPU else "sdpa"
LENGTHS = (8192, 32768) if ON_GPU else (256, 512)
SMALL = 1024 if ON_GPU else 256
HEADS, ROUNDS = (8, 50) if ON_GPU else (2, 3)
WINDOW = 512 if ON_GPU else 64
TOLERANCE = {torch.float32: 2e-2, torch.bfloat16: 6e-2}
"""Of a GPU's products, which torch may run in tf32, for outputs and gradients near 1."""

Row = dict[str, Any]
Run = Callable[[], Any]

SMOKE = {
    "causal": "causal",
    "window": f"causal & window({WINDOW})",
    "documents": "causal & same_doc",
    "softcap": "causal; score = softcap(score, 30)",
    "alibi": "causal; score = score + alibi",
    "prefix": f"causal | k < {WINDOW}",
}


def inputs_of(name: str, length: int) -> dict[str, Tensor]:
    """Return the tensors that a program of ``SMOKE`` reads."""
    if name == "documents":
        return {"doc": (torch.arange(length, device=DEVICE) * 7 // length).int()}
    if name == "alibi":
        return {"slopes": 2.0 ** -torch.arange(1, HEADS + 1, device=DEVICE)}
    return {}


def qkv_of(length: int, width: int = 64, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return random q, k and v that require a gradient."""
    shape = (1, HEADS, length, width)
    return [torch.randn(shape, device=DEVICE, dtype=dtype, requires_grad=True) for _ in range(3)]


def bound_to(text: str, length: int, **keywords: Any) -> Bound:
    """Return a program bound on the device."""
    sizes = {"q_len": length, "num_heads": HEADS, "device": DEVICE}
    return compile_mask(text).bind(**{**sizes, **keywords})


def error_of(bound: Bound, tensors: list[Tensor], trained: list[Tensor] = ()) -> float:
    """Return the largest error of the output and of all gradients, against float64."""
    leaves = [*tensors, *trained]
    out = bound(*tensors, backend=BACKEND)
    slope = torch.randn_like(out)
    found = torch.autograd.grad(out, leaves, slope)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    true = bound(*exact, backend="reference")
    expected = torch.autograd.grad(true, [*exact, *trained], slope.double())
    pairs = zip((out, *found), (true, *expected), strict=True)
    return max(float((a.double() - b.double()).abs().max() / b.abs().max()) for a, b in pairs)


def smoke() -> Iterator[Row]:
    """Yield the errors of six programs; stop at one that is too large."""
    for name, text in SMOKE.items():
        for dtype, most in TOLERANCE.items():
            bound = bound_to(text, SMALL, **inputs_of(name, SMALL))
            error = error_of(bound, qkv_of(SMALL, dtype=dtype))
            yield {"program": name, "dtype": str(dtype), "error": error}
            if not error < most:
                raise SystemExit(f"{name} in {dtype} is wrong by {error:.2g}: nothing else runs")


def gallery() -> Iterator[Row]:
    """Yield the error of every piece of the gallery, forward."""
    sys.path.append(str(HERE.parent / "examples"))
    from pieces import SECTIONS

    for piece in (piece for section in SECTIONS.values() for piece in section):
        sizes = {"q_len": piece.q_len, "kv_len": piece.kv_len, "num_heads": piece.num_heads}
        program = compile_mask(piece.text, **piece.constants)
        bound = program.bind(**sizes, block_size=32, **piece.bind, **piece.inputs).to(DEVICE)
        q = torch.randn(1, piece.num_heads, piece.q_len, 64, device=DEVICE)
        k = torch.randn(1, piece.num_heads, piece.kv_len or piece.q_len, 64, device=DEVICE)
        out = bound(q, k, k, backend=BACKEND)
        true = bound(q, k, k, backend="reference")
        yield {"piece": piece.title, "error": float((out - true).abs().max())}


def tables() -> Iterator[Row]:
    """Yield the errors of the gradients of trained tables."""
    forms = {
        "by distance": ("t[head, clamp(q - k, 0, 63)]", (HEADS, 64)),
        "by head": ("t[head] * (k - q) * 0.01", (HEADS,)),
        "by key": ("t[k]", (SMALL,)),
    }
    for name, (term, shape) in forms.items():
        table = torch.randn(shape, device=DEVICE, requires_grad=True)
        bound = bound_to(f"input t: float; causal; score = score + {term}", SMALL, t=table)
        yield {"table": name, "error": error_of(bound, qkv_of(SMALL), [table])}


def lengths() -> Iterator[Row]:
    """Yield the seconds of the first and the second call at three lengths."""
    torch.compiler.reset()
    for length in (SMALL, SMALL + 128, SMALL + 256):
        bound, tensors = bound_to(SMOKE["window"], length), qkv_of(length)
        first, second = (seconds(lambda: bound(*tensors, backend=BACKEND)) for _ in range(2))  # noqa: B023
        yield {"length": length, "first": first, "second": second}


def blocks() -> Iterator[Row]:
    """Yield errors by block size, or the refusal."""
    for block in (32, 64, 128, 256, (64, 128)):
        for dtype in TOLERANCE:
            row: Row = {"block": str(block), "dtype": str(dtype)}
            bound = bound_to(SMOKE["window"], SMALL, block_size=block)
            try:
                yield {**row, "error": error_of(bound, qkv_of(SMALL, dtype=dtype))}
            except MaskcError as error:
                yield {**row, "refused": error.message}


def decode() -> Iterator[Row]:
    """Yield the errors of short calls against a longer cache."""
    for q_len, kv_heads in ((1, HEADS), (1, 1), (20, 1), (100, 1)):
        bound = compile_mask(SMOKE["window"]).bind(
            q_len=q_len,
            kv_len=SMALL,
            q_offset=SMALL - q_len,
            num_heads=HEADS,
            num_kv_heads=kv_heads,
            device=DEVICE,
        )
        q = torch.randn(1, HEADS, q_len, 64, device=DEVICE)
        k, v = torch.randn(2, 1, kv_heads, SMALL, 64, device=DEVICE)
        out, true = (bound(q, k, v, backend=name) for name in (BACKEND, "reference"))
        row = {"queries": q_len, "kv_heads": kv_heads}
        yield {**row, "error": float((out - true).abs().max())}


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return whether a key is not after its query."""
    return q >= k


def local(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return whether a key is in the causal window."""
    return (q >= k) & (q - k < WINDOW)


BY_HAND = {"causal": causal, "window": local}


def times() -> Iterator[Row]:
    """Yield medians of forward and of both passes, the contenders in turn."""
    for length in LENGTHS:
        for width in (64, 128):
            for name, mod in BY_HAND.items():
                tensors = qkv_of(length, width, torch.bfloat16)
                for who, run in contenders(name, mod, length, tensors).items():
                    yield {"program": name, "length": length, "width": width, "who": who, **run}


def contenders(name: str, mod: Any, length: int, tensors: list[Tensor]) -> dict[str, Row]:
    """Return the times of ours, of the same by hand where that runs, and of causal SDPA."""
    bound = bound_to(SMOKE[name], length)
    runs: dict[str, Run] = {
        "ours": lambda: bound(*tensors, backend=BACKEND),
        "sdpa causal": lambda: F.scaled_dot_product_attention(*tensors, is_causal=True),
    }
    if ON_GPU:
        by_torch = torch.compile(create_block_mask)(mod, None, None, length, length, DEVICE)
        flex = torch.compile(flex_attention)
        runs["by hand"] = lambda: flex(*tensors, block_mask=by_torch)
    both = {
        f"{who}, both passes": lambda run=run: torch.autograd.grad(run().sum(), tensors)
        for who, run in runs.items()
    }
    return interleaved(runs | both)


def interleaved(runs: dict[str, Run]) -> dict[str, Row]:
    """Return the median seconds of each run, and its ratio to the first; they take turns."""
    taken: dict[str, list[float]] = {who: [] for who in runs}
    for turn in range(ROUNDS + 3):
        for who, run in runs.items():
            spent = seconds(run)
            if turn >= 3:  # the first ones compile and warm up
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
    """Yield the times of building block masks, and how many kernels and waits ours takes."""
    for length in LENGTHS:
        runs: dict[str, Run] = {"ours": lambda n=length: bound_to(SMOKE["window"], n).block_mask}
        if ON_GPU:
            runs["torch"] = partial(
                torch.compile(create_block_mask), local, None, None, length, length, DEVICE
            )
        for who, row in interleaved(runs).items():
            yield {"length": length, "who": who, **row, **launches(runs[who])}


def launches(run: Run) -> Row:
    """Return how many kernels a run launches and how often it waits for the device."""
    if not ON_GPU:
        return {"kernels": 0, "waits": 0}
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize()
    names = [event.name for event in seen.events()]
    waits = sum("Synchronize" in name for name in names) - 1
    return {"kernels": sum("LaunchKernel" in name for name in names), "waits": waits}


def memory() -> Iterator[Row]:
    """Yield the peak of one forward and backward, in MiB; 0 where no GPU counts it."""
    for length in LENGTHS:
        bound, tensors = bound_to(SMOKE["window"], length), qkv_of(length, dtype=torch.bfloat16)
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        torch.autograd.grad(bound(*tensors, backend=BACKEND).sum(), tensors)
        peak = torch.cuda.max_memory_allocated() if ON_GPU else 0
        yield {"length": length, "peak_mib": peak / 2**20}


SECTIONS = (smoke, gallery, tables, lengths, blocks, decode, times, block_masks, memory)


def main() -> None:
    """Run the sections; print each row, and write after each section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=[s.__name__ for s in SECTIONS], default=[])
    only = parser.parse_args().only
    torch.manual_seed(0)
    device = torch.cuda.get_device_name() if ON_GPU else "cpu, small sizes"
    report: dict[str, Any] = {"device": device, "torch": torch.__version__}
    for section in (s for s in SECTIONS if not only or s.__name__ in only):
        print(f"== {section.__name__}", flush=True)
        report[section.__name__] = list(printed(section()))
        if ON_GPU:
            RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def printed(rows: Iterator[Row]) -> Iterator[Row]:
    """Pass rows on, printed; a failure ends its section and becomes its last row."""
    try:
        for row in rows:
            shown = (f"{x:.3g}" if isinstance(x, float) else str(x) for x in row.values())
            print("  ".join(shown), flush=True)
            yield row
    except Exception as error:  # one section's failure must not hide the others
        print(f"failed: {error}", flush=True)
        yield {"failed": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
