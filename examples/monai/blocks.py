"""MONAI's attention blocks on fused attention, relative positions and masks included.

MONAI turns its fused path off as soon as a block has relative positions. Here the block's mask and
positions are a maskc program instead, and the parameters are MONAI's own: ``load_state_dict`` of a
trained ``SABlock`` or ``CrossAttentionBlock`` works unchanged.
"""

from functools import cache

import torch
from monai.networks.blocks.crossattention import CrossAttentionBlock
from monai.networks.blocks.selfattention import SABlock
from torch import Tensor

import maskc
from maskc.integrations.inputs import decomposed_rel_pos

AXES = "hwd"


class FusedSABlock(SABlock):
    """``SABlock`` with the arguments and parameters that it has."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Attend from every token of ``x`` [B, S, C] to the keys kept by ``attn_mask`` [B, S]."""
        if self.use_combined_linear:
            q, k, v = self.input_rearrange(self.qkv(x))
        else:
            q, k, v = (self.input_rearrange(to(x)) for to in (self.to_q, self.to_k, self.to_v))
        out = self.out_rearrange(fused_attention(self, q, k, v, attn_mask))
        return self.drop_output(self.out_proj(out) if self.include_fc else out)


class FusedCrossAttentionBlock(CrossAttentionBlock):
    """``CrossAttentionBlock`` with the arguments and parameters that it has, and a key mask."""

    def forward(
        self, x: Tensor, context: Tensor | None = None, attn_mask: Tensor | None = None
    ) -> Tensor:
        """Attend from ``x`` [B, S, C] to ``context`` [B, T, C], kept by ``attn_mask`` [B, T]."""
        context = x if context is None else context
        q, k, v = (
            self.input_rearrange(to(tokens))
            for to, tokens in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        out = self.out_rearrange(fused_attention(self, q, k, v, attn_mask))
        return self.drop_output(self.out_proj(out))


def fused_attention(
    block: SABlock | CrossAttentionBlock, q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None
) -> Tensor:
    """Attend as ``block`` is configured to, without ever holding its attention matrix.

    Raises:
        ValueError: the block is to save its attention weights, which fused attention has none of.

    """
    if block.save_attn:
        raise ValueError("fused attention has no weights to save: set save_attn=False")
    inputs = {} if keep is None else {"keep": keep != 0}
    if block.attention_dtype is not None:
        q, k, v = (tensor.to(block.attention_dtype) for tensor in (q, k, v))
    grid = None
    if block.rel_positional_embedding is not None:
        grid = tuple(block.input_size)
        tables = dict(zip(AXES, block.rel_positional_embedding.rel_pos_arr, strict=False))
        inputs |= decomposed_rel_pos(q, tables, dict(zip(AXES, grid, strict=False)))
    program = attention_program(block.causal, keep is not None, grid)
    dropout = block.dropout_rate if block.training else 0.0
    out = program(q, k, v, dropout_p=dropout, scale=q.shape[-1] ** -0.5, **inputs)
    return out.to(block.out_proj.weight.dtype) if block.attention_dtype is not None else out


@cache
def attention_program(causal: bool, keyed: bool, grid: tuple[int, ...] | None) -> maskc.Program:
    """Return the program of a block: its masks, and relative positions on its grid."""
    mask = " & ".join(["causal"] * causal + ["keep[k]"] * keyed) or "full"
    lines = ["input keep: bool"] * keyed + [mask]
    if grid is not None:
        axes = [f"{axis} = {size}" for axis, size in zip(AXES, grid, strict=False)]
        lines = [f"axis {', '.join(axes)}", *lines]
        lines.append(f"score = score + relpos({', '.join(AXES[: len(grid)])})")
    return maskc.compile_mask("\n".join(lines))


def main() -> None:
    """Show a block's program, and that its output is MONAI's."""
    torch.manual_seed(0)
    size = (16, 32)
    options = {"rel_pos_embedding": "decomposed", "input_size": size}
    theirs = SABlock(64, 4, causal=True, sequence_length=512, **options)
    for table in theirs.rel_positional_embedding.rel_pos_arr:
        torch.nn.init.normal_(table)
    ours = FusedSABlock(64, 4, causal=True, sequence_length=512, **options)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 512, 64)
    print(attention_program(True, False, size).text)
    print(f"largest difference to MONAI's block: {(ours(x) - theirs(x)).abs().max():.1e}")


if __name__ == "__main__":
    main()
