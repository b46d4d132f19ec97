"""The parts of a binding, run as the kernels that a GPU would get."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
import torch._dynamo._trace_wrapped_higher_order_op as wrapped
from fake_gpu import fake_gpu, subscripts_filled
from mirror import TABLES, Mirror
from torch import Tensor
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.decomposition import select_decomp_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from maskc import Bound
from maskc.lower.codegen.mods import Mod
from maskc.lower.codegen.tensors import generate
from maskc.lower.flex import flex_args

flex_ops = sys.modules["torch._higher_order_ops.flex_attention"]
"""The operators behind ``flex_attention``; the package has a function of that name."""

QKV = tuple[Tensor, Tensor, Tensor]


BACKWARD_OPTIONS = {
    "BACKEND": "AUTO",
    "PRESCALE_QK": False,
    "ROWS_GUARANTEED_SAFE": False,
    "BLOCKS_ARE_CONTIGUOUS": False,
    "WRITE_DQ": True,
    "OUTPUT_LOGSUMEXP": True,
    "OUTPUT_MAX": False,
}
"""What ``flex_attention`` adds to ``kernel_options``."""


@dataclass(frozen=True, slots=True)
class Forward:
    """What the forward kernel gave, and the code that was emitted for it."""

    out: Tensor
    lse: Tensor
    code: str


@dataclass(frozen=True, slots=True)
class Gradients:
    """What the backward kernel gave: for q, k and v, and for each tensor that the score captured.

    A captured tensor that requires no gradient has None.
    """

    qkv: QKV
    captured: tuple[Tensor | None, ...]


def gpu_args(bound: Bound, **late: Tensor) -> dict[str, Any]:
    """Return ``bound.flex_args()`` as it would be on a GPU, over the tensors on CPU."""
    plan = bound._plan(late)
    device = torch.device("cuda")
    on_gpu = replace(plan, domain=replace(plan.domain, device=device))
    return flex_args(on_gpu, bound.block_mask)


def forward(args: dict[str, Any], qkv: QKV, capability: int = 90) -> Forward:
    """Run compiled FlexAttention with the keywords of ``flex_args``."""
    with fake_gpu(capability) as mirror:
        out, aux = call_forward(mirror, args, qkv)
        return Forward(mirror.real(out), mirror.real(aux.lse), mirror.codes[-1])


def call_forward(mirror: Mirror, args: dict[str, Any], qkv: QKV, **by_hand: Any) -> Any:
    """Call compiled ``flex_attention`` with fakes of the keywords and of q, k and v.

    Args:
        mirror: of the GPU.
        args: the keywords of ``flex_args``.
        qkv: queries, keys and values.
        **by_hand: a ``mask_mod`` or a ``score_mod`` that captures nothing, in place of theirs.

    """
    blocks = mirror.blocks(args["block_mask"])
    score_mod = mirror.mod(args["score_mod"])
    if by_hand.get("mask_mod") is not None:
        blocks.mask_mod = by_hand["mask_mod"]
    keywords = {**args, "score_mod": by_hand.get("score_mod", score_mod), "block_mask": blocks}
    compiled = torch.compile(flex_attention, fullgraph=True, dynamic=False)
    return compiled(*map(mirror.fake, qkv), **keywords, return_aux=AuxRequest(lse=True))


def backward(
    args: dict[str, Any], qkv: QKV, out: Tensor, lse: Tensor, slope: Tensor, capability: int = 90
) -> Gradients:
    """Run the backward kernel alone.

    Autograd refuses CUDA tensors where no CUDA is, fake ones too. So the operator of the backward
    pass is called as such, with the score's derivative traced on CPU.

    Args:
        args: the keywords of ``flex_args``.
        qkv: queries, keys and values.
        out: what the forward gave.
        lse: its natural log-sum-exp.
        slope: the gradient of the output.
        capability: of the GPU.

    """
    score = _over_tensors(args["score_mod"])
    captured = () if args["score_mod"] is None else args["score_mod"].tensors
    joint = _derivative(score, captured)
    real = (*qkv, out, lse / math.log(2), slope, torch.zeros_like(lse))
    with fake_gpu(capability) as mirror:
        fakes = [*map(mirror.fake, real)]
        operator = _Operator(args, mirror, score, joint, len(real))
        inputs = [*fakes, *operator.tables, *operator.captured, *operator.masked]
        graph = make_fx(operator, decomposition_table=select_decomp_table(), tracing_mode="fake")(
            *inputs
        )
        outputs = compile_fx_inner(graph, inputs)(list(inputs))
        found = iter([mirror.real(output) for output in outputs])
        grads = tuple(next(found) for _ in qkv)
        rest = tuple(next(found) if t.requires_grad else None for t in captured)
        return Gradients(grads, rest)


class _Operator:
    """The operator of the backward pass as a function of its tensors alone."""

    def __init__(
        self, args: dict[str, Any], mirror: Mirror, score: Mod, joint: Mod, leading: int
    ) -> None:
        blocks: BlockMask = args["block_mask"]
        self.blocks = blocks
        self.score, self.joint, self.leading = score, joint, leading
        self.options = {**BACKWARD_OPTIONS, **args.get("kernel_options", {})}
        self.tables = [mirror.fake(getattr(blocks, name)) for name in TABLES]
        mod = args["score_mod"]
        captured = () if mod is None else mod.tensors
        self.captured = [*map(mirror.fake, captured)]
        self.wanted = [place for place, real in enumerate(captured) if real.requires_grad]
        self.masked = [*map(mirror.fake, blocks.mask_mod.tensors)]

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        given = iter(tensors)

        def take(count: int) -> tuple[Tensor, ...]:
            return tuple(islice(given, count))

        q, k, v, out, lse, slope, lse_slope = take(self.leading)
        tables, captured, masked = take(len(TABLES)), take(len(self.captured)), tuple(given)
        mask = (
            *self.blocks.seq_lengths,
            *tables,
            *NO_ORDER,
            *self.blocks.BLOCK_SIZE,
            _over_tensors(self.blocks.mask_mod),
        )
        *grads, of_captured = flex_ops.flex_attention_backward(
            *(q, k, v, out, lse, slope, lse_slope),
            *(self.score, self.joint, mask, q.shape[-1] ** -0.5, self.options),
            *(captured, masked),
        )
        return [*grads, *(of_captured[place] for place in self.wanted)]


NO_ORDER = (None, None, None, None)
"""The orders in which another kernel writes the gradient of q."""


def _over_tensors(mod: Mod | None) -> Callable[..., Tensor]:
    """Return a mask or a score as a function of its arguments and then of what it captured."""
    if mod is None:
        return lambda score, *indices: score
    count = len(mod.tensors)
    if not count:
        return mod.function

    def function(*args: Tensor) -> Tensor:
        build = generate(mod.expr, mod.kind).build
        return build(*args[-count:], *mod.sizes)(*args[:-count])

    return function


def _derivative(score: Callable[..., Tensor], captured: tuple[Tensor, ...]) -> Callable[..., Any]:
    """Return the graph of the derivative of a score, traced on CPU."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        indices = (torch.empty((), dtype=torch.int32) for _ in range(4))
        example = (torch.empty((), requires_grad=True), *indices)
        buffers = tuple(map(mode.from_tensor, captured))
        with subscripts_filled(), wrapped.TransformGetItemToIndex():
            _, joint = flex_ops.create_fw_bw_graph(score, example, buffers)
    for node in joint.graph.nodes:
        if "device" in node.kwargs:
            node.update_kwarg("device", torch.device("cuda", 0))
    joint.recompile()
    return joint
