"""The parts of a binding, run as the kernels that a GPU would get."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from fake_gpu import fake_gpu
from mirror import TABLES, Mirror
from torch import Tensor
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.decomposition import select_decomp_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from maskc import Bound
from maskc.lower.codegen.mods import Mod

flex_ops = sys.modules["torch._higher_order_ops.flex_attention"]
"""The operators behind ``flex_attention``; the package has a function of that name."""

QKV = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Forward:
    """What the forward kernel gave, and the code that was emitted for it."""

    out: Tensor
    lse: Tensor
    code: str


def forward(args: dict[str, Any], qkv: QKV, capability: int = 90) -> Forward:
    """Run compiled FlexAttention with the keywords of ``bound.flex_args()``."""
    with fake_gpu(capability) as mirror:
        out, aux = _call(mirror, args, qkv)
        return Forward(mirror.real(out), mirror.real(aux.lse), mirror.codes[-1])


def _call(mirror: Mirror, args: dict[str, Any], qkv: QKV) -> Any:
    keywords = {
        **args,
        "score_mod": mirror.mod(args["score_mod"]),
        "block_mask": mirror.blocks(args["block_mask"]),
    }
    compiled = torch.compile(flex_attention, fullgraph=True, dynamic=False)
    return compiled(*map(mirror.fake, qkv), **keywords, return_aux=AuxRequest(lse=True))
