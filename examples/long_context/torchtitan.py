"""Programs in a trainer of torchtitan's form, with and without context parallelism.

Mix ``ProgramMasks`` into a model and ``ShardedBatches`` into its trainer:

    class Model(ProgramMasks, titan.Decoder):
        programs = {"basic_mask": maskc.compile_mask("causal & same_doc")}

    class Trainer(ShardedBatches, titan.Trainer): ...

The two methods that they replace are named and shaped as in torchtitan of August 2026 (commit
b5bcd76): ``Model.get_attention_masks(positions)`` and ``Trainer.post_dataloading_process``.
torchtitan's own order balances causal masks alone, and its rewriting of a mask costs the square of
the length; here the order follows the documents of the step, and each rank builds its own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

import maskc
from maskc.scale import Plan, share_order
from maskc.scale.context_parallel import context_parallel_shard

Batch = tuple[Tensor, Tensor, dict[str, Any]]
"""Tokens, targets, and what else the model's ``forward`` takes."""


def documents(positions: Tensor) -> Tensor:
    """Return the document of each token, ``[..., S]``, from positions that restart at 0."""
    return (positions == 0).int().cumsum(-1, dtype=torch.int32)


class ProgramMasks:
    """A model whose layers name the mask that they attend by.

    Attributes:
        programs: by the names that the layers use; each reads ``doc`` or nothing. Scores go to
            the attention by a road of their own, so a program here has a mask alone.

    """

    programs: ClassVar[Mapping[str, maskc.Program]]

    def get_attention_masks(self, positions: Tensor) -> dict[str, BlockMask | None]:
        """Return the block mask of each program.

        Args:
            positions: of each token in its document, ``[S]`` or ``[B, S]``.

        """
        doc = documents(positions)
        sizes = {"q_len": doc.shape[-1], "batch_size": batches(doc)}
        return {
            name: masks_of(program.bind(**sizes, **read(program, doc)))
            for name, program in self.programs.items()
        }


class ShardedBatches:
    """A trainer that cuts each row over the ranks of its ``cp`` mesh by the masks' own cost."""

    parallel_dims: Any
    model_parts: list[Any]

    def post_dataloading_process(self, input_dict: dict[str, Tensor], labels: Tensor) -> Batch:
        """Return this rank's tokens, targets, positions and masks.

        Args:
            input_dict: ``input`` and ``positions``, each ``[S]`` or ``[B, S]``.
            labels: of the same shape.

        """
        tokens, positions = input_dict["input"], input_dict["positions"]
        model = self.model_parts[0]
        if not self.parallel_dims.cp_enabled:
            masks = model.get_attention_masks(positions)
            return tokens, labels, {"positions": positions, "attention_masks": masks}
        mesh, doc = self.parallel_dims.get_mesh("cp"), documents(positions)
        plan = plan_of(model.programs, doc, mesh.size())
        masks = local_masks(model.programs, plan, mesh.get_local_rank(), doc)
        tokens, labels, positions = context_parallel_shard(
            mesh,
            [tokens, labels, positions],
            [doc.dim() - 1] * 3,
            load_balancer=plan.torch_load_balancer(doc.device),
        )
        return tokens, labels, {"positions": positions, "attention_masks": masks}


def plan_of(programs: Mapping[str, maskc.Program], doc: Tensor, ranks: int) -> Plan:
    """Return one order for all masks of a model."""
    length, size = doc.shape[-1], batches(doc)
    return share_order(
        [
            program.plan(length, ranks, batch_size=size, **read(program, doc))
            for program in programs.values()
        ]
    )


def local_masks(
    programs: Mapping[str, maskc.Program], plan: Plan, rank: int, doc: Tensor
) -> dict[str, BlockMask | None]:
    """Return the block mask of each program for the rows of one rank."""
    return {
        name: masks_of(program.shard(plan, rank, batch_size=batches(doc), **read(program, doc)))
        for name, program in programs.items()
    }


def masks_of(bound: maskc.Bound) -> BlockMask | None:
    """Return the block mask of a binding; None where every query sees every key.

    Raises:
        ValueError: the program has a score, which this road does not carry.

    """
    if bound.score_mod is not None:
        raise ValueError(
            f"`{bound}` has a score: give `bound.score_mod` to the attention, and its mask here"
        )
    return bound.block_mask


def read(program: maskc.Program, doc: Tensor) -> dict[str, Tensor]:
    """Return the inputs that a program reads."""
    return {"doc": doc} if any(one.name == "doc" for one in program.inputs) else {}


def batches(doc: Tensor) -> int:
    """Return how many rows ``doc`` has."""
    return doc.shape[0] if doc.dim() == 2 else 1
