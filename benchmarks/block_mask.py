"""Measure block masks: ours against torch's ``create_block_mask``, time and memory.

    python benchmarks/block_mask.py [--quick] [--threads 1] [--lengths 2048 8192] [--masks causal]
    python benchmarks/block_mask.py --add --lengths 1048576

For each mask and length, in turns within one process, each five times in a row (``turns.py``):

- ``first``: ``program.bind(...).block_mask`` with no tiles, ranges and block masks kept from an
  earlier call (``maskc.blocks.mask_blocks.forget``). What was compiled for the program stays, as
  what ``torch.compile`` made does: generated code, and what the program and the sizes alone tell of
  a call, which is no tile of it;
- ``new sizes``: the same, for a length that was not met before: nothing at all is kept but what was
  compiled for the program. (``torch.compile`` would compile again.);
- ``kept``: the same call again, which may use what was kept;
- ``tables``: the tables alone, from the mask over rows;
- ``numpy``: for documents in a window, the tables as one would write them for that mask;
- ``compiled``: warm ``torch.compile(create_block_mask)`` of the mask_mod one would write by hand;
- ``eager``: ``create_block_mask`` of the same.

Ours are compact from 131072 tokens on. ``seconds`` are medians of all calls, ``after_others`` of
those that follow another contender's; memory is the peak above the start of one call. A contender
that would need more than 60 s or 12 GiB is left out, and one whose call takes more than three
seconds is called once, which its line says and ``runs`` in the results.

Writes ``benchmarks/results/block_mask.json`` and ``.png``. A full run is long, so it can be done in
pieces: ``--add`` keeps what is there, but for the masks and lengths that are measured again. The
header tells when each piece ran, of which commit, and what is left of it; a piece of another
machine, version of torch or number of threads is refused. Ratios hold within a mask and a length,
which are of one piece.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch
from by_hand.masks import BLOCK, CASES, Case, Tensors, text_of
from by_hand.window_tables import window_tables
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from turns import IN_A_ROW, Run, Times, add_threads, clocked, in_turns, use_threads

from maskc import compile_mask
from maskc.analysis.tables.block_tables import Tables, block_tables
from maskc.analysis.tiles.classify import tile_map
from maskc.blocks.mask_blocks import forget
from maskc.elaborate.module import elaborate
from maskc.ir.nodes import OUT, SCORE, Expr, Module
from maskc.ir.rows import Layout, Shape, to_rows
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.passes.support.driver import simplify
from maskc.source import Source
from maskc.syntax.parse import parse

RESULTS = Path(__file__).parent / "results"
COMPACT_FROM = 131072
QUICK = [2048, 8192]
LENGTHS = [2048, 8192, 16384, 32768, 131072, 1048576]
MOST_SECONDS, MOST_BYTES = 60.0, 12 * 2**30
LONG = 3.0
"""A contender that takes more seconds is called once."""
EAGER_BYTES, EAGER_SECONDS = 10, 25e-9
"""What eager ``create_block_mask`` takes for one pair of tokens, to know what to leave out."""


@dataclass
class Result:
    """What one contender took."""

    mask: str
    length: int
    contender: str
    seconds: float
    after_others: float
    peak_mib: float
    compile_seconds: float | None = None
    runs: int = 1


SHOWN = ("first", "new sizes", "kept", "tables", "numpy")
"""The contenders of ours that are printed, and the bound for one of them."""

TABLE_LIMIT = 131072
"""A block table is a dense input; beyond this length it is no longer one that is used."""


def row_program(case: Case, length: int, tensors: Tensors) -> tuple[Expr, Domain]:
    """Return the mask of a case over rows, simplified, and its domain."""
    tree, _ = parse(Source(text_of(case, length), case.name))
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


def contenders(case: Case, length: int) -> dict[str, Run]:
    """Return what is compared, by name."""
    tensors = case.inputs(length)
    by_hand = case.by_hand(length, tensors)
    batch = case.batch if case.batch > 1 else None
    listed = ours(case, length, tensors)
    if case.window is not None and length % BLOCK == 0:
        doc, window = tensors["doc"].numpy(), case.window
        listed["numpy"] = lambda: window_tables(doc, window, BLOCK)
    pairs = length * length * case.batch
    if pairs * EAGER_BYTES < MOST_BYTES and pairs * EAGER_SECONDS < MOST_SECONDS:
        compiled = torch.compile(create_block_mask, dynamic=False)
        listed["compiled"] = lambda: compiled(by_hand, batch, None, length, length, device="cpu")
        listed["eager"] = lambda: create_block_mask(
            by_hand, batch, None, length, length, device="cpu"
        )
    return listed


def ours(case: Case, length: int, tensors: Tensors) -> dict[str, Run]:
    """Return what maskc does, from a compiled program and from its mask over rows."""
    program = compile_mask(text_of(case, length))
    mask, domain = row_program(case, length, tensors)
    compact = length >= COMPACT_FROM

    def kept() -> BlockMask:
        sizes = {"q_len": length, "kv_len": length, "batch_size": case.batch}
        bound = program.bind(**sizes, block_size=BLOCK, compact=compact, **tensors)
        return bound.block_mask

    def tables() -> Tables:
        return block_tables(tile_map(mask, domain, (BLOCK, BLOCK)), compact)

    listed = {"first": kept, "kept": kept, "tables": tables}
    if "axis" not in case.text:  # a grid has one size
        shorter = iter(range(length - 1, 0, -1))

        def new_sizes() -> BlockMask:
            less = next(shorter)
            sizes = {"q_len": less, "kv_len": less, "batch_size": case.batch}
            return program.bind(**sizes, block_size=BLOCK, compact=compact, **tensors).block_mask

        listed["new sizes"] = new_sizes
    return listed


def measure(case: Case, length: int, most_runs: int) -> list[Result]:
    """Let the contenders take turns, in so many rows; each runs about two seconds, or once."""
    torch._dynamo.reset()
    runs = contenders(case, length)
    compile_seconds = clock("compiled", runs["compiled"]) if "compiled" in runs else None
    peaks: dict[str, float] = {}
    once: dict[str, Times] = {}
    for name, run in runs.items():
        seconds, peaks[name] = peak(name, run)
        if seconds > LONG:
            once[name] = Times([seconds], [seconds])
        elif name not in ("compiled", "eager"):  # the first call wrote the code of the mask
            _, peaks[name] = peak(name, run)
    others = {name: run for name, run in runs.items() if name not in once}
    times = once | in_turns(others, most_runs, clock=clock)
    return [
        Result(
            case.name,
            length,
            name,
            taken.median,
            taken.after_others,
            peaks[name],
            compile_seconds if name == "compiled" else None,
            len(taken.every),
        )
        for name, taken in times.items()
    ]


def clock(name: str, run: Run) -> float:
    """Return the seconds of one call."""
    if name == "first":
        forget()
    return clocked(name, run)


def peak(name: str, run: Run) -> tuple[float, float]:
    """Return the seconds of one call, and its peak of memory above the start, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    start = memory("VmRSS")
    seconds = clock(name, run)
    return seconds, max(0.0, memory("VmHWM") - start)


def memory(field: str) -> float:
    """Return a field of this process' status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def show(results: list[Result]) -> None:
    """Print one line for a mask and length; in brackets what follows another contender."""
    by = {result.contender: result for result in results}
    first = by["first"]
    line = f"{first.mask:26}{first.length:>9}"
    line += f"{first.after_others * 1e3:9.2f}"
    for name in SHOWN:
        line += f"{by[name].seconds * 1e3:9.2f}" if name in by else f"{'':9}"
    line += f" ms{first.peak_mib:8.1f} MiB"
    for name in ("compiled", "eager"):
        if name in by:
            ratio = by[name].seconds / first.seconds
            behind = by[name].after_others / first.after_others
            line += f"{by[name].seconds * 1e3:11.1f} ms{by[name].peak_mib:9.1f} MiB"
            line += f"{ratio:6.0f}x {f'({behind:.0f}x)':7}"
    once = [result.contender for result in results if result.runs == 1]
    print(line + f"  once: {', '.join(once)}" * bool(once), flush=True)


@dataclass
class Piece:
    """One run: when it began, of which commit, and the masks and lengths that are its."""

    began: str
    commit: str
    measured: list[str] = field(default_factory=list)


@dataclass
class Results:
    """What was measured, in one piece or several.

    Attributes:
        about: what all pieces share: the machine, the version of torch, the threads.
        pieces: this run and those before it.
        results: of all pieces, those of a mask and a length from one.

    """

    about: dict[str, object]
    pieces: list[Piece]
    results: list[Result]

    def put(self, found: list[Result]) -> None:
        """Take the results of a mask and a length, in place of what was known of them."""
        key = found[0].mask, found[0].length
        others = [one for one in self.results if (one.mask, one.length) != key]
        self.results = sorted(others + found, key=lambda one: (ORDER[one.mask], one.length))
        title = "{} at {}".format(*key)
        for piece in self.pieces:
            piece.measured = [one for one in piece.measured if one != title]
        self.pieces[-1].measured.append(title)

    def write(self, path: Path) -> None:
        """Write them, so that a run that is cut short leaves what it had."""
        path.parent.mkdir(exist_ok=True)
        pieces = [asdict(piece) for piece in self.pieces if piece.measured]
        results = [asdict(one) for one in self.results]
        text = json.dumps({"about": {**self.about, "pieces": pieces}, "results": results}, indent=1)
        path.write_text(text + "\n")


ORDER = {case.name: place for place, case in enumerate(CASES)}


def this_piece() -> Piece:
    """Return the run that begins, of a commit with a plus if files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=10", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return Piece(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", found.stdout.strip() or "unknown")


def read(path: Path, about: dict[str, object]) -> Results:
    """Return the results of earlier pieces, to which others are added.

    Raises:
        SystemExit: they are of another machine, or were not written in pieces.

    """
    text = json.loads(path.read_text())
    pieces = text["about"].pop("pieces", None)
    if pieces is None or text["about"] != about:
        sys.exit(f"{path} is of {text['about']}, this piece is of {about}: run without --add first")
    results = [Result(**one) for one in text["results"]]
    return Results(about, [Piece(**one) for one in pieces], results)


def plot(results: list[Result], path: Path) -> None:
    """Draw seconds over length, one line for a contender and mask."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    colours = {"first": "tab:green", "compiled": "tab:blue", "eager": "tab:red"}
    names = {
        "first": "maskc, first call",
        "compiled": "create_block_mask, compiled and warm",
        "eager": "create_block_mask",
    }
    labelled: set[str] = set()
    for contender, colour in colours.items():
        for mask in dict.fromkeys(result.mask for result in results):
            line = [r for r in results if (r.mask, r.contender) == (mask, contender)]
            label = None if contender in labelled or not line else names[contender]
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
    parser.add_argument("--add", action="store_true", help="keep the other results that are there")
    add_threads(parser)
    options = parser.parse_args()
    use_threads(options.threads)
    lengths = options.lengths or (QUICK if options.quick else LENGTHS)
    chosen = [
        case for case in CASES if not options.masks or any(m in case.name for m in options.masks)
    ]
    name = "block_mask_quick" if options.quick else "block_mask"
    about: dict[str, object] = {
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
        "torch": torch.__version__,
        "threads": options.threads,
        "calls in a row": IN_A_ROW,
        "block": BLOCK,
    }
    path = RESULTS / f"{name}.json"
    adds = options.add and path.exists()
    known = read(path, about) if adds else Results(about, [], [])
    known.pieces.append(this_piece())
    ours = "".join(f"{name:>10}" for name in ("(behind)", *SHOWN))
    print(f"{'mask':26}{'tokens':>9}{ours}{'':15}{'compiled, warm':>14}{'':21}{'eager':>14}")
    for case in chosen:
        for length in lengths:
            if case.name == "block table" and length > TABLE_LIMIT:
                continue
            found = measure(case, length, most_runs=3 if options.quick else 15)
            show(found)
            known.put(found)
            known.write(path)
    plot(known.results, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
