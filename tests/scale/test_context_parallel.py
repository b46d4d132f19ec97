"""torch's context parallelism over gloo, with the plan's order and the shard's mask and score."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.attention.flex_attention import BlockMask

from maskc import compile_mask
from maskc.scale.plan import Plan

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch has no gloo"),
]

LENGTH, HEADS, WIDTH = 1024, 2, 16
TEXT = "causal & same_doc & window(300) & k < 1000; score = score + slopes[head] * abs(q - k)"
MASK = "causal & same_doc & window(300) & k < 1000"
DOC = torch.repeat_interleave(torch.arange(4), torch.tensor([100, 500, 57, 367]))
SLOPES = torch.tensor([-0.05, -0.01])


def plan_of(ranks: int, balance: str) -> Plan:
    order = torch.randperm(LENGTH // 128, generator=torch.Generator().manual_seed(1))
    chosen = order if balance == "random" else balance
    return compile_mask(MASK).plan(LENGTH, ranks, balance=chosen, doc=DOC)


def drawn() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, HEADS, LENGTH, WIDTH, generator=generator) for _ in range(3)]


def rank_work(rank: int, ranks: int, store: Path, balance: str) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}/store", rank=rank, world_size=ranks
    )
    results = train_step(rank, ranks, balance)
    if rank == 0:
        torch.save(results, store / "results.pt")
    dist.barrier()
    dist.destroy_process_group()


def train_step(rank: int, ranks: int, balance: str) -> list[Tensor]:
    """Shard q, k and v by torch, gather keys and values by torch, and put results together."""
    from maskc.scale.context_parallel import context_parallel_shard, context_parallel_unshard

    mesh, plan = init_device_mesh("cpu", (ranks,)), plan_of(ranks, balance)
    balancer = plan.torch_load_balancer()
    own = context_parallel_shard(mesh, drawn(), [2, 2, 2], load_balancer=balancer)
    q, k, v = (x.detach().clone().requires_grad_() for x in own)
    bound = compile_mask(TEXT).shard(plan, rank, num_heads=HEADS, doc=DOC, slopes=SLOPES)
    every = [gathered(x, mesh) for x in (k, v)]
    out = bound(q, *every, backend="sdpa")
    (weight,) = context_parallel_shard(mesh, [weights()], [2], load_balancer=balancer)
    (out * weight).sum().backward()
    found = [out.detach(), q.grad, k.grad, v.grad]
    return context_parallel_unshard(mesh, found, [2] * 4, load_balancer=balancer)


def gathered(x: Tensor, mesh: object) -> Tensor:
    """Gather by torch's own collective, whose backward sums the gradients of all ranks."""
    from torch.distributed._functional_collectives import all_gather_tensor_autograd

    return all_gather_tensor_autograd(x.contiguous(), 2, mesh)


def weights() -> Tensor:
    return torch.linspace(-1, 1, HEADS * LENGTH * WIDTH).view(1, HEADS, LENGTH, WIDTH)


@pytest.mark.parametrize(("ranks", "balance"), [(2, "lpt"), (4, "random")])
def test_ranks_train_as_one_process(ranks: int, balance: str, tmp_path: Path) -> None:
    mp.spawn(rank_work, (ranks, tmp_path, balance), nprocs=ranks)
    found = torch.load(tmp_path / "results.pt", weights_only=True)
    qkv = [x.requires_grad_() for x in drawn()]
    out = compile_mask(TEXT)(*qkv, doc=DOC, slopes=SLOPES, backend="reference")
    (out * weights()).sum().backward()
    for one, other in zip(found, [out.detach(), *(x.grad for x in qkv)], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def tables_work(rank: int, ranks: int, store: Path, balance: str) -> None:
    from torch.distributed.tensor.experimental._context_parallel._attention import (
        _create_cp_block_mask,
    )

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}/store", rank=rank, world_size=ranks
    )
    mesh, plan = init_device_mesh("cpu", (ranks,)), plan_of(ranks, balance)
    bound = compile_mask(TEXT).shard(plan, rank, doc=DOC, slopes=SLOPES[:1])
    doc = DOC

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k <= q) & (doc[q] == doc[k]) & (q - k < 300) & (k < 1000)

    balancer = plan.torch_load_balancer()
    theirs = _create_cp_block_mask(mask_mod, 1, 1, LENGTH, LENGTH, mesh, load_balancer=balancer)
    torch.save([sets(theirs), sets(bound.block_mask)], store / f"tables{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def sets(blocks: BlockMask) -> dict[str, list[list[int]]]:
    """Return the columns that each row of each table lists."""
    names = ("kv", "full_kv", "q", "full_q")
    return {name: rows_of(blocks, name) for name in names}


def rows_of(blocks: BlockMask, name: str) -> list[list[int]]:
    counts, indices = (getattr(blocks, f"{name}_{x}")[0, 0] for x in ("num_blocks", "indices"))
    pairs = zip(counts.tolist(), indices.tolist(), strict=True)
    return [sorted(row[:count]) for count, row in pairs]


@pytest.mark.compiled
def test_tables_are_those_of_torch(tmp_path: Path) -> None:
    mp.spawn(tables_work, (2, tmp_path, "random"), nprocs=2)
    for rank in range(2):
        theirs, ours = torch.load(tmp_path / f"tables{rank}.pt", weights_only=True)
        assert ours == theirs
        assert any(ours["kv"])


@pytest.mark.compiled
def test_the_compiled_kernel_reads_a_ranks_tables() -> None:
    plan, (q, k, v) = plan_of(2, "lpt"), drawn()
    whole = compile_mask(TEXT)(q, k, v, doc=DOC, slopes=SLOPES, backend="reference")
    every = plan.positions.flatten().long()
    for rank, rows in enumerate(plan.positions.long()):
        bound = compile_mask(TEXT).shard(
            plan, rank, num_heads=HEADS, doc=DOC, slopes=SLOPES, compact=True
        )
        out = bound(q[:, :, rows], k[:, :, every], v[:, :, every], backend="flex")
        torch.testing.assert_close(out, whole[:, :, rows], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("balance", ["lpt", "headtail", "random"])
def test_indices_come_back(balance: str) -> None:
    balancer = plan_of(4, balance).torch_load_balancer()
    order, restore = (balancer._generate_indices(restore=back) for back in (False, True))
    assert order.shape == (1, LENGTH)
    assert torch.equal(order[0][restore[0]], torch.arange(LENGTH))
