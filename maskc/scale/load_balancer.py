"""A plan as torch's context parallelism takes it; the one file with private names of torch.

torch calls its context parallelism a prototype, so every name has an underscore. What stands here
was tried with torch 2.13. torch asks a load balancer for the order of tokens, and by it shards
tokens and targets (``_context_parallel_shard``) and puts outputs back
(``context_parallel_unshard``). Give the balancer to both: without one, torch takes its own order
in one place and none in another.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.errors import LoweringError

try:
    from torch.distributed.tensor.experimental._attention import (
        _context_parallel_shard,
        _LoadBalancer,
        context_parallel_unshard,
    )
except ImportError:
    raise LoweringError(
        "M521",
        f"torch {torch.__version__} has no load balancers of context parallelism as torch 2.13 has",
        help="move the tokens yourself: `x[:, plan.positions[rank]]`",
    ) from None

__all__ = ["PlanLoadBalancer", "context_parallel_shard", "context_parallel_unshard"]

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
