"""Measure what maskc itself costs in a training step of 32 layers: its share of the step, on CPU.

    python benchmarks/step.py [--steps 5] [--layers 32] [--width 512] [--tokens 1024]

The model is the decoder of ``examples/decoder``, not compiled, on packed documents with a new
binding each step. A step is forward, backward and AdamW on sdpa; on flex, which has no backward on
CPU, it is a forward pass without gradients.

Nothing is estimated: in the steps themselves a clock runs around each ``bound(q, k, v)`` and one
around the kernel within it, torch's own function; what the first counts and the second does not is
maskc's, and so is all of ``Decoder.bind``, block masks included. The clocks count as maskc's too.
Medians over the steps after the first. Writes ``benchmarks/results/step.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples.decoder.data import packed
from examples.decoder.model import Config, Decoder, next_token_loss
from maskc import Bound
from maskc.lower import flex

RESULTS = Path(__file__).parent / "results"
TARGET = 0.02
MASK = "param layer: int; causal & same_doc & where(layer % 2 == 0, window(256), true)"


@dataclass
class Clock:
    """The seconds spent in a function."""

    seconds: float = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with the clock running."""

        def timed(*args: Any, **keywords: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args, **keywords)
            finally:
                self.seconds += time.perf_counter() - begin

        return timed


@dataclass
class Step:
    """The seconds of a step, and those of its parts."""

    whole: float
    bind: float
    calls: float
    kernels: float

    @property
    def maskc(self) -> float:
        """What the step would not take if masks came for nothing."""
        return self.bind + self.calls - self.kernels


@dataclass
class Result:
    """Medians over steps, in milliseconds but for the share."""

    backend: str
    step: float
    kernels: float
    bind: float
    calls: float
    share: float
    shares: list[float] = field(default_factory=list)


def measured(config: Config, tokens: int, steps: int) -> Result:
    """Return what a backend's steps take, after one that is not counted."""
    torch.manual_seed(0)
    model = Decoder(config)
    found = steps_of(model, tokens, steps + 1)[1:]
    shares = [step.maskc / step.whole for step in found]
    return Result(
        config.attention_impl,
        1e3 * statistics.median(step.whole for step in found),
        1e3 * statistics.median(step.kernels for step in found),
        1e3 * statistics.median(step.bind for step in found),
        1e3 * statistics.median(step.calls - step.kernels for step in found),
        statistics.median(shares),
        shares,
    )


def steps_of(model: Decoder, tokens: int, steps: int) -> list[Step]:
    """Train, or on flex only evaluate, with the clocks in place."""
    trains = model.config.attention_impl != "flex"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    bind, calls, kernels = Clock(), Clock(), Clock()
    compiled = kernels.around(flex._compiled(True))
    found = []
    with (
        patch.object(Decoder, "bind", bind.around(Decoder.bind)),
        patch.object(Bound, "__call__", calls.around(Bound.__call__)),
        patch.object(
            F, "scaled_dot_product_attention", kernels.around(F.scaled_dot_product_attention)
        ),
        patch.object(flex, "_compiled", lambda static: compiled),
        torch.set_grad_enabled(trains),
    ):
        for seed in range(steps):
            text, doc = packed(model.config.vocab, 1, tokens, seed)
            bind.seconds = calls.seconds = kernels.seconds = 0.0
            begin = time.perf_counter()
            loss = next_token_loss(model(text, model.bind(tokens, 1, doc=doc)), text, doc)
            if trains:
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            whole = time.perf_counter() - begin
            found.append(Step(whole, bind.seconds, calls.seconds, kernels.seconds))
    return found


def shown(result: Result) -> str:
    """Return a line of the table."""
    return (
        f"{result.backend:<8}{result.step:>10.0f} ms{result.kernels:>10.0f} ms"
        f"{result.bind:>10.2f} ms{result.calls:>10.2f} ms{100 * result.share:>9.2f} %"
    )


def main() -> None:
    """Measure both backends and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two steps instead of five")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1024)
    asked = parser.parse_args()
    print(f"{'backend':<8}{'step':>13}{'kernels':>13}{'bind':>13}{'calls':>13}{'maskc':>11}")
    results = []
    for backend in ("sdpa", "flex"):
        sizes = {"layers": asked.layers, "width": asked.width, "vocab": 1024}
        heads = {"heads": asked.heads, "kv_heads": asked.heads}
        config = Config(MASK, **sizes, **heads, attention_impl=backend)
        results.append(measured(config, asked.tokens, 2 if asked.quick else asked.steps))
        print(shown(results[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    document = {
        "machine": machine,
        "model": {name: getattr(asked, name) for name in ("layers", "width", "heads", "tokens")},
        "mask": MASK,
        "target": TARGET,
        "results": [asdict(result) for result in results],
    }
    (RESULTS / "step.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
