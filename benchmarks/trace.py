"""Measure ``maskc.create_block_mask`` against torch's: the whole call, with the trace.

    python benchmarks/trace.py [--quick] [--threads 1]   # four minutes, or one

Three questions: at 8192 tokens, a call whose program is known against warm
``torch.compile(create_block_mask)``; at 512 tokens, a callable met for the first time against eager
torch; block diffusion at 16384 tokens. Contenders take turns in one process, each five times in a
row (``turns.py``); times are medians of all calls, and what counts is their ratio. Behind it, in
brackets, is that of the calls that follow the other contender's. Writes
``benchmarks/results/trace.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from turns import IN_A_ROW, Run, Times, add_threads, in_turns, use_threads

import maskc

RESULTS = Path(__file__).parent / "results"
LENGTH, SHORT, LONG = 8192, 512, 16384
Mod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A callable to make a block mask of; ``build`` gives a new one, with ``n`` for a number."""

    group: str
    name: str
    build: Callable[[int, int], Mod]


@dataclass
class Result:
    """What both took, in milliseconds; None where torch fails, and why."""

    group: str
    name: str
    length: int
    ours: float
    ours_after_others: float
    torch: float | None = None
    ratio: float | None = None
    ratio_after_others: float | None = None
    failure: str | None = None


def ids(length: int, count: int, shuffled: bool = False) -> Tensor:
    """Return the ids of packed documents."""
    random = torch.Generator().manual_seed(0)
    found = torch.randint(0, count, (length,), generator=random)
    return found if shuffled else found.sort().values


def causal(length: int, n: int) -> Mod:
    """Return the causal mask, ``n`` tokens ahead."""
    return lambda b, h, q, k: q + n >= k


def window(length: int, n: int) -> Mod:
    """Return a causal window."""
    return lambda b, h, q, k: (q >= k) & (q - k <= 512 + n)


def prefix(length: int, n: int) -> Mod:
    """Return a prefix LM."""
    return lambda b, h, q, k: (k < 1000 + n) | (q >= k)


def chunked(length: int, n: int) -> Mod:
    """Return causal chunks."""
    return lambda b, h, q, k: (q >= k) & (q // (1024 + n) == k // (1024 + n))


def streaming(length: int, n: int) -> Mod:
    """Return sinks and a window."""
    return lambda b, h, q, k: (q >= k) & ((q - k < 1024 + n) | (k < 4))


def natten(length: int, n: int) -> Mod:
    """Return neighbourhoods of a grid with rows of 64 (arXiv:2204.07143)."""
    height, reach = length // 64, 6 + n

    def mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        row = (q // 64).clamp(reach, height - 1 - reach)
        column = (q % 64).clamp(reach, 63 - reach)
        return ((row - k // 64).abs() <= reach) & ((column - k % 64).abs() <= reach)

    return mod


def packed(length: int, n: int) -> Mod:
    """Return causal packed documents."""
    doc = ids(length, 12 + n)
    return lambda b, h, q, k: (q >= k) & (doc[q] == doc[k])


def packed_window(length: int, n: int) -> Mod:
    """Return packed documents in a window."""
    doc = ids(length, 40 + n)
    return lambda b, h, q, k: (q >= k) & (doc[q] == doc[k]) & (q - k < 1024)


def shuffled(length: int, n: int) -> Mod:
    """Return documents whose tokens stand in any order."""
    doc = ids(length, 40 + n, shuffled=True)
    return lambda b, h, q, k: (q >= k) & (doc[q] == doc[k])


def permuted(length: int, n: int) -> Mod:
    """Return the order of a permutation (arXiv:1906.08237)."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(n))
    return lambda b, h, q, k: order[q] > order[k]


def blocks(length: int, n: int) -> Mod:
    """Return a window, ends and random blocks (arXiv:2007.14062)."""
    count = length // 64
    random = torch.rand(count, count, generator=torch.Generator().manual_seed(n)) < 0.05

    def mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        near = (q // 64 - k // 64).abs() <= 1
        return near | (q < 64) | (k < 64) | random[q // 64, k // 64]

    return mod


def diffusion(length: int, n: int) -> Mod:
    """Return block diffusion, flags compared by ``==`` (arXiv:2503.09573, attention-gym)."""
    half, size = length // 2, 32 + n

    def mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        clean_q, clean_k = q >= half, k >= half
        block_q = torch.where(clean_q, (q - half) // size, q // size)
        block_k = torch.where(clean_k, (k - half) // size, k // size)
        diagonal = (block_q == block_k) & (clean_q == clean_k)
        offset = (block_q > block_k) & clean_k & ~clean_q
        return diagonal | offset | ((block_q >= block_k) & clean_k & clean_q)

    return mod


def bd3lm(length: int, n: int) -> Mod:
    """Return BD3-LM's training mask, flags compared with numbers too (arXiv:2503.09573)."""
    half, size = length // 2, 16 + n

    def mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        flag_q, flag_k = q >= half, k >= half
        block_q = torch.where(flag_q == 1, (q - half) // size, q // size)
        block_k = torch.where(flag_k == 1, (k - half) // size, k // size)
        diagonal = (block_q == block_k) & (flag_q == flag_k)
        offset = (block_q > block_k) & (flag_k == 1) & (flag_q == 0)
        return diagonal | offset | ((block_q >= block_k) & (flag_k == 1) & (flag_q == 1))

    return mod


CASES = [
    *(Case("structural", f.__name__, f) for f in (causal, window, prefix, chunked, streaming)),
    Case("structural", "natten", natten),
    *(Case("documents", f.__name__, f) for f in (packed, packed_window)),
    *(Case("hardest", f.__name__, f) for f in (shuffled, permuted, blocks)),
]


def ours(mod: Mod, length: int, fallback: str = "error") -> BlockMask:
    """Return our block mask."""
    return maskc.create_block_mask(mod, None, None, length, length, "cpu", fallback=fallback)


def warm(case: Case, length: int, runs: int) -> Result:
    """Compare calls whose program is known with torch's compiled function."""
    torch._dynamo.reset()
    mod, by_torch = case.build(length, 0), torch.compile(create_block_mask)

    def compiled() -> BlockMask:
        return by_torch(mod, None, None, length, length, "cpu")

    contenders: dict[str, Run] = {"ours": lambda: ours(mod, length), "torch": compiled}
    failure = None
    contenders["ours"]()
    try:
        compiled()
    except Exception as error:  # whatever the compiler raises is the result
        failure = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        del contenders["torch"]
    return result(case, length, in_turns(contenders, runs), failure)


def cold(case: Case, runs: int) -> Result:
    """Compare callables that are met for the first time with eager torch."""
    fresh = iter(range(1, 10_000))

    def first() -> BlockMask:
        return ours(case.build(SHORT, next(fresh)), SHORT, "warn")

    def eager() -> BlockMask:
        mod = case.build(SHORT, 0)
        return create_block_mask(mod, None, None, SHORT, SHORT, "cpu")

    return result(case, SHORT, in_turns({"ours": first, "torch": eager}, runs), None)


def result(case: Case, length: int, taken: dict[str, Times], failure: str | None) -> Result:
    """Return a row of the table."""
    ours, other = taken["ours"], taken.get("torch")
    row = Result(case.group, case.name, length, 1e3 * ours.median, 1e3 * ours.after_others)
    row.failure = failure
    if other is not None:
        row.torch, row.ratio = 1e3 * other.median, other.median / ours.median
        row.ratio_after_others = other.after_others / ours.after_others
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one mask of a kind, few runs")
    add_threads(parser)
    options = parser.parse_args()
    use_threads(options.threads)
    runs = 5 if options.quick else 15
    cases = CASES[1::5] if runs == 5 else CASES
    results: list[Result] = []
    for case in cases:
        results.append(warm(case, LENGTH, runs))
        show(results[-1])
    for name, build in (("block diffusion", diffusion), ("BD3-LM", bd3lm)):
        results.append(warm(Case("long", name, build), LONG, 3))
        show(results[-1])
    for case in cases:
        results.append(cold(Case("cold", case.name, case.build), runs))
        show(results[-1])
    machine = {"torch": torch.__version__, "cpu": platform.processor() or platform.machine()}
    machine |= {"cores": os.cpu_count(), "threads": options.threads, "calls in a row": IN_A_ROW}
    report = {**machine, "results": [asdict(row) for row in results]}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "trace.json").write_text(json.dumps(report, indent=1) + "\n")


def show(row: Result) -> None:
    """Print a row."""
    line = f"{row.group:<11}{row.name:<16}{row.length:>6} {row.ours:9.2f} ms"
    if row.torch is None:
        print(f"{line}  {row.failure}", flush=True)
        return
    behind = f"({row.ratio_after_others:.1f}x)"
    print(f"{line}{row.torch:11.2f} ms  {row.ratio:7.1f}x  {behind}", flush=True)


if __name__ == "__main__":
    main()
