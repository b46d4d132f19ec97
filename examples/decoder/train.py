"""Train the decoder on packed synthetic documents: alone, or sharded over ranks.

python examples/decoder/train.py
torchrun --nproc-per-node 2 examples/decoder/train.py --dtype bfloat16 --compile
"""

import argparse
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

sys.path.insert(0, str(Path(__file__).parents[2]))

from examples.decoder.data import packed
from examples.decoder.model import Config, Decoder, compiled, loss_of

CONFIG = Path(__file__).with_name("decoder.toml")


def sharded(model: Decoder, mesh: DeviceMesh, dtype: torch.dtype) -> Decoder:
    """Shard the parameters over the ranks (FSDP2); they compute in ``dtype``."""
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for layer in model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    return fully_shard(model, mesh=mesh, mp_policy=policy)


def split_by_heads(model: Decoder, mesh: DeviceMesh) -> Decoder:
    """Split the heads and the hidden layers over the ranks (tensor parallelism).

    The layers then hold the heads of their rank: ``model.bind(..., ranks=..., rank=...)`` tells the
    program which.
    """
    plan = {
        **{f"attention.{name}": ColwiseParallel() for name in ("to_q", "to_k", "to_v")},
        "attention.out": RowwiseParallel(),
        "up": ColwiseParallel(),
        "down": RowwiseParallel(),
    }
    for layer in model.layers:
        parallelize_module(layer, mesh, plan)
    return model


def main() -> None:
    """Train, and print the loss."""
    parser = argparse.ArgumentParser(description="Train a small decoder.")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--dtype", default="float32", help="of the computation, when sharded")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    config = Config.read(CONFIG)
    model = Decoder(config)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if options.compile:
        model = compiled(model)
    if ranks > 1:
        dist.init_process_group("gloo")
        mesh = init_device_mesh("cpu", (ranks,))
        model = sharded(model, mesh, getattr(torch, options.dtype))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(options.steps + 1):
        loss = loss_of(model, *packed(config.vocab, 8, 128, seed=step * ranks + rank))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 and rank == 0:
            print(f"step {step:4}  loss {loss.item():.3f}", flush=True)
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
