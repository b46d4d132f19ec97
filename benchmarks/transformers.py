"""Measure models of transformers with maskc as their attention, against their own.

    python benchmarks/transformers.py [--quick] [--threads 1]

- A forward of a model against its own ``sdpa`` at 512, 1024 and 2048 tokens: a ratio.
- A step of training on documents packed to 4096 tokens against ``sdpa``: how many times faster.
- A step of decoding with a growing cache, plain and padded: milliseconds more than ``sdpa``.
- The mask of a forward at 4096 tokens, packed, as block tables, against that of
  ``attn_implementation="flex_attention"``: how many times faster.

What is compared runs in turn, and in the other order the next time. Medians. Writes
``benchmarks/results/transformers.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder, whose file of this name is not the package

import torch
import transformers
from torch.nn.attention.flex_attention import create_block_mask
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import (
    causal_mask_function,
    find_packed_sequence_indices,
    packed_sequence_compatibility_function,
)

import maskc.integrations.transformers  # noqa: F401 - registers the name
from maskc.integrations.transformers.forward.mask_maker import make_context
from maskc.integrations.transformers.forward.texts import composed

RESULTS = Path(__file__).parent / "results"
LENGTHS = (512, 1024, 2048)
PACKED = 4096
DOCUMENT = 256
RATIO_TARGET, TRAINING_TARGET, STEP_TARGET, TABLES_TARGET = 1.05, 2.0, 0.5, 10.0


@dataclass
class Result:
    """A number, what it is held against, and whether more is better."""

    what: str
    value: float
    unit: str
    target: float
    more_is_better: bool


def model(implementation: str) -> LlamaForCausalLM:
    """Return a small decoder; at a few thousand tokens attention is a good part of its work."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=8192,
        attn_implementation=implementation,
    )
    return LlamaForCausalLM(config).eval()


def in_turn(runs: dict[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """Return the median seconds of each, run one after the other."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(times + 1):
        for name in sorted(runs, reverse=bool(turn % 2)):
            start = time.perf_counter()
            runs[name]()
            if turn:  # the first warms up
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in taken.items()}


def forwards(models: dict[str, LlamaForCausalLM], times: int) -> list[Result]:
    """Compare forwards."""
    results = []
    for length in LENGTHS:
        ids = torch.randint(0, 512, (1, length))

        def run(each: LlamaForCausalLM, ids: torch.Tensor = ids) -> None:
            with torch.no_grad():
                each(ids, use_cache=False)

        taken = in_turn({name: lambda e=each: run(e) for name, each in models.items()}, times)
        ratio = taken["maskc"] / taken["sdpa"]
        results.append(Result(f"forward at {length}", ratio, "x sdpa", RATIO_TARGET, False))
    return results


def training(models: dict[str, LlamaForCausalLM], times: int) -> Result:
    """Compare steps on packed documents."""
    ids = torch.randint(0, 512, (1, PACKED))
    positions = torch.arange(PACKED)[None] % DOCUMENT

    def run(each: LlamaForCausalLM) -> None:
        each(ids, position_ids=positions, labels=ids, use_cache=False).loss.backward()
        each.zero_grad()

    taken = in_turn({name: lambda e=each: run(e) for name, each in models.items()}, times)
    gain = taken["sdpa"] / taken["maskc"]
    return Result(f"training, packed {PACKED}", gain, "x faster", TRAINING_TARGET, True)


def decoding(models: dict[str, LlamaForCausalLM], padding: int, steps: int) -> Result:
    """Compare steps of decoding, in time of the thread."""
    ids = torch.randint(0, 512, (2, 200))
    mask = torch.ones(2, 200 + steps + 1, dtype=torch.long)
    mask[1, :padding] = 0
    caches = {name: DynamicCache() for name in models}
    taken: dict[str, list[float]] = {name: [] for name in models}
    with torch.no_grad():
        for name, each in models.items():
            each(ids, attention_mask=mask[:, :200], past_key_values=caches[name])
        for step in range(steps):
            seen = mask[:, : 201 + step]
            for name in sorted(models, reverse=bool(step % 2)):
                start = time.thread_time()
                models[name](ids[:, :1], attention_mask=seen, past_key_values=caches[name])
                taken[name].append(time.thread_time() - start)
    medians = {name: statistics.median(each[5:]) for name, each in taken.items()}
    more = 1000 * (medians["maskc"] - medians["sdpa"])
    what = "decoding, padded" if padding else "decoding"
    return Result(what, more, "ms a step more", STEP_TARGET, False)


def tables(times: int) -> Result:
    """Compare block masks of packed documents."""
    positions = torch.arange(PACKED)[None] % DOCUMENT
    ids = find_packed_sequence_indices(positions)
    function = packed_sequence_compatibility_function(causal_mask_function, positions, ids)

    def ours() -> None:
        context = make_context(1, PACKED, PACKED, mask_function=function)
        program = composed(context.own.text, "zero", (), (), (), ())
        bound = program.bind(q_len=PACKED, num_heads=4, **context.own.inputs)
        assert bound.block_mask is not None

    def theirs() -> None:
        create_block_mask(function, 1, None, PACKED, PACKED, device="cpu")

    taken = in_turn({"maskc": ours, "flex": theirs}, times)
    gain = taken["flex"] / taken["maskc"]
    return Result(f"block mask, packed {PACKED}", gain, "x faster", TABLES_TARGET, True)


def main() -> None:
    """Print a table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few runs of each")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    times = 2 if options.quick else 9
    models = {name: model(name) for name in ("sdpa", "maskc")}
    results = forwards(models, times)
    results.append(training(models, max(1, times // 3)))
    results += [decoding(models, padding, 20 if options.quick else 200) for padding in (0, 7)]
    results.append(tables(times))
    for one in results:
        met = one.value >= one.target if one.more_is_better else one.value <= one.target
        verdict = "" if met else f"   missed: {one.target}"
        print(f"{one.what:26} {one.value:8.2f} {one.unit}{verdict}")
    about = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
    }
    RESULTS.mkdir(exist_ok=True)
    if not options.quick:
        written = {**about, "results": [asdict(one) for one in results]}
        (RESULTS / "transformers.json").write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
