"""Programs to ``torch.nn.attention.flex_attention``, compiled by us when the caller does not.

One module-level function is compiled. Dynamo keys on the code object of the generated mods, so a
program compiles once for each shape; beyond torch's default of 8 recompiles it would silently run
dense attention, hence the limit given here and ``fullgraph``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from maskc.analysis.tables.block_tables import block_tables
from maskc.analysis.tiles.tile_map import TileMap
from maskc.errors import DenseScoresWarning, LoweringError
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Expr, Load, walk
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower.attention_call import Attended, AttentionCall, Refusal, no_dropout
from maskc.lower.codegen.mods import captured, mask_mod, score_mod
from maskc.lower.fold_factors import fold
from maskc.lower.kernel_tiles import check_backward, kernel_options
from maskc.lower.plan import Plan
from maskc.lower.uncompiled import expected
from maskc.topics import describe_bytes

COMPILED_PROGRAMS = 1024
"""How many programs and shapes one process may compile before torch refuses more."""

LIMIT_HIT = "FailOnRecompileLimitHit"
"""The error of torch beyond that, where this version of torch has it."""

NARROW = 24
SHORTEST_VECTOR = 4
"""Widths below the first that are multiples of the second need care on CPU; see ``_widened``."""


def flex_args(plan: Plan, blocks: BlockMask | None, q: Tensor | None = None) -> dict[str, Any]:
    """Return the keywords for ``flex_attention``: ``score_mod``, ``block_mask``, ``enable_gqa``.

    On a GPU ``kernel_options`` comes with them where the blocks need tiles of another size than
    the kernel's own.

    Args:
        plan: the program over tensors.
        blocks: the block mask, or None where nothing is masked.
        q: the queries, if they are known: wide ones leave less room for tiles.

    """
    args = {
        "score_mod": _score_mod(plan),
        "block_mask": blocks,
        "enable_gqa": plan.is_grouped,
    }
    if blocks is None or plan.domain.device.type == "cpu":
        return args
    known = {} if q is None else {"row_bytes": q.shape[-1] * q.element_size()}
    options = kernel_options(blocks.BLOCK_SIZE, plan.domain.sizes, **known)
    return {**args, "kernel_options": options} if options else args


def _score_mod(plan: Plan) -> Callable[..., Any] | None:
    """Return the score's function; in a trace it is built from code that is there already."""
    code = plan.facts.code
    if code is None:
        return None
    if in_trace():
        tensors, sizes = captured(code, plan.domain)
        return code.build(*tensors, *sizes)
    return score_mod(plan.facts.score, plan.domain)


def block_mask(
    mask: Expr, domain: Domain, tiles: TileMap, compact: bool, backward: bool = True
) -> BlockMask:
    """Return the block mask of a mask over rows, from its tiles.

    Args:
        mask: the boolean row expression.
        domain: what it runs over.
        tiles: its full and partial tiles; B and H are 1 where the mask does not depend on them.
        compact: let the rows of a table overlap where their entries are unused.
        backward: whether to make the tables that the backward pass reads.

    """
    return BlockMask(
        (domain.sizes[Sz.Q_LEN], domain.sizes[Sz.KV_LEN]),
        **block_tables(tiles, compact, backward)._asdict(),
        BLOCK_SIZE=tiles.grid.block,
        mask_mod=mask_mod(mask, domain),
    )


def refuses(plan: Plan, call: AttentionCall) -> Refusal | None:
    """Return why FlexAttention cannot run the call, or None."""
    trains = _wants_gradient(plan, call.qkv)
    if call.dropout_p:
        return no_dropout("flex", call)
    if trains and call.q.device.type == "cpu":
        return NO_BACKWARD
    if trains and plan.masks and not call.blocks.serves_backward:
        return NO_TABLES_BY_KEY
    if trains and plan.facts.ignores_score:
        return IGNORED_SCORE
    if trains and (name := _unscattered(plan)) is not None:
        return Refusal(
            "M516",
            "on a GPU flex_attention has a gradient for a tensor that the score reads in one "
            f"place, by a subscript, which is not so for `{name}`",
            "use the sdpa backend, or bind the reads to tensors of their own",
        )
    return None


def run(plan: Plan, call: AttentionCall) -> Attended:
    """Run FlexAttention, compiled where there is a compiled kernel.

    Raises:
        LoweringError: torch refused the call.

    """
    needs_lse = call.needs_lse or plan.facts.reads_lse
    attend = _runner(call.q, needs_lse)
    folded = fold(plan, call.q, call.k, call.scale)
    q, k, v = folded.q, folded.k, call.v
    blocks = call.blocks.block_mask
    if q.device.type == "cpu":
        q, k = _widened(q), _widened(k)
    elif blocks is not None and _wants_gradient(plan, (q, k, v)):
        check_backward(blocks.BLOCK_SIZE, q.shape[-1], q.dtype)
    args = flex_args(folded.plan, blocks, q)
    if not torch.is_grad_enabled():
        q, k, v = q.detach(), k.detach(), v.detach()  # torch asks the tensors, not the mode
    try:
        result = attend(
            q.contiguous(),
            k.contiguous(),
            v.contiguous(),
            scale=folded.scale,
            return_aux=AuxRequest(lse=True) if needs_lse else None,
            **args,
        )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError, ValueError, AssertionError) as error:
        if isinstance(error, LoweringError):
            raise
        message = f"torch's flex_attention refused the call: {_reason(error)}"
        raise LoweringError("M505", message, help="use the sdpa backend") from error
    out, lse = (result[0], result[1].lse) if needs_lse else (result, None)
    return Attended(plan.epilogue(out, lse), lse)


def explain(plan: Plan | None, call: AttentionCall) -> list[str]:
    """Return the bytes of the block tables, and what keeps flex from a compiled kernel."""
    blocks = call.blocks.block_mask
    size = None if blocks is None else describe_bytes(_bytes(blocks))
    lines = ["no block mask" if size is None else f"block tables, {size}"]
    if call.blocks.has_key_ranges:
        lines.append("equal ids stand side by side: they are a range of keys for each query")
    if blocks is not None:
        lines.append("masked keys may hold anything, their values nothing infinite and no NaN")
    return lines if plan is None else lines + _limits(plan, call)


def _limits(plan: Plan, call: AttentionCall) -> list[str]:
    refused = refuses(plan, call)
    if refused is not None:
        return [f"refuses the call: {refused.message}"]
    if not compiles(call.q, plan.facts.reads_lse):
        return ["runs uncompiled here, with dense scores as the reference has them"]
    if not compiles(call.q, True):
        return ["with `return_lse=True` it runs uncompiled, with dense scores"]
    return []


def _bytes(blocks: BlockMask) -> int:
    """Return the bytes of a block mask's tables; those that share memory count once."""
    tables = [
        getattr(blocks, f"{full}{name}")
        for name in ("kv_num_blocks", "kv_indices", "q_num_blocks", "q_indices")
        for full in ("", "full_")
    ]
    stored = {t.untyped_storage().data_ptr(): t for t in tables if t is not None}
    return sum(table.untyped_storage().nbytes() for table in stored.values())


def _reason(error: BaseException) -> str:
    """Return the first line of the root cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _unscattered(plan: Plan) -> str | None:
    """Return the name of an input whose gradient the backward kernel cannot collect, or None.

    The kernel adds each pair's share to the entry that the pair read: one read, with a subscript.
    Inductor of torch 2.13 fails on any other when it compiles the kernel.
    """
    for name, tensor in plan.domain.tensors.items():
        if not tensor.requires_grad:
            continue
        terms = walk(plan.module.score)
        reads = {t for t in terms if isinstance(t, Load) and t.input.name == name}
        if len(reads) > 1 or any(not read.indices for read in reads):
            return name
    return None


def _wants_gradient(plan: Plan, qkv: tuple[Tensor, ...]) -> bool:
    """Tell whether the call is part of a backward pass, by q, k, v or what the score reads."""
    code = plan.facts.code
    read = () if code is None else tuple(plan.domain.tensors[name] for name in code.inputs)
    return torch.is_grad_enabled() and any(t.requires_grad for t in (*qkv, *read))


def compiles(q: Tensor, needs_lse: bool) -> bool:
    """Tell whether compiled FlexAttention can: on CPU it has no float64 and no log-sum-exp."""
    return q.device.type != "cpu" or (q.dtype is not torch.float64 and not needs_lse)


def _runner(q: Tensor, needs_lse: bool) -> Callable[..., Any]:
    """Return what runs the call: within ``torch.compile`` the caller's compiler does."""
    if in_trace():
        return _attention
    return _run_compiled if compiles(q, needs_lse) else _run_eager


def _widened(x: Tensor) -> Tensor:
    """Return q or k with a column of zeros where torch's CPU kernel would go wrong without it.

    For widths below 24 that are multiples of the vector length the kernel multiplies q by 16 keys
    at a time, also where fewer are left, and writes past its buffer of scores (seen with torch
    2.13 at width 16 and 24 keys). Any other width takes a path that does not.
    """
    narrow = x.shape[-1] < NARROW and x.shape[-1] % SHORTEST_VECTOR == 0
    return F.pad(x, (0, 1)) if narrow else x


def _attention(q: Tensor, k: Tensor, v: Tensor, **args: Any) -> Any:
    return flex_attention(q, k, v, **args)


def _run_eager(q: Tensor, k: Tensor, v: Tensor, **args: Any) -> Any:
    """Run FlexAttention's dense math, for what no compiled kernel on CPU gives."""
    why = "has no log-sum-exp" if args["return_aux"] is not None else "has no float64"
    message = f"compiled flex_attention {why} on CPU, so the scores of all pairs are kept"
    warnings.warn(message, DenseScoresWarning, stacklevel=4)
    with expected(), _many_programs():
        return _attention(q, k, v, **args)


def _run_compiled(q: Tensor, k: Tensor, v: Tensor, **args: Any) -> Any:
    try:
        with _many_programs():
            return _compiled(q.device.type == "cpu")(q, k, v, **args)
    except getattr(torch._dynamo.exc, LIMIT_HIT, ()):
        raise TOO_MANY.error() from None


def _many_programs() -> Any:
    """Return a context in which dynamo compiles as many programs and shapes as we allow.

    torch keeps these limits for each thread, so that no other thread lowers them meanwhile.
    """
    return torch._dynamo.config.patch(
        recompile_limit=COMPILED_PROGRAMS, accumulated_recompile_limit=COMPILED_PROGRAMS
    )


@cache
def _compiled(static: bool) -> Callable[..., Any]:
    """Return the compiled function; ``static`` compiles once a shape instead of dynamically."""
    compiled: Callable[..., Any] = torch.compile(
        _attention, fullgraph=True, dynamic=False if static else None
    )
    return compiled


TOO_MANY = Refusal(
    "M513",
    f"flex_attention was compiled for {COMPILED_PROGRAMS} programs and shapes in this process, "
    "the most that one may",
    "pad to fewer lengths, drop the compiled ones with `torch.compiler.reset()`, or use the sdpa "
    "backend",
)
NO_BACKWARD = Refusal(
    "M502",
    "flex_attention has no backward on CPU, and a tensor requires a gradient",
    "use the banded or the sdpa backend, or `torch.no_grad()`",
)
NO_TABLES_BY_KEY = Refusal(
    "M518",
    "the block mask was bound with `backward=False`, and a tensor requires a gradient",
    "bind with `backward=True`, or use `torch.no_grad()`",
)
IGNORED_SCORE = Refusal(
    "M504",
    "flex_attention has no gradient for a score that ignores `score`",
    "use the sdpa or the reference backend",
)
