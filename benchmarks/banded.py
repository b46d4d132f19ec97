"""Bands against a dense mask on CPU: forward, and forward and backward, in time and memory.

    python benchmarks/banded.py [--quick] [--threads 1 2] [--lengths 4096 8192] [--flex]

The whole takes about five minutes: each program at the lengths that ``LENGTHS`` gives it.

float32, 4 heads of 64, batch 1. The contenders take turns, one run each in a round; a ratio is the
median over rounds of sdpa's time over the contender's in the same round, so that what else the
machine does touches both. Memory is what the first run adds to a process of its own at its peak, on
one thread; that of ``auto`` is that of the backend it takes. ``least`` is what the results alone
take, the output and the gradients of q, k and v. Outputs and gradients are compared with sdpa's.
``--flex`` adds compiled FlexAttention forward, after its compilation. Writes
``benchmarks/results/banded.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context, set_forkserver_preload
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskc import Bound, compile_mask

RESULTS = Path(__file__).parent / "results" / "banded.json"
HEADS, WIDTH, DOCUMENTS = 4, 64, 16
PROGRAMS = {
    "packed documents": "causal & same_doc",
    "window of 512": "causal & window(512)",
    "softcap in packed documents": "causal & same_doc; score = softcap(score, 30)",
    "causal": "causal",
    "full": "full",
    "dense": "q * k % 7 > 0",
}
LENGTHS = {
    "packed documents": [4096, 8192],
    "window of 512": [4096, 8192],
    "softcap in packed documents": [2048, 4096],
    "causal": [4096],
    "full": [4096],
    "dense": [4096],
}


@dataclass
class Result:
    """What a contender took: milliseconds, times as fast as sdpa, and MiB beside sdpa's."""

    program: str
    length: int
    threads: int
    backward: bool
    backend: str
    milliseconds: float
    ratio: float
    memory: float
    sdpa_memory: float
    least: float


def bound_of(program: str, length: int) -> Bound:
    """Bind a program to a length."""
    text = PROGRAMS[program]
    given = {"doc": torch.arange(length) * DOCUMENTS // length} if "doc" in text else {}
    return compile_mask(text).bind(q_len=length, num_heads=HEADS, **given)


def runner(bound: Bound, backend: str, backward: bool) -> Callable[[], list[Tensor]]:
    """Return a run, which returns the output and the gradients."""
    random = torch.Generator().manual_seed(0)
    sizes = bound.spec.sizes.values()
    shape = (1, HEADS, max(sizes), WIDTH)
    qkv = [torch.randn(shape, generator=random, requires_grad=backward) for _ in range(3)]

    def run() -> list[Tensor]:
        out: Any = bound(*qkv, backend=backend)
        return [out, *torch.autograd.grad(out.sum(), qkv)] if backward else [out]

    return run


def measured(program: str, length: int, backward: bool, rounds: int, flex: bool) -> list[Result]:
    """Measure all contenders, round by round."""
    bound = bound_of(program, length)
    names = ["sdpa", "banded", "auto"] + ["flex"] * (flex and not backward)
    runs = {name: runner(bound, name, backward) for name in names}
    truth = runs["sdpa"]()
    for name in names[1:]:
        for found, expected in zip(runs[name](), truth, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    del truth
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            seconds[name].append(clock(runs[name]))
    chosen = bound.choice(*stand_ins(length, backward)).backend
    with get_context("forkserver").Pool(1, maxtasksperchild=1) as fresh:
        apart = dict.fromkeys(["sdpa", "banded", chosen, *names[3:]])
        memory = {name: fresh.apply(peak, (program, length, backward, name)) for name in apart}
    memory["auto"] = memory[chosen]
    least = (1 + 3 * backward) * 4 * HEADS * length * WIDTH / 2**20
    return [
        Result(
            program,
            length,
            torch.get_num_threads(),
            backward,
            name,
            1e3 * statistics.median(seconds[name]),
            statistics.median(a / b for a, b in zip(seconds["sdpa"], seconds[name], strict=True)),
            memory[name],
            memory["sdpa"],
            least,
        )
        for name in names[1:]
    ]


def stand_ins(length: int, backward: bool) -> list[Tensor]:
    """Return q, k and v by which ``auto`` chooses."""
    one = torch.zeros((), requires_grad=backward)
    return [one.expand(1, HEADS, length, WIDTH)] * 3


def clock(run: Callable[[], object]) -> float:
    """Return the seconds of a run."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def peak(program: str, length: int, backward: bool, backend: str) -> float:
    """Return the most MiB that a first run adds to what the process holds."""
    torch.set_num_threads(1)
    runner(bound_of(program, 64), backend, backward)()  # what is loaded once does not count
    run = runner(bound_of(program, length), backend, backward)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def resident(name: str) -> float:
    """Return a line of the process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024


def shown(result: Result) -> str:
    """Return a line of the table."""
    what = "forward, backward" if result.backward else "forward"
    return (
        f"{result.program:<28}{result.length:>6} x{result.threads} {what:<18}{result.backend:<7}"
        f"{result.milliseconds:>8.0f} ms{result.ratio:>7.2f}x"
        f"{result.memory:>7.0f} of {result.sdpa_memory:.0f} MiB, least {result.least:.0f}"
    )


def main() -> None:
    """Measure, print a line for each contender and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2k tokens, one thread, 3 rounds")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--lengths", type=int, nargs="+", help="instead of each program's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--flex", action="store_true", help="compiled FlexAttention too")
    asked = parser.parse_args()
    if asked.quick:
        asked.threads, asked.lengths, asked.rounds = [1], [2048], 3
    set_forkserver_preload(["torch", "maskc"])
    loads, results = [os.getloadavg()[0]], []
    for threads in asked.threads:
        torch.set_num_threads(threads)
        for program in asked.programs:
            for length in asked.lengths or LENGTHS[program]:
                for backward in (False, True):
                    found = measured(program, length, backward, asked.rounds, asked.flex)
                    results += found
                    print(*map(shown, found), sep="\n", flush=True)
    loads.append(os.getloadavg()[0])
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    load = f"load average {loads[0]:.1f} before, {loads[1]:.1f} after"
    print(f"{machine}; {load}")
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"machine": machine, "load": load, "results": [asdict(r) for r in results]}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
