"""A plan as torch's context parallelism takes it; the one file with private names of torch.

torch calls its context parallelism a prototype, so every name has an underscore. What stands here
was tried with torch 2.13. torch asks a load balancer for the order of tokens, and by it shards
tokens and targets (``context_parallel_shard``) and puts outputs back
(``context_parallel_unshard``). Give the balancer to both: without one, torch takes its own order
in one place and none in another. In the attention, ``gather`` brings the keys and values of all
ranks, in the order that ``Program.shard`` expects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskc.errors import LoweringError

try:
    from torch.distributed.tensor.experimental._attention import (
        _context_parallel_shard,
        _LoadBalancer,
        context_parallel_unshard,
    )
    from torch.distributed.tensor.experimental._context_parallel._cp_custom_ops import (
        flex_cp_allgather,
    )
except ImportError:
    raise LoweringError(
        "M521",
        f"torch {torch.__version__} has no context parallelism of torch 2.13's form",
        help="move the tokens yourself: `x[:, plan.positions[rank]]`",
    ) from None

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

__all__ = ["PlanLoadBalancer", "context_parallel_shard", "context_parallel_unshard", "gather"]

context_parallel_shard = _context_parallel_shard


class PlanLoadBalancer(_LoadBalancer):
    """The order of a plan.

    Attributes:
        positions: of each rank's rows, ``[ranks, seq_len / ranks]``.

    """

    def __init__(self, positions: Tensor) -> None:
        self.positions = positions

    def _generate_indices(self, restore: bool = False) -> Tensor:
        """Return where each token comes from, or where it went: ``[1, seq_len]``."""
        order = self.positions.flatten().long()
        return (order.argsort() if restore else order)[None]


def gather(k: Tensor, v: Tensor, mesh: DeviceMesh) -> tuple[Tensor, Tensor]:
    """Return the keys and values of all ranks, one rank after the other.

    The operator is torch's: its backward adds up what all ranks' queries say of a key, and it
    stays one node in a graph of ``torch.compile``.

    Args:
        k: of this rank, ``[B, H, seq_len / ranks, D]``.
        v: likewise.
        mesh: of context parallelism, one dimension.

    """
    whole: tuple[Tensor, Tensor] = flex_cp_allgather(k, v, 2, mesh.get_group().group_name)
    return whole
