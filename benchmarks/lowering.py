"""Measure what lowering buys: the same attention written several ways, in one run, on CPU.

    python benchmarks/lowering.py [--quick] [--length 8192] [--only hidden ...]

Each group is one attention; its contenders take turns, and times and ratios are medians over the
rounds, so that they hold on a machine that does other things too. The groups:

- ``hidden``: a mask written in the score.
- ``documents``: packed documents against a hand-written mask_mod.
- ``folded``: biases folded into q and k against float masks.
- ``twins``: programs against FlexAttention written by hand, with torch's ``create_block_mask``.

Block masks are built, and kernels compiled, before the clock starts. Errors are the largest
differences from the first contender. Writes ``benchmarks/results/lowering.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from maskc import compile_mask

RESULTS = Path(__file__).parent / "results"
HEADS, WIDTH = 2, 64
WINDOW, DOCUMENTS = 512, (16, 64)
MOST_ROUNDS = 101
QKV = tuple[Tensor, Tensor, Tensor]
Run = Callable[[], Tensor]
Mod = Callable[..., Tensor]

compiled_flex = torch.compile(flex_attention, dynamic=False, fullgraph=True)


@dataclass
class Result:
    """What one contender took, and how that compares with the first of its group."""

    group: str
    contender: str
    seconds: float
    ratio: float
    error: float
    first_call: float
    rounds: int


def qkv(length: int) -> QKV:
    """Return random q, k and v."""
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, length, WIDTH, generator=random) for _ in range(3))
    return q, k, v


def ours(
    text: str, tensors: QKV, backend: str = "flex", block_size: int | str = 128, **keywords: Any
) -> Run:
    """Return the call of a program; what is made from q in a layer (``rel_``) is given to it."""
    inputs = {
        n: x for n, x in keywords.items() if isinstance(x, Tensor) and not n.startswith("rel_")
    }
    call = {n: x for n, x in keywords.items() if n not in inputs}
    sizes = {"q_len": tensors[0].shape[2], "num_heads": HEADS, "block_size": block_size}
    bound = compile_mask(text).bind(**sizes, **inputs)
    return lambda: bound(*tensors, backend=backend, **call)


def by_hand(tensors: QKV, mask_mod: Mod | None = None, score_mod: Mod | None = None) -> Run:
    """Return FlexAttention with mods and the block mask that torch makes."""
    blocks: BlockMask | None = None
    if mask_mod is not None:
        length = tensors[0].shape[2]
        blocks = create_block_mask(mask_mod, None, None, length, length, device="cpu")
    return lambda: compiled_flex(*tensors, score_mod=score_mod, block_mask=blocks)


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return whether a key is not after its query."""
    return k <= q


def local(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return whether a key is in the causal window."""
    return (k <= q) & (q - k < WINDOW)


def hidden(length: int) -> dict[str, Run]:
    """Return a mask as a mask, as a score, and as a score_mod by hand."""
    tensors = qkv(length)

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return torch.where((k <= q) & (q - k < WINDOW), score, -math.inf)

    return {
        "the mask as a mask": ours(f"causal & window({WINDOW})", tensors),
        "where(mask, score, -inf)": ours(
            f"score = where(causal & window({WINDOW}), score, -inf)", tensors
        ),
        "flex, score_mod by hand": by_hand(tensors, score_mod=score_mod),
    }


def documents(length: int, count: int) -> dict[str, Run]:
    """Return packed documents, ours and by hand."""
    tensors = qkv(length)
    doc = (torch.rand(length, generator=torch.Generator().manual_seed(1)) * count).long()
    doc = doc.sort().values

    def same_doc(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) & (doc[q] == doc[k])

    text = "causal & same_doc"
    return {
        "flex by hand": by_hand(tensors, same_doc),
        text: ours(text, tensors, doc=doc),
        "the same, block_size=auto": ours(text, tensors, block_size="auto", doc=doc),
    }


def folded(length: int) -> dict[str, dict[str, Run]]:
    """Return biases as float masks and folded into q and k."""
    tensors, side = qkv(length), math.isqrt(length)
    slopes = torch.tensor([0.5, 0.25])
    random = torch.Generator().manual_seed(2)
    grid = tuple(x[:, :, : side * side].contiguous() for x in tensors)
    rel = {f"rel_{a}": torch.randn(1, HEADS, side**2, side, generator=random) for a in "hw"}
    alibi = "causal; score = score + alibi"
    relpos = f"axis h = {side}, w = {side}; score = score + relpos(h, w)"
    return {
        f"ALiBi, {length} tokens": {
            "float mask": ours(alibi, tensors, "sdpa", slopes=slopes),
            "folded": ours(alibi, tensors, "sdpa", slopes=slopes, fold_bias=True),
            "flex": ours(alibi, tensors, slopes=slopes),
        },
        f"relpos, {side} x {side} grid": {
            "float mask": ours(relpos, grid, "sdpa", **rel),
            "folded": ours(relpos, grid, "sdpa", **rel, fold_bias=True),
        },
    }


def twins(length: int) -> dict[str, dict[str, Run]]:
    """Return programs and FlexAttention by hand, side by side."""
    tensors, prefix = qkv(length), length // 8
    slopes = torch.tensor([0.5, 0.25])

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return 30.0 * torch.tanh(score / 30.0)

    def biased(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score + slopes[h] * (k - q)

    def prefixed(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) | (k < prefix)

    pairs: dict[str, tuple[Run, Run]] = {
        "causal": (by_hand(tensors, causal), ours("causal", tensors)),
        "window": (by_hand(tensors, local), ours(f"causal & window({WINDOW})", tensors)),
        "softcap": (
            by_hand(tensors, causal, capped),
            ours("causal; score = softcap(score, 30)", tensors),
        ),
        "ALiBi": (
            by_hand(tensors, causal, biased),
            ours("causal; score = score + alibi", tensors, slopes=slopes),
        ),
        "prefix": (
            by_hand(tensors, prefixed),
            ours("causal | prefix", tensors, prefix_len=torch.tensor([prefix])),
        ),
    }
    return {
        f"twin: {name}": {"flex by hand": one, "maskc on flex": two}
        for name, (one, two) in pairs.items()
    }


def measured(group: str, contenders: dict[str, Run], seconds: float) -> list[Result]:
    """Return times of contenders that take turns; a ratio is the median over the rounds.

    Args:
        group: their name.
        contenders: what to run, the one to compare with first.
        seconds: about how long to go on; at least three rounds, at most MOST_ROUNDS.

    """
    first, outputs = {}, {}
    for name, run in contenders.items():
        first[name], outputs[name] = timed(run)
    once = sum(timed(run)[0] for run in contenders.values())
    rounds = max(3, min(MOST_ROUNDS, round(seconds / once)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name].append(timed(run)[0])
    base = next(iter(contenders))
    return [
        Result(
            group,
            name,
            statistics.median(taken),
            statistics.median(one / other for one, other in zip(taken, times[base], strict=True)),
            (outputs[name] - outputs[base]).abs().max().item(),
            first[name],
            rounds,
        )
        for name, taken in times.items()
    ]


def timed(run: Run) -> tuple[float, Tensor]:
    """Return the seconds that a call took, and what it gave."""
    begin = time.perf_counter()
    out = run()
    return time.perf_counter() - begin, out


def shown(result: Result) -> str:
    """Return a line of the table."""
    return (
        f"{result.group:<26}{result.contender:<28}{1e3 * result.seconds:>10.1f} ms"
        f"{result.ratio:>9.2f} x{result.error:>11.1e}{result.first_call:>9.1f} s"
    )


GROUPS: dict[str, Callable[[int], dict[str, dict[str, Run]]]] = {
    "hidden": lambda n: {f"hidden mask, {n}": hidden(n)},
    "documents": lambda n: {f"{m} documents, {n}": documents(n, m) for m in DOCUMENTS},
    "folded": lambda n: folded(n // 2),
    "twins": lambda n: twins(n // 4),
}


def main() -> None:
    """Run the groups asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="about 4 seconds a group instead of 20"
    )
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--only", nargs="+", choices=[*GROUPS], default=[*GROUPS])
    asked = parser.parse_args()
    print(
        f"{'attention':<26}{'contender':<28}{'median':>13}{'ratio':>11}{'error':>11}{'first':>11}"
    )
    results = []
    with torch.no_grad():
        for name in asked.only:
            for group, contenders in GROUPS[name](asked.length).items():
                for result in measured(group, contenders, 4 if asked.quick else 20):
                    print(shown(result), flush=True)
                    results.append(result)
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    document = {"machine": machine, "results": [asdict(result) for result in results]}
    (RESULTS / "lowering.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
