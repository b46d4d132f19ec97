"""What to run on the day that a GPU is at hand: correctness first, then times.

    python benchmarks/gpu.py [--only smoke times ...]

The sections, in order: ``smoke`` (six programs, forward and backward, in bfloat16 and float32
against float64; a failure stops here), ``gallery``, ``tables`` (gradients of captured tensors),
``lengths`` (compilations over three lengths), ``blocks`` (block sizes), ``decode``, ``times`` (CUDA
events, interleaved, medians; against hand-written mods, bands, SDPA and varlen flash),
``block_masks`` (built by us and by torch's compiled ``create_block_mask``, with their kernels and
waits), ``memory``, and ``registers`` (beside those that ``make kernels`` counted). Each section is
written to ``benchmarks/results/gpu.json`` as soon as it ends, and its failures are rows of it.

Without a GPU everything runs at small sizes through SDPA on CPU, so that no line of this file runs
for the first time on that day; then nothing is written, and the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from on_gpu.correct import blocks, decode, gallery, lengths, smoke, tables
from on_gpu.counts import registers
from on_gpu.setting import ON_GPU, Row
from on_gpu.speed import block_masks, memory, times

RESULTS = Path(__file__).parent / "results" / "gpu.json"

SECTIONS = (smoke, gallery, tables, lengths, blocks, decode, times, block_masks, memory, registers)


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
