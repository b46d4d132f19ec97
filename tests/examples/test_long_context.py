"""A row that is cut over ranks trains as in one process, by the example's own training loop."""

from __future__ import annotations

import contextlib
import io
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.attention.flex_attention import BlockMask

import maskc
from examples.long_context import torchtitan, train

CONFIG = tomllib.loads(train.CONFIG.read_text())
CONFIG["data"]["tokens"] = 512
CONFIG["plan"]["block"] = 32


def work(rank: int, ranks: int, store: Path, task: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}/store{ranks}", rank=rank, world_size=ranks
    )
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        result = task(rank)
    torch.save((result, shown.getvalue()), store / f"{ranks}_{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def ranks_of(task: Any, ranks: int, store: Path) -> list[tuple[Any, str]]:
    """Return what each rank gives and shows."""
    mp.spawn(work, (ranks, store, task), nprocs=ranks)
    return [torch.load(store / f"{ranks}_{rank}.pt") for rank in range(ranks)]


def losses(rank: int) -> list[float]:
    return train.train(CONFIG, steps=4)


@pytest.mark.distributed
def test_ranks_have_the_losses_of_one_process(tmp_path: Path) -> None:
    ((alone, shown),) = ranks_of(losses, 1, tmp_path)
    assert min(alone[2:]) < alone[0] - 0.03
    for ranks in (2, 4):
        found = ranks_of(losses, ranks, tmp_path)
        for together, _ in found:
            assert together == pytest.approx(alone, abs=1e-4)
        shown = found[0][1]
        assert shown.count("of the keys\n") == ranks
        assert "busiest 1.0" in shown


class Model(torchtitan.ProgramMasks):
    programs: ClassVar = {
        "basic_mask": maskc.compile_mask("causal & same_doc"),
        "sliding_window_mask": maskc.compile_mask("causal & same_doc & window(100)"),
    }


class Base:
    """What the mixin replaces; torchtitan's own would rewrite the masks over all pairs."""

    def post_dataloading_process(self, input_dict: Any, labels: Any) -> Any:
        raise AssertionError("the mixin comes first")


class Trainer(torchtitan.ShardedBatches, Base):
    def __init__(self, mesh: Any) -> None:
        self.model_parts = [Model()]
        self.parallel_dims = SimpleNamespace(cp_enabled=mesh is not None, get_mesh={"cp": mesh}.get)


def positions_of(*lengths: int) -> Tensor:
    return torch.cat([torch.arange(length) for length in lengths])


BATCHES = {
    "a row": positions_of(300, 100, 112),
    "rows": torch.stack([positions_of(300, 100, 112), positions_of(17, 495)]),
}


def batch(positions: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return what torchtitan's loader gives: tokens here are where they stand in the row."""
    tokens = torch.arange(positions.shape[-1]).expand_as(positions)
    return {"input": tokens, "positions": positions}, tokens + 1


def visible(positions: Tensor, reach: int) -> Tensor:
    """Return ``[B, S, S]``: a document's earlier tokens, no further back than ``reach``."""
    positions = positions.reshape(-1, positions.shape[-1])
    doc = (positions == 0).cumsum(-1)
    at = torch.arange(doc.shape[-1])
    behind = at[:, None] - at
    return (doc[:, :, None] == doc[:, None]) & (behind >= 0) & (behind < reach)


def blocks_of(mask: Tensor) -> Tensor:
    return mask.unflatten(2, (-1, 128)).unflatten(1, (-1, 128)).any(4).any(2)


REACH = {"basic_mask": 10**9, "sliding_window_mask": 100}


@pytest.mark.parametrize("name", BATCHES)
def test_the_masks_of_a_step(name: str) -> None:
    batched = batch(BATCHES[name])
    tokens, labels, more = Trainer(None).post_dataloading_process(*batched)
    assert tokens is batched[0]["input"]
    assert labels is batched[1]
    assert more["positions"] is BATCHES[name]
    assert list(more["attention_masks"]) == list(REACH)
    for mask, reach in REACH.items():
        blocks = more["attention_masks"][mask]
        assert blocks.shape[-2:] == (512, 512)
        listed = blocks.to_dense()[:, 0] > 0
        assert torch.equal(listed, blocks_of(visible(BATCHES[name], reach)))


def test_a_program_with_a_score_is_refused() -> None:
    bound = maskc.compile_mask("causal; score = softcap(score, 3)").bind(q_len=8)
    with pytest.raises(ValueError, match=r"has a score: give `bound.score_mod`"):
        torchtitan.masks_of(bound)


def titan_step(rank: int) -> dict[str, tuple[Tensor, Tensor, dict[str, Tensor]]]:
    trainer = Trainer(init_device_mesh("cpu", (dist.get_world_size(),)))
    return {name: step_of(trainer, positions) for name, positions in BATCHES.items()}


def step_of(trainer: Trainer, positions: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    tokens, labels, more = trainer.post_dataloading_process(*batch(positions))
    return tokens, labels, {name: listed(x) for name, x in more["attention_masks"].items()}


def listed(blocks: BlockMask) -> Tensor:
    return blocks.to_dense()[:, 0] > 0


@pytest.mark.distributed
def test_each_rank_has_its_rows_of_the_batch_and_of_the_masks(tmp_path: Path) -> None:
    found = ranks_of(titan_step, 2, tmp_path)
    for name, positions in BATCHES.items():
        steps = [result[name] for result, _ in found]
        rows = torch.cat([tokens.reshape(-1, tokens.shape[-1])[0] for tokens, _, _ in steps])
        assert torch.equal(rows.sort().values, torch.arange(512))
        order = rows[::128] // 128
        for mask, reach in REACH.items():
            whole = blocks_of(visible(positions, reach))[:, order][:, :, order]
            ours = torch.cat([masks[mask] for _, _, masks in steps], 1)
            assert torch.equal(ours, whole)
        for tokens, labels, _ in steps:
            assert torch.equal(labels, tokens + 1)
