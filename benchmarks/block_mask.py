"""Measure block masks: ours against torch's ``create_block_mask``, time and memory.

    python benchmarks/block_mask.py [--quick] [--lengths 2048 8192] [--masks causal ...]

For each mask and length: ours (from the row program to a ``BlockMask``; compact from 131072 tokens
on), eager ``create_block_mask`` and warm ``torch.compile(create_block_mask)`` of the mask_mod that
one would write by hand. Contenders take turns in one process; times are medians, memory is the peak
above the start of one call. A contender that would need more than 60 s or 12 GiB is left out.
Writes ``benchmarks/results/block_mask.json`` and ``.png``.
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
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from maskc.analysis.tiles.classify import tile_map
from maskc.elaborate.module import elaborate
from maskc.ir.nodes import OUT, SCORE, Expr, Module
from maskc.ir.rows import Layout, Shape, to_rows
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower.flex import block_mask
from maskc.passes.support.driver import simplify
from maskc.source import Source
from maskc.syntax.parse import parse

RESULTS = Path(__file__).parent / "results"
BLOCK = 128
COMPACT_FROM = 131072
QUICK = [2048, 8192]
LENGTHS = [2048, 8192, 32768, 131072, 262144, 524288, 1048576]
MOST_SECONDS, MOST_BYTES = 60.0, 12 * 2**30
EAGER_BYTES, EAGER_SECONDS = 10, 25e-9
"""What eager ``create_block_mask`` takes for one pair of tokens, to know what to leave out."""

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One mask: as maskc text, and as the mask_mod one would write by hand."""

    name: str
    text: str
    inputs: Callable[[int], Tensors]
    by_hand: Callable[[int, Tensors], MaskMod]
    batch: int = 1


@dataclass
class Result:
    """What one contender took."""

    mask: str
    length: int
    contender: str
    seconds: float
    peak_mib: float
    compile_seconds: float | None = None
    runs: int = 1


def documents(length: int, count: int, shuffled: bool) -> Tensors:
    """Return the ids of packed documents of random lengths, in order or in any order."""
    random = torch.Generator().manual_seed(0)
    count = min(count, length // 2)
    begins = torch.zeros(length, dtype=torch.int64)
    begins[torch.randperm(length - 1, generator=random)[: count - 1] + 1] = 1
    ids = begins.cumsum(0)
    return {"doc": torch.randperm(count, generator=random)[ids] if shuffled else ids}


def scattered(length: int, count: int) -> Tensor:
    """Return the ids of documents whose tokens stand in any order."""
    return torch.randint(0, count, (length,), generator=torch.Generator().manual_seed(1))


def block_table(length: int) -> Tensors:
    """Return a random table of blocks, a fifth of them true."""
    blocks = -(-length // BLOCK)
    random = torch.Generator().manual_seed(0)
    return {"t": torch.rand(blocks, blocks, generator=random) < 0.2}


def nothing(length: int) -> Tensors:
    """Return no inputs."""
    return {}


def packed(count: int, shuffled: bool) -> Case:
    """Return the causal mask of packed documents."""
    name = f"{count} documents, {'any order' if shuffled else 'sorted'}"
    return Case(
        name,
        "causal & same_doc",
        lambda n: documents(n, count, shuffled),
        lambda n, t: lambda b, h, q, k: (k <= q) & (t["doc"][q] == t["doc"][k]),
    )


def natten(length: int) -> tuple[int, int]:
    """Return the height and the width of a grid of ``length`` tokens."""
    width = 1 << (length.bit_length() // 2)
    return length // width, width


def natten_by_hand(length: int, t: Tensors) -> MaskMod:
    """Return neighborhood attention in two dimensions (arXiv:2204.07143)."""
    height, width = natten(length)

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        row, column = (q // width).clamp(6, height - 7), (q % width).clamp(6, width - 7)
        return ((row - k // width).abs() <= 6) & ((column - k % width).abs() <= 6)

    return mask_mod


def video_by_hand(length: int, t: Tensors) -> MaskMod:
    """Return neighborhood attention in frames of 48 x 80 tokens."""

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        frame = (q // 3840 - k // 3840).abs() <= 2
        row, column = (q // 80 % 48 - k // 80 % 48).abs() <= 6, (q % 80 - k % 80).abs() <= 6
        return frame & row & column

    return mask_mod


def diffusion_by_hand(length: int, t: Tensors) -> MaskMod:
    """Return the mask of block diffusion (BD3-LM, arXiv:2503.09573)."""
    half = length // 2

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        noisy_q, noisy_k = q < half, k < half
        block_q, block_k = q % half // 32, k % half // 32
        diagonal = (block_q == block_k) & noisy_q & noisy_k
        offset = (block_q > block_k) & noisy_q & ~noisy_k
        return diagonal | offset | ((block_q >= block_k) & ~noisy_q & ~noisy_k)

    return mask_mod


NATTEN = (
    "axis h = {height}, w = {width}; abs(clamp(q.h, 6, {height} - 7) - k.h) <= 6 "
    "& abs(clamp(q.w, 6, {width} - 7) - k.w) <= 6"
)
DIFFUSION = (
    "let half = q_len // 2; let nq = q < half; let nk = k < half; let bq = q % half // 32; "
    "let bk = k % half // 32; (bq == bk & nq & nk) | (bq > bk & nq & !nk) | "
    "(bq >= bk & !nq & !nk)"
)
CASES = [
    Case("causal", "causal", nothing, lambda n, t: lambda b, h, q, k: k <= q),
    Case(
        "window",
        "causal & window(512)",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) & (q - k < 512),
    ),
    Case(
        "sinks",
        "causal & (sinks(4) | window(512))",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) & ((k < 4) | (q - k < 512)),
    ),
    packed(64, shuffled=False),
    packed(64, shuffled=True),
    packed(1024, shuffled=False),
    packed(1024, shuffled=True),
    Case(
        "window in 1024 documents",
        "causal & window(4096) & same_doc",
        lambda n: documents(n, 1024, shuffled=False),
        lambda n, t: lambda b, h, q, k: (k <= q) & (q - k < 4096) & (t["doc"][q] == t["doc"][k]),
    ),
    Case(
        "prefix per batch",
        "causal | prefix",
        lambda n: {"prefix_len": torch.tensor([n // 8, n // 3])},
        lambda n, t: lambda b, h, q, k: (k <= q) | (k < t["prefix_len"][b]),
        batch=2,
    ),
    Case(
        "chunked",
        "causal & chunked(1024)",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) & (q // 1024 == k // 1024),
    ),
    Case(
        "dilated",
        "dilated(512, 4)",
        nothing,
        lambda n, t: lambda b, h, q, k: ((q - k).abs() < 512) & ((q - k) % 4 == 0),
    ),
    Case("NATTEN 2-D", NATTEN, nothing, natten_by_hand),
    Case(
        "NATTEN 90 wide",
        "abs(q // 90 - k // 90) <= 6 & abs(q % 90 - k % 90) <= 6",
        nothing,
        lambda n, t: (
            lambda b, h, q, k: ((q // 90 - k // 90).abs() <= 6) & ((q % 90 - k % 90).abs() <= 6)
        ),
    ),
    Case(
        "NATTEN of a video",
        "axis t = {frames}, h = 48, w = 80; abs(q.t - k.t) <= 2 & abs(q.h - k.h) <= 6 "
        "& abs(q.w - k.w) <= 6",
        nothing,
        video_by_hand,
    ),
    Case(
        "shuffled documents",
        "causal & same_doc",
        lambda n: {"doc": scattered(n, 9)},
        lambda n, t: lambda b, h, q, k: (k <= q) & (t["doc"][q] == t["doc"][k]),
    ),
    Case(
        "256 shuffled documents",
        "causal & same_doc",
        lambda n: {"doc": scattered(n, 256)},
        lambda n, t: lambda b, h, q, k: (k <= q) & (t["doc"][q] == t["doc"][k]),
    ),
    Case(
        "EAGLE-3",
        "causal | (k >= {half} & (k - q) % {half} == 0)",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) | ((k >= n // 2) & ((k - q) % (n // 2) == 0)),
    ),
    Case("block diffusion", DIFFUSION, nothing, diffusion_by_hand),
    Case(
        "block table",
        f"input t: bool; t[q // {BLOCK}, k // {BLOCK}]",
        block_table,
        lambda n, t: lambda b, h, q, k: t["t"][q // BLOCK, k // BLOCK],
    ),
]
TABLE_LIMIT = 131072
"""A block table is a dense input; beyond this length it is no longer one that is used."""


def row_program(case: Case, length: int, tensors: Tensors) -> tuple[Expr, Domain]:
    """Return the mask of a case over rows, and its domain."""
    height, width = natten(length)
    numbers = {"height": height, "width": width, "half": length // 2, "frames": -(-length // 3840)}
    text = case.text
    for name, number in numbers.items():
        text = text.replace(f"{{{name}}}", str(number))
    tree, _ = parse(Source(text, case.name))
    elaborated, errors = elaborate(tree, {})
    assert not errors
    shapes = {name: Shape(False, (False,) * table.dim()) for name, table in tensors.items()}
    sizes = dict.fromkeys(Sz, 1) | {
        Sz.BATCH_SIZE: case.batch,
        Sz.Q_LEN: length,
        Sz.KV_LEN: length,
    }
    domain = Domain(sizes, tensors, torch.device("cpu"))
    mask = simplify(Module(elaborated.module.mask, SCORE, OUT)).module.mask
    return to_rows(mask, Layout(shapes=shapes)), domain


def contenders(case: Case, length: int) -> dict[str, Callable[[], BlockMask]]:
    """Return what is compared, by name."""
    tensors = case.inputs(length)
    mask, domain = row_program(case, length, tensors)
    by_hand = case.by_hand(length, tensors)
    batch = case.batch if case.batch > 1 else None
    compact = length >= COMPACT_FROM

    def ours() -> BlockMask:
        return block_mask(mask, domain, tile_map(mask, domain, (BLOCK, BLOCK)), compact)

    listed: dict[str, Callable[[], BlockMask]] = {"maskc": ours}
    pairs = length * length * case.batch
    if pairs * EAGER_BYTES < MOST_BYTES and pairs * EAGER_SECONDS < MOST_SECONDS:
        compiled = torch.compile(create_block_mask, dynamic=False)
        listed["compiled"] = lambda: compiled(by_hand, batch, None, length, length, device="cpu")
        listed["eager"] = lambda: create_block_mask(
            by_hand, batch, None, length, length, device="cpu"
        )
    return listed


def measure(case: Case, length: int, most_runs: int) -> list[Result]:
    """Let the contenders take turns; each runs about two seconds, at least once."""
    torch._dynamo.reset()
    results, runs = {}, contenders(case, length)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        first = clock(run) if name != "eager" else None
        seconds, peak = clocked_peak(run)
        results[name] = Result(case.name, length, name, seconds, peak)
        results[name].compile_seconds = first if name == "compiled" else None
        if name != "eager":
            times[name].append(seconds)
    for _ in range(most_runs):
        for name, run in runs.items():
            if sum(times[name]) + results[name].seconds < 2.0:
                times[name].append(clock(run))
    for name, taken in times.items():
        results[name].seconds = statistics.median(taken or [results[name].seconds])
        results[name].runs = max(1, len(taken))
    return list(results.values())


def clock(run: Callable[[], BlockMask]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def clocked_peak(run: Callable[[], BlockMask]) -> tuple[float, float]:
    """Return the seconds of one call, and its peak of memory above the start in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    start = memory("VmRSS")
    seconds = clock(run)
    return seconds, max(0.0, memory("VmHWM") - start)


def memory(field: str) -> float:
    """Return a field of this process' status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def show(results: list[Result]) -> None:
    """Print one line for a mask and length."""
    by = {result.contender: result for result in results}
    ours = by["maskc"]
    line = f"{ours.mask:26}{ours.length:>9}{ours.seconds * 1e3:10.2f} ms{ours.peak_mib:8.1f} MiB"
    for name in ("compiled", "eager"):
        if name in by:
            ratio = by[name].seconds / ours.seconds
            line += f"{by[name].seconds * 1e3:12.1f} ms{by[name].peak_mib:9.1f} MiB{ratio:9.0f}x"
    if "compiled" in by:
        line += f"{by['compiled'].compile_seconds:8.1f} s"
    print(line, flush=True)


def plot(results: list[Result], path: Path) -> None:
    """Draw seconds over length, one line for a contender and mask."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    colours = {"maskc": "tab:green", "compiled": "tab:blue", "eager": "tab:red"}
    labelled: set[str] = set()
    for contender, colour in colours.items():
        for mask in dict.fromkeys(result.mask for result in results):
            line = [r for r in results if (r.mask, r.contender) == (mask, contender)]
            label = None if contender in labelled or not line else contender
            labelled.add(contender if line else "")
            axes.plot(
                [r.length for r in line],
                [r.seconds for r in line],
                "o-",
                color=colour,
                alpha=0.5,
                markersize=3,
                label=label,
            )
    axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel="seconds for a block mask")
    axes.set_title(f"{len({r.mask for r in results})} masks, blocks of {BLOCK}, CPU")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="2048 and 8192 tokens, three runs")
    parser.add_argument("--lengths", type=int, nargs="*")
    parser.add_argument("--masks", nargs="*", help="only masks whose name contains one of these")
    options = parser.parse_args()
    lengths = options.lengths or (QUICK if options.quick else LENGTHS)
    chosen = [
        case for case in CASES if not options.masks or any(m in case.name for m in options.masks)
    ]
    print(f"{'mask':26}{'tokens':>9}{'maskc':>13}{'':12}{'compiled, warm':>15}{'':22}{'eager':>15}")
    results: list[Result] = []
    for case in chosen:
        for length in lengths:
            if case.name == "block table" and length > TABLE_LIMIT:
                continue
            found = measure(case, length, most_runs=3 if options.quick else 15)
            show(found)
            results += found
    RESULTS.mkdir(exist_ok=True)
    about = {
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "block": BLOCK,
    }
    name = "block_mask_quick" if options.quick else "block_mask"
    text = json.dumps({"about": about, "results": [asdict(r) for r in results]}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    plot(results, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
