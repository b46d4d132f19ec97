"""The decoder of ``examples/decoder`` with one row of tokens cut over the ranks.

A rank embeds its own tokens, attends from them to the keys of all ranks, and answers for its own
targets. Masks, scores and rotary positions come from the plan; the layers never see a rank.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

import maskc
from examples.decoder.model import Attention, Config, Decoder, rotated
from maskc.scale import Plan, share_order
from maskc.scale.context_parallel import context_parallel_shard, gather


class SharedAttention(Attention):
    """Attention from the tokens of one rank to those of all ranks."""

    def forward(self, x: Tensor, bound: maskc.Bound, positions: Tensor, mesh: DeviceMesh) -> Tensor:
        """Attend from the tokens of ``x`` [B, S / ranks, width], which stand at ``positions``."""
        q, k, v = (self._heads(to(x)) for to in (self.to_q, self.to_k, self.to_v))
        k, v = gather(rotated(k, positions), v, mesh)
        out = bound(rotated(q, positions), k, v, backend=self.backend)
        return self.out(out.transpose(1, 2).flatten(2))


@dataclass(frozen=True)
class Step:
    """A rank's part of a row.

    Attributes:
        tokens: ``[1, S / ranks]``, in the plan's order.
        targets: likewise; -100 where a document ends.
        positions: of the tokens in the row, ``[S / ranks]``.
        bounds: the mask and the score of each layer, for these rows.
        counted: how many targets the whole row has.

    """

    tokens: Tensor
    targets: Tensor
    positions: Tensor
    bounds: list[maskc.Bound]
    counted: int


class LongDecoder(Decoder):
    """A decoder whose row is cut over the ranks of a mesh."""

    def __init__(self, config: Config, mesh: DeviceMesh) -> None:
        super().__init__(config)
        self.mesh = mesh
        for layer in self.layers:
            layer.attention = SharedAttention(config)

    def plan(self, doc: Tensor, block: int, balance: str) -> Plan:
        """Return who has which tokens: one order for all layers, by the heaviest mask."""
        return share_order(
            [
                program.plan(len(doc), self.mesh.size(), block_size=block, balance=balance, doc=doc)
                for program in dict.fromkeys(self.programs)
            ]
        )

    def step(self, plan: Plan, tokens: Tensor, doc: Tensor) -> Step:
        """Return this rank's part of a row of ``tokens`` [1, S], bound once for all layers."""
        rank, targets = self.mesh.get_local_rank(), next_tokens(tokens, doc)
        heads = {"num_heads": self.config.heads, "num_kv_heads": self.config.kv_heads}
        bounds = {
            program: program.shard(plan, rank, doc=doc, **heads)
            for program in dict.fromkeys(self.programs)
        }
        own = context_parallel_shard(
            self.mesh, [tokens, targets], [1, 1], load_balancer=plan.torch_load_balancer()
        )
        return Step(
            *own,
            positions=plan.positions[rank],
            bounds=[bounds[program] for program in self.programs],
            counted=int((targets >= 0).sum()),
        )

    def forward(self, step: Step) -> Tensor:
        """Return this rank's share of the mean loss of the row.

        The shares of all ranks add up to the loss; their gradients, which FSDP2 averages over the
        ranks, are scaled so that the average is the gradient of the whole row.
        """
        x = self.embed(step.tokens)
        for layer, bound in zip(self.layers, step.bounds, strict=True):
            x = layer(x, bound, step.positions, self.mesh)
        logits = self.head(F.rms_norm(x, x.shape[-1:]))
        losses = F.cross_entropy(logits[0].float(), step.targets[0], reduction="sum")
        return losses / step.counted


def next_tokens(tokens: Tensor, doc: Tensor) -> Tensor:
    """Return the token that follows each of ``tokens`` [1, S]; -100 at the end of a document."""
    last = doc != doc.roll(-1)
    last[-1] = True
    return tokens.roll(-1, dims=1).masked_fill(last, -100)
