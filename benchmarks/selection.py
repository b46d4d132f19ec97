"""Memory of a selection, against a dense mask of the selected keys.

    python benchmarks/selection.py [--quick] [--device cuda]

For each `where` of ``topk(bias[kv_head, k], n, where = ...)``: binding the program (maskc), and a
boolean ``[B, H, Q, K]`` of the selected keys by ``torch.topk`` (dense). Memory is the peak of what
was allocated during the call, with the inputs counted; it is read from torch's allocator, so
buffers inside of kernels count too. Seconds are of one warm call. The contenders' selections are
compared. Writes ``benchmarks/results/selection.json``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import maskc

RESULTS = Path(__file__).parent / "results"
MIB = 2**20
WHERES = {
    "none": ("true", 0.875),
    "valid keys": ("valid_keys", None),
    "causal": ("causal", 16.0),
    "causal & valid keys": ("causal & valid_keys", None),
    "window": ("causal & window(1500)", None),
    "dilated, not a run of keys": ("causal & (q - k) % 2 == 0", None),
}
"""What is allowed, and the most MiB that maskc may take for it at full size."""


@dataclass
class Result:
    """What one contender took."""

    where: str
    contender: str
    peak_mib: float
    kept_mib: float
    seconds: float
    target_mib: float | None = None


@dataclass(frozen=True)
class Sizes:
    """Batches, heads, tokens and selected keys."""

    batch: int
    heads: int
    tokens: int
    count: int


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="512 tokens and 4 heads")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    sizes = Sizes(2, 4, 512, 256) if options.quick else Sizes(2, 32, 2048, 1024)
    print(f"{sizes}, bfloat16, on {options.device}; peak with inputs counted")
    print(f"{'where':28}{'maskc':>12}{'kept':>12}{'':11}{'dense':>14}{'':11}{'target':>12}")
    results: list[Result] = []
    for name, (where, target) in WHERES.items():
        pair = measure(name, where, sizes, options.device, None if options.quick else target)
        show(*pair)
        results += pair
    about = {
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
        "device": options.device,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "dtype": "bfloat16",
        **asdict(sizes),
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"about": about, "results": [asdict(r) for r in results]}, indent=1)
    stem = "selection_quick" if options.quick else "selection"
    (RESULTS / f"{stem}.json").write_text(text + "\n")
    missed = [r.where for r in results if r.target_mib and r.peak_mib > r.target_mib]
    assert not missed, f"over the target: {missed}"


def measure(
    name: str, where: str, sizes: Sizes, device: str, target: float | None
) -> tuple[Result, Result]:
    """Measure both contenders for one mask."""
    torch.manual_seed(0)
    shape = (sizes.batch, sizes.heads, sizes.tokens)
    given = {"bias": torch.randn(shape, device=device).bfloat16()}
    if "valid" in where:
        given["valid"] = torch.rand(sizes.batch, sizes.tokens, device=device) < 0.9
    inputs = sum(tensor.nbytes for tensor in given.values())
    text = f"input bias: float\ntopk(bias[kv_head, k], {sizes.count}, where = {where})"
    program, allowed = maskc.compile_mask(text), maskc.compile_mask(where)
    call = {
        "q_len": sizes.tokens,
        "batch_size": sizes.batch,
        "num_heads": sizes.heads,
        "device": device,
    }

    def ours() -> object:
        return program.bind(**call, **given)

    inside = None
    if where != "true":
        masks = {key: value for key, value in given.items() if key != "bias"}
        inside = allowed.bind(**call, **masks).attn_mask()

    def dense() -> object:
        return selected(given["bias"], inside, sizes.count)

    ours()
    found = [
        Result(name, contender, (peak + inputs) / MIB, (kept + inputs) / MIB, seconds)
        for contender, (peak, kept, seconds) in (
            ("maskc", measured(ours, device)),
            ("dense", measured(dense, device)),
        )
    ]
    found[0].target_mib = target
    same(program.bind(**call, **given).dense_mask(), dense(), inside)
    return found[0], found[1]


def selected(bias: Tensor, inside: Tensor | None, count: int) -> Tensor:
    """Return the selected keys as one would by hand; ties are torch's choice."""
    values = bias[:, :, None]
    if inside is not None:
        values = torch.where(inside, values, -torch.inf)
    keep = torch.zeros(values.shape, dtype=torch.bool, device=bias.device)
    keep.scatter_(-1, values.topk(count, dim=-1).indices, value=True)
    return keep if inside is None else keep.logical_and_(inside)


def same(ours: Tensor, dense: object, inside: Tensor | None) -> None:
    """Assert that both select as many keys in every row; among ties they may differ."""
    assert isinstance(dense, Tensor)
    for batch in range(len(dense)):
        counts = ours[batch].sum(-1), dense[batch].sum(-1)
        assert torch.equal(counts[0], counts[1].expand_as(counts[0]))
    assert inside is None or not bool((ours[0, 0] & ~inside[0, 0]).any())


def measured(run: Callable[[], object], device: str) -> tuple[int, int, float]:
    """Return the peak and what is left of the bytes that a call allocates, and its seconds."""
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = run()
        peak = torch.cuda.max_memory_allocated() - before
        left = torch.cuda.memory_allocated() - before
        del kept
        return peak, left, seconds
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = run()
    now = peak = 0
    events = profiler.profiler.kineto_results.events()
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak, now, seconds


def show(ours: Result, dense: Result) -> None:
    """Print one line."""
    target = "" if ours.target_mib is None else f"{ours.target_mib:g} MiB"
    print(
        f"{ours.where:28}{ours.peak_mib:8.3f} MiB{ours.kept_mib:8.3f} MiB{ours.seconds:9.3f} s"
        f"{dense.peak_mib:11.1f} MiB{dense.seconds:9.3f} s{target:>13}",
        flush=True,
    )


if __name__ == "__main__":
    main()
