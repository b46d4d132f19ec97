"""Train a small model on every backend: its config's mask line, one graph, the same loss curve.

    python examples/train.py
    python examples/train.py --config my.toml --steps 200 --device cuda

Every step packs other documents into its rows. ``Decoder.bind`` turns them into masks, once and
outside of the compiled model, which takes them as arguments: after the first step nothing compiles.
Bands are constants of a graph, which other documents would compile again: banded runs uncompiled.

FlexAttention has no backward on CPU, so it cannot train there. Instead sdpa trains, and flex tells
the loss of the same parameters before each update, from a forward pass without gradients. Its curve
is compared like the others; its tokens per second are those of that pass.
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch._dynamo.utils import counters

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples.decoder.data import packed
from examples.decoder.model import Config, Decoder, compiled, loss_of

CONFIG = Path(__file__).parent / "decoder" / "decoder.toml"
BACKENDS = ("reference", "sdpa", "banded", "auto", "flex")
TOLERANCE = 1e-3
"""Between loss curves: backends round float32 differently, and training amplifies that."""


@dataclass
class Curve:
    """What came of a backend: the loss, the seconds and the new graphs of each step."""

    has_backward: bool
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    graphs: list[int] = field(default_factory=list)

    @property
    def recompiles(self) -> int:
        """How many graphs were compiled after the first step."""
        return sum(self.graphs[1:])


def main() -> None:
    """Train on each backend, print the curves, and fail if they differ or a step recompiles."""
    options = arguments()
    config = Config.read(options.config)
    print(config.mask.strip(), flush=True)
    curves = {}
    for backend in options.backends:
        curves[backend] = train(replace(config, attention_impl=backend), options)
        print(summary(backend, curves[backend], options.rows * options.length), flush=True)
    print_losses(curves)
    losses = torch.tensor([curve.losses for curve in curves.values()])
    apart = (losses - losses[0]).abs().max().item()
    print(f"\nlargest difference of two losses {apart:.1e}, allowed {TOLERANCE:g}")
    assert apart <= TOLERANCE, "the backends do not agree"
    assert not any(curve.recompiles for curve in curves.values()), "a later step compiled"


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Train a small model on every backend.")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiler", default="inductor", help="the backend of torch.compile")
    return parser.parse_args()


def train(config: Config, options: argparse.Namespace) -> Curve:
    """Train from the same parameters on the same text, whatever the backend."""
    torch.manual_seed(0)
    torch.compiler.reset()
    model = Decoder(config).to(options.device)
    curve = Curve(has_backward=config.attention_impl != "flex" or options.device != "cpu")
    learner = model if curve.has_backward else twin(model, "sdpa")
    if config.attention_impl != "banded":
        compiled(model, dynamic=False, backend=options.compiler)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    for step in range(options.steps):
        tokens, doc = packed(config.vocab, options.rows, options.length, seed=step)
        batch = tokens.to(options.device), doc.to(options.device)
        graphs, begin = counters["stats"]["unique_graphs"], time.perf_counter()
        with torch.set_grad_enabled(curve.has_backward):
            loss = loss_of(model, *batch)
        if curve.has_backward:
            update(optimizer, loss)
        curve.losses.append(loss.item())
        curve.seconds.append(time.perf_counter() - begin)
        curve.graphs.append(counters["stats"]["unique_graphs"] - graphs)
        if not curve.has_backward:
            update(optimizer, loss_of(learner, *batch))
    return curve


def twin(model: Decoder, backend: str) -> Decoder:
    """Return a model on another backend that shares the parameters of this one."""
    other = Decoder(replace(model.config, attention_impl=backend))
    other.load_state_dict(model.state_dict(), assign=True)
    return other


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take a step down the gradient of a loss."""
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def summary(backend: str, curve: Curve, tokens: int) -> str:
    """Return a line about a backend, for steps of so many tokens."""
    first, *later = curve.seconds
    what = "" if curve.has_backward else "  (forward only; sdpa takes its steps)"
    return (
        f"{backend:<10} first step {first:5.1f} s, then {tokens / statistics.median(later):8.0f} "
        f"tokens/s, {curve.graphs[0]} graphs compiled, {curve.recompiles} later{what}"
    )


def print_losses(curves: dict[str, Curve]) -> None:
    """Print every tenth loss of each backend side by side, and the last."""
    print("\nstep" + "".join(f"{name:>12}" for name in curves))
    steps = len(next(iter(curves.values())).losses)
    for step in sorted({*range(0, steps, 10), steps - 1}):
        print(f"{step:4}" + "".join(f"{c.losses[step]:12.5f}" for c in curves.values()))


if __name__ == "__main__":
    main()
