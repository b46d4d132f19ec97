"""Measure a decode loop, a specialised mask and the start of a process.

    python benchmarks/decode.py [--quick] [--threads 1]

- A step of a decode loop with a growing cache, ``bound.at`` and the call, against plain SDPA with
  the arguments that an expert would write for that step: what maskc costs more, in milliseconds.
  Less than 0 is what it gains: it attends to a slice of the keys where the query sees just that,
  and lets the query heads of a key head share one look at it.
- ``causal & window(4096)`` at 2048 tokens on sdpa, against ``is_causal=True`` by hand: a ratio.
- Whole processes: ``maskc check`` of a file in seconds, ``maskc show`` in seconds of CPU.

What is compared runs in turn, and in the other order the next time, so that neither finds the cache
warm more often. Medians. Writes ``benchmarks/results/decode.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskc import compile_mask

RESULTS = Path(__file__).parent / "results"
HEADS, KV_HEADS, WIDTH = 8, 2, 64
FIRST, LAST = 1000, 4000
STEP_TARGET = 0.15
RATIO_TARGET = 1.03
CHECK_TARGET, SHOW_TARGET = 0.35, 1.0
WINDOW = 512

Mask = Callable[[int], Tensor | None]
"""What an expert passes as ``attn_mask`` at the step with so many keys."""


@dataclass
class Result:
    """A median, what it is held against, and the most that it may be."""

    what: str
    value: float
    unit: str
    target: float
    against: float | None = None


def nothing(keys: int) -> None:
    """Pass no mask: the query sees every key."""


def window(keys: int) -> Tensor:
    """Mask the keys that are too far back."""
    return torch.arange(keys)[None] > keys - 1 - WINDOW


DOC = torch.arange(LAST + 1) // 700

STEPS: list[tuple[str, dict[str, Tensor], Mask]] = [
    ("causal", {}, nothing),
    ("causal & window(4096)", {}, nothing),
    (f"causal & window({WINDOW})", {}, window),
    ("causal & same_doc", {"doc": torch.zeros_like(DOC)}, nothing),
    ("causal & same_doc", {"doc": DOC}, lambda keys: (DOC[:keys] == DOC[keys - 1])[None]),
]


def timed(run: Callable[[], Any]) -> float:
    """Return the seconds that a function takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def in_turn(first: Callable[[], Any], second: Callable[[], Any], flip: bool) -> tuple[float, float]:
    """Return the seconds of two functions, run in this order or in the other."""
    if flip:
        late = timed(second)
        return timed(first), late
    return timed(first), timed(second)


def decode(text: str, inputs: dict[str, Tensor], mask: Mask, stride: int) -> Result:
    """Measure the steps of one mask."""
    q = torch.randn(1, HEADS, 1, WIDTH)
    cache = torch.randn(2, 1, KV_HEADS, LAST, WIDTH)
    sizes = {"num_heads": HEADS, "num_kv_heads": KV_HEADS}
    step = compile_mask(text).bind(q_len=1, kv_len=1, **sizes, **inputs)
    ours, plain = [], []
    for number, keys in enumerate(range(FIRST, LAST, stride)):
        k, v = cache[:, :, :, :keys]

        def with_maskc(keys: int = keys, k: Tensor = k, v: Tensor = v) -> Tensor:
            nonlocal step
            step = step.at(kv_len=keys, q_offset=keys - 1)
            return step(q, k, v)

        def by_hand(keys: int = keys, k: Tensor = k, v: Tensor = v) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, mask(keys), enable_gqa=True)

        a, b = in_turn(with_maskc, by_hand, flip=number % 2 == 0)
        ours.append(a)
        plain.append(b)
        torch.testing.assert_close(with_maskc(), by_hand())
    more = statistics.median(a - b for a, b in zip(ours, plain, strict=True))
    documents = f", {int(inputs['doc'].max()) + 1} documents" if inputs else ""
    against = 1e3 * statistics.median(plain)
    return Result(f"decode: {text}{documents}", 1e3 * more, "ms more", STEP_TARGET, against)


def specialised(rounds: int) -> Result:
    """Measure a window that is wider than the sequence."""
    q, k, v = torch.randn(3, 1, HEADS, 2048, WIDTH)
    bound = compile_mask("causal & window(4096)").bind(q_len=2048, num_heads=HEADS)
    ratios, plain = [], []

    def with_maskc() -> Any:
        return bound(q, k, v, backend="sdpa")

    def by_hand() -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    torch.testing.assert_close(with_maskc(), by_hand())
    for number in range(rounds):
        a, b = in_turn(with_maskc, by_hand, flip=number % 2 == 0)
        ratios.append(a / b)
        plain.append(b)
    ratio, against = statistics.median(ratios), 1e3 * statistics.median(plain)
    return Result("causal & window(4096) at 2048", ratio, "x", RATIO_TARGET, against)


def process(arguments: list[str], rounds: int, cpu: bool) -> float:
    """Return the median seconds of a whole process, on the clock or of CPU."""
    command = [str(Path(sys.executable).with_name("maskc")), *arguments]
    taken = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = timed(lambda: subprocess.run(command, check=True, capture_output=True))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        taken.append(used if cpu else wall)
    return statistics.median(taken)


def starts(rounds: int) -> list[Result]:
    """Measure the commands that a person waits for."""
    file = str(Path(__file__).parents[1] / "examples" / "gemma2.mask")
    check = process(["check", file], rounds, cpu=False)
    show = process(["show", "causal & window(5)"], rounds, cpu=True)
    return [
        Result("maskc check of a file", check, "s", CHECK_TARGET),
        Result("maskc show of 32 x 32", show, "s of CPU", SHOW_TARGET),
    ]


def shown(result: Result) -> str:
    """Return a line of the table."""
    against = "" if result.against is None else f"  (by hand {result.against:.3f} ms)"
    number = f"{result.value:>8.3f} {result.unit:<9}at most {result.target:.2f}"
    return f"{result.what:<44}{number}{against}"


@torch.no_grad()
def main() -> None:
    """Measure all and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    results = []
    for text, inputs, mask in STEPS:
        results.append(decode(text, inputs, mask, 60 if asked.quick else 6))
        print(shown(results[-1]), flush=True)
    for result in [specialised(6 if asked.quick else 60), *starts(2 if asked.quick else 7)]:
        results.append(result)
        print(shown(result), flush=True)
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    document = {
        "machine": machine,
        "threads": torch.get_num_threads(),
        "shape": {"heads": HEADS, "kv_heads": KV_HEADS, "width": WIDTH, "keys": [FIRST, LAST]},
        "results": [asdict(result) for result in results],
    }
    (RESULTS / "decode.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
