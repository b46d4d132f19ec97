"""Measure plans of context parallelism: how even they are, how fast, and what a rank holds.

    python benchmarks/context_parallel.py [--tokens 65536] [--long 1048576] [--timed 16384]

- ``busiest over mean``: tiles of the busiest rank over the mean, by order. ``headtail`` is torch's
  default; ``ptrr`` is its order by row costs, which needs the whole block mask first.
- ``plan``: milliseconds of ``program.plan`` at the long length over 64 ranks, wall clock and time
  of the process, medians of runs in turns over the masks; the first run is left out.
- ``tables``: MiB of the compact tables and positions of the busiest of 8 ranks.
- ``measured``: the compiled forward pass of each of 4 ranks, one after the other, in turns over the
  orders: the busiest over the mean in seconds, beside what the tiles predict.

Writes ``benchmarks/results/context_parallel.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from maskc import Bound, compile_mask
from maskc.scale.memory import table_bytes
from maskc.scale.order import ORDERS
from maskc.scale.plan import Plan

RESULTS = Path(__file__).parent / "results"
RANKS = (16, 64)
BLOCK = 128


def lognormal(tokens: int) -> Tensor:
    """Return ids of documents with a long tail of lengths, the median about 660 tokens."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.empty(tokens // 64).log_normal_(6.5, 1.2, generator=generator).long() + 16
    return torch.repeat_interleave(torch.arange(len(lengths)), lengths)[:tokens]


def one_long(tokens: int) -> Tensor:
    """Return ids of one document of three quarters of the tokens, and of short ones."""
    long = tokens * 3 // 4
    return torch.cat([torch.zeros(long), torch.arange(tokens - long) // 512 + 1]).long()


Case = tuple[str, Callable[[int], Tensor] | None]
CASES: dict[str, Case] = {
    "lognormal documents": ("causal & same_doc", lognormal),
    "one long document": ("causal & same_doc", one_long),
    "causal": ("causal", None),
    "window 4096": ("causal & window(4096)", None),
    "documents, window 4096": ("causal & same_doc & window(4096)", lognormal),
}


def planned(case: Case, tokens: int, ranks: int, balance: str | Tensor = "lpt") -> Plan:
    """Return the plan of one case."""
    text, docs = case
    inputs = {} if docs is None else {"doc": docs(tokens)}
    return compile_mask(text).plan(tokens, ranks, balance=balance, **inputs)


def ptrr(cost: Tensor, ranks: int) -> Tensor:
    """Return torch's order by row costs: sorted, then dealt out to and fro."""
    rounds = cost.argsort(descending=True, stable=True).view(-1, ranks).clone()
    rounds[1::2] = rounds[1::2].flip(1)
    return rounds.T.sort(1).values.flatten()


def evenness(tokens: int) -> list[dict[str, object]]:
    """Return how much busier than the mean the busiest rank is, by mask, ranks and order."""
    rows = []
    for name, case in CASES.items():
        for ranks in RANKS:
            found = {order: planned(case, tokens, ranks, order) for order in ORDERS}
            dealt = ptrr(found["lpt"].row_cost, ranks)
            found["ptrr"] = planned(case, tokens, ranks, dealt)
            by_order = {order: one.imbalance for order, one in found.items()}
            rows.append({"mask": name, "ranks": ranks, **by_order})
    return rows


def speed(tokens: int, runs: int) -> list[dict[str, object]]:
    """Return how long a plan takes and what a rank of it holds, by mask."""
    wall: dict[str, list[float]] = {name: [] for name in CASES}
    process: dict[str, list[float]] = {name: [] for name in CASES}
    inputs = {n: {} if docs is None else {"doc": docs(tokens)} for n, (_, docs) in CASES.items()}
    for _ in range(runs + 1):
        for name, (text, _) in CASES.items():
            begun = time.perf_counter(), time.process_time()
            compile_mask(text).plan(tokens, 64, **inputs[name])
            wall[name].append(time.perf_counter() - begun[0])
            process[name].append(time.process_time() - begun[1])
    return [
        {
            "mask": name,
            "wall ms": 1e3 * median(wall[name][1:]),
            "process ms": 1e3 * median(process[name][1:]),
            "tables MiB": tables(text, tokens, inputs[name]),
        }
        for name, (text, _) in CASES.items()
    ]


def tables(text: str, tokens: int, inputs: dict[str, Tensor]) -> float:
    """Return the MiB of the tables of the busiest of 8 ranks."""
    program = compile_mask(text)
    plan = program.plan(tokens, 8, **inputs)
    busiest = int(plan.rank_cost.argmax())
    return table_bytes(program.shard(plan, busiest, compact=True, **inputs)) / 2**20


def measured(tokens: int, runs: int) -> list[dict[str, object]]:
    """Return predicted and measured imbalance of the compiled forward pass, by mask and order."""
    q, k, v = torch.randn(3, 1, 1, tokens, 64)
    rows = []
    for name in ("causal", "lognormal documents"):
        text, docs = CASES[name]
        inputs = {} if docs is None else {"doc": docs(tokens)}
        plans = {order: planned(CASES[name], tokens, 4, order) for order in ORDERS}
        calls = {
            (order, rank): forward_of(compile_mask(text).shard(plan, rank, **inputs), plan, q, k, v)
            for order, plan in plans.items()
            for rank in range(4)
        }
        seconds = in_turns(calls, runs)
        for order, plan in plans.items():
            of_ranks = [seconds[order, rank] for rank in range(4)]
            busiest = max(of_ranks) * 4 / sum(of_ranks)
            rows.append(
                {"mask": name, "order": order, "predicted": plan.imbalance, "measured": busiest}
            )
    return rows


def forward_of(bound: Bound, plan: Plan, q: Tensor, k: Tensor, v: Tensor) -> Callable[[], object]:
    """Return the call of one rank, whose kernel is compiled."""
    every = plan.positions.flatten().long()
    rows = every[: q.shape[2] // plan.ranks]
    own = q[:, :, rows], k[:, :, every], v[:, :, every]
    bound(*own, backend="flex")
    return lambda: bound(*own, backend="flex")


def in_turns(calls: Mapping[Any, Callable[[], object]], runs: int) -> dict[Any, float]:
    """Return the median seconds of each call; all calls take turns."""
    taken: dict[Any, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - begun)
    return {name: median(one) for name, one in taken.items()}


def show(rows: list[dict[str, object]]) -> None:
    """Print rows as a table."""
    print("  ".join(f"{name:>22}" for name in rows[0]))
    for row in rows:
        print(
            "  ".join(f"{x:>22.3f}" if isinstance(x, float) else f"{x:>22}" for x in row.values())
        )
    print()


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=65536)
    parser.add_argument("--long", type=int, default=2**20)
    parser.add_argument("--timed", type=int, default=16384)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    even = evenness(options.tokens)
    print(f"busiest over mean, {options.tokens} tokens")
    show(even)
    fast = speed(options.long, options.runs)
    print(f"plan over 64 ranks and tables of one of 8, {options.long} tokens")
    show(fast)
    timed = measured(options.timed, options.runs)
    print(f"busiest of 4 ranks over mean, compiled forward, {options.timed} tokens")
    show(timed)
    machine = {"torch": torch.__version__, "cpu": platform.processor(), "cores": os.cpu_count()}
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {load:.1f}")
    RESULTS.mkdir(exist_ok=True)
    found = {**machine, "load": load, "evenness": even, "speed": fast, "measured": timed}
    (RESULTS / "context_parallel.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
