"""Train one layer of attention at 32k tokens of packed documents on CPU, in bounded memory.

    python examples/long.py
    python examples/long.py --tokens 65536 --documents 64 --steps 5

A dense mask of 32k tokens takes 1 GiB as booleans and 4 GiB as floats, and FlexAttention has no
backward on CPU. Bands of query rows need neither: ``auto`` takes them, and every step packs other
documents, which compiles nothing.
"""

import argparse
import resource
import time

import torch
import torch.nn.functional as F
from torch import Tensor

import maskc

PROGRAM = maskc.compile_mask("causal & same_doc")


class Layer(torch.nn.Module):
    """Attention of some heads over a residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = torch.nn.Linear(width, 3 * width, bias=False)
        self.to_out = torch.nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, bound: maskc.Bound) -> Tensor:
        """Return ``x`` [B, S, width] with what the layer adds."""
        heads = self.to_qkv(F.rms_norm(x, x.shape[-1:])).unflatten(-1, (3 * self.heads, -1))
        q, k, v = heads.transpose(1, 2).chunk(3, dim=1)
        return x + self.to_out(bound(q, k, v).transpose(1, 2).flatten(2))


def main() -> None:
    """Train, and print the loss, the seconds and the peak memory of each step."""
    options = arguments()
    torch.manual_seed(0)
    layer = Layer(options.width, options.heads)
    target = Layer(options.width, options.heads).requires_grad_(False)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=3e-3)
    for step in range(options.steps):
        begin = time.perf_counter()
        doc = documents(options.tokens, options.documents)
        bound = PROGRAM.bind(q_len=options.tokens, num_heads=options.heads, doc=doc)
        x = torch.randn(1, options.tokens, options.width)
        with torch.no_grad():
            expected = target(x, bound)
        if not step:
            print(bound.explain(*stand_ins(options)))
        loss = F.mse_loss(layer(x, bound), expected)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - begin
        print(f"step {step}: loss {loss.item():.4f}, {seconds:.1f} s, peak {peak():.0f} MiB")


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Train at length on CPU, in bounded memory.")
    parser.add_argument("--tokens", type=int, default=2**15)
    parser.add_argument("--documents", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=2)
    return parser.parse_args()


def documents(tokens: int, count: int) -> Tensor:
    """Return the ids of documents that are cut at random places."""
    cuts = torch.randint(1, tokens, (count - 1,)).sort().values
    return torch.searchsorted(cuts, torch.arange(tokens), right=True)


def stand_ins(options: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    """Return q, k and v of a training step, which take no memory."""
    one = torch.zeros((), requires_grad=True)
    shape = (1, options.heads, options.tokens, options.width // options.heads)
    return one.expand(shape), one.expand(shape), one.expand(shape)


def peak() -> float:
    """Return the most memory that the process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
