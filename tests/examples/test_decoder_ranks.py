"""The decoder over two processes gives the gradients of one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from examples.decoder import train
from examples.decoder.data import packed
from examples.decoder.model import Config, Decoder, compiled, loss_of

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch has no gloo"),
]

RANKS, ROWS, LENGTH = 2, 2, 40
CONFIG = replace(Config.read(Path(train.CONFIG)), layers=2)
BY_HEAD = (
    "input limit: float; input slopes: float\n"
    "causal; score = clip(score, limit[head]) - slopes[head] * (q - k)"
)


def model_of(config: Config) -> Decoder:
    torch.manual_seed(0)
    model = Decoder(config)
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.to_q.weight.mul_(4)
    return model


def by_head() -> dict[str, Tensor]:
    """Return inputs for all heads of the model, each head's different."""
    return {
        "limit": torch.linspace(0.05, 1.0, CONFIG.heads),
        "slopes": torch.linspace(0.5, 0.01, CONFIG.heads),
    }


def gradients(model: Decoder) -> dict[str, Tensor]:
    """Return all gradients, whole and in float32, under the names of the plain model."""
    found = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        whole = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
        found[name.replace("_orig_mod.", "")] = whole.float()
    return found


def fsdp(rank: int, config: Config, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the gradients of a step in which each rank has rows of its own."""
    model = model_of(config)
    if dtype is torch.bfloat16:
        model = compiled(model)
    model = train.sharded(model, init_device_mesh("cpu", (RANKS,)), dtype)
    loss_of(model, *packed(CONFIG.vocab, ROWS, LENGTH, seed=rank)).backward()
    return gradients(model)


def tensor_parallel(rank: int) -> dict[str, Tensor]:
    """Return the gradients of a step in which each rank has heads of its own."""
    model = model_of(replace(CONFIG, mask=BY_HEAD))
    model = train.split_by_heads(model, init_device_mesh("cpu", (RANKS,)))
    tokens, _ = packed(CONFIG.vocab, ROWS, LENGTH, seed=0)
    bounds = model.bind(LENGTH, ROWS, ranks=RANKS, rank=rank, **by_head())
    model(tokens, bounds).square().mean().backward()
    return gradients(model)


def run(rank: int, store: Path, work: object, arguments: tuple[object, ...]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}/store", rank=rank, world_size=RANKS
    )
    found = work(rank, *arguments)
    if rank == 0:
        torch.save(found, store / "gradients.pt")
    dist.barrier()  # a rank that leaves early takes gloo's threads down under the other
    dist.destroy_process_group()


def over_ranks(store: Path, work: object, *arguments: object) -> dict[str, Tensor]:
    mp.spawn(run, (store, work, arguments), nprocs=RANKS)
    return torch.load(store / "gradients.pt", weights_only=True)


def worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the largest error of a parameter's gradient, relative to the gradient."""
    assert found.keys() == expected.keys()
    return max(
        ((found[name] - expected[name]).norm() / expected[name].norm()).item() for name in expected
    )


@pytest.mark.parametrize(
    ("dtype", "layers", "backend", "tolerance"),
    [
        pytest.param(torch.float32, 2, "sdpa", 1e-5, id="float32"),
        pytest.param(torch.float32, 2, "banded", 1e-5, id="float32, banded"),
        pytest.param(
            torch.bfloat16, 1, "sdpa", 3e-2, id="bfloat16, compiled", marks=pytest.mark.compiled
        ),
    ],
)
def test_fsdp2_gives_the_gradients_of_one_process(
    dtype: torch.dtype, layers: int, backend: str, tolerance: float, tmp_path: Path
) -> None:
    config = replace(CONFIG, layers=layers, attention_impl=backend)
    found = over_ranks(tmp_path, fsdp, config, dtype)
    alone = model_of(config)
    losses = [
        loss_of(alone, *packed(CONFIG.vocab, ROWS, LENGTH, seed=rank)) for rank in range(RANKS)
    ]
    (sum(losses) / RANKS).backward()
    assert worst(found, gradients(alone)) < tolerance


def test_tensor_parallelism_keeps_each_heads_inputs(tmp_path: Path) -> None:
    found = over_ranks(tmp_path, tensor_parallel)
    alone = model_of(replace(CONFIG, mask=BY_HEAD))
    tokens, _ = packed(CONFIG.vocab, ROWS, LENGTH, seed=0)
    alone(tokens, alone.bind(LENGTH, ROWS, **by_head())).square().mean().backward()
    assert worst(found, gradients(alone)) < 1e-4
