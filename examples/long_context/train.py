"""Train a small decoder on one long row of packed documents, cut over the ranks.

torchrun --nproc-per-node 1 examples/long_context/train.py
torchrun --nproc-per-node 4 examples/long_context/train.py

Both print the same losses: the ranks together are one process.
"""

import argparse
import sys
import tomllib
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

sys.path.insert(0, str(Path(__file__).parents[2]))

from examples.decoder.model import Config
from examples.decoder.train import sharded
from examples.long_context.data import long_row
from examples.long_context.model import LongDecoder

CONFIG = Path(__file__).with_name("long_context.toml")


def train(config: dict[str, Any], steps: int) -> list[float]:
    """Return the loss of the whole row at each step, the same on every rank."""
    torch.manual_seed(0)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    model = LongDecoder(Config(**config["model"]), mesh)
    model = sharded(model, mesh, torch.float32)  # FSDP2 over the ranks that share the row
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for seed in range(steps):
        tokens, doc = long_row(model.config.vocab, **config["data"], seed=seed)
        plan = model.plan(doc, **config["plan"])
        if seed == 0 and dist.get_rank() == 0:
            print(f"{plan!r}\n{plan}")
        loss = model(model.step(plan, tokens, doc))
        (loss * mesh.size()).backward()
        optimizer.step()
        optimizer.zero_grad()
        dist.all_reduce(whole := loss.detach().clone())
        losses.append(whole.item())
        if dist.get_rank() == 0:
            print(f"step {seed:3}  loss {losses[-1]:.4f}", flush=True)
    return losses


def main() -> None:
    """Train by the config, on as many ranks as torchrun started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--config", type=Path, default=CONFIG)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    train(tomllib.loads(options.config.read_text()), options.steps)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
