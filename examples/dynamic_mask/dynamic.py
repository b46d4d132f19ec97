"""Dynamic masks (flash-dmattn, Doge): every key head keeps the keys of largest bias.

The selection is a mask, worked out from the bias when it is bound, and has no gradient; the bias
itself is added to the score, and learns there.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maskc

SUBSCRIPTS = {3: "[kv_head, k]", 4: "[kv_head, q_idx, k]"}
"""How a bias or a mask is read, by its number of dimensions."""


@cache
def dynamic_program(count: int, bias_dims: int, mask_dims: int | None) -> maskc.Program:
    """Return the program for a bias and a mask of so many dimensions.

    A mask takes part in the selection: the ``count`` best of the keys that it allows.
    """
    bias = f"bias{SUBSCRIPTS[bias_dims]}"
    where = "true" if mask_dims is None else f"keep{SUBSCRIPTS[mask_dims]}"
    return maskc.compile_mask(
        f"""
        param count: int
        input bias: float
        input keep: bool
        topk({bias}, count, where = {where}) & causal_lower_right
        score = score + {bias}
        """,
        count=count,
    )


def dynamic_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor,
    count: int,
    mask: Tensor | None = None,
    **call: object,
) -> Tensor:
    """Attend to the keys of largest bias.

    Args:
        q: ``[B, H, Q, D]``.
        k: ``[B, Hkv, K, D]``.
        v: ``[B, Hkv, K, D]``.
        bias: ``[B, Hkv, K]`` or ``[B, Hkv, Q, K]``; Hkv may be 1 here and in the mask.
        count: how many keys a query keeps at most.
        mask: ``[B, Hkv, K]`` or ``[B, Hkv, Q, K]``, true for keys that may be kept; or None.
        **call: keywords of the call, such as ``backend``.

    """
    program = dynamic_program(count, bias.dim(), None if mask is None else mask.dim())
    inputs = {"bias": bias} if mask is None else {"bias": bias, "keep": mask}
    return program(q, k, v, **inputs, **call)


class DynamicMaskAttention(nn.Module):
    """Self-attention that keeps keys by what their values say (Doge, arXiv:2508.02124)."""

    def __init__(self, width: int, heads: int, kv_heads: int, count: int) -> None:
        super().__init__()
        self.head_width, self.count = width // heads, count
        self.to_q = nn.Linear(width, heads * self.head_width, bias=False)
        self.to_kv = nn.Linear(width, 2 * kv_heads * self.head_width, bias=False)
        self.to_bias = nn.Linear(kv_heads * self.head_width, kv_heads, bias=False)
        self.gain = nn.Parameter(torch.ones(kv_heads))
        self.out = nn.Linear(heads * self.head_width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within ``x`` [B, S, width]."""
        q = self._heads(self.to_q(x))
        keys, values = self.to_kv(x).chunk(2, dim=-1)
        bias = (self.gain * F.softplus(self.to_bias(values))).transpose(1, 2)
        found = dynamic_attention(q, self._heads(keys), self._heads(values), bias, self.count, mask)
        return self.out(found.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


def main() -> None:
    """Train the layer on running maxima, and print how it goes."""
    torch.manual_seed(0)
    layer = DynamicMaskAttention(32, 4, 2, count=8)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    print(dynamic_program(8, 3, None).text)
    for step in range(101):
        x = torch.randn(8, 64, 32)
        loss = F.mse_loss(layer(x), x.cummax(dim=1).values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step:3}  loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
