"""``create_block_mask`` with torch's signature and torch's tables, worked out from the expression.

torch evaluates the callable at every pair of tokens; here it is traced, a millisecond, and the
tables come from the program. There are no guards on what a callable closes over: it is traced at
every call, so that a changed int counts, and only what follows from the text is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from math import prod
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as flex
from torch.nn.attention.flex_attention import BlockMask

from maskc.binding.call import find_device
from maskc.binding.flags import check_flag
from maskc.errors import BindError, MaskcError, MaskNameError, TracingWarning, did_you_mean
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Module
from maskc.ir.types import Ix
from maskc.options import Fallback
from maskc.run.bound import Bound
from maskc.tracing.tiles import all_full, expanded, joined
from maskc.tracing.traced import SIZES, Mod, Traced, bind_module, trace
from maskc.tracing.verify import verify_mask

FALLBACKS: tuple[Fallback, ...] = get_args(Fallback)

FEW = 2**20
"""Pairs of a mask that torch evaluates while a program is compiled."""

MOST_MET = 4096

_met: set[Module] = set()
"""The programs that were met."""

_warned: set[Any] = set()
"""The code objects that were warned about."""


def create_block_mask(
    mask_mod: Mod,
    B: int | None,  # noqa: N803 - torch's names
    H: int | None,  # noqa: N803
    Q_LEN: int,  # noqa: N803
    KV_LEN: int,  # noqa: N803
    device: torch.device | str | None = None,
    BLOCK_SIZE: int | tuple[int, int] = 128,  # noqa: N803
    _compile: bool = False,
    separate_full_blocks: bool = True,
    compute_dq_write_order: bool = False,
    dq_kv_order: bool = True,
    *,
    fallback: Fallback = "warn",
    verify: bool = False,
) -> BlockMask:
    """Return the block mask that ``torch.nn.attention.flex_attention.create_block_mask`` returns.

    Its tables say the same, and it carries the caller's own ``mask_mod``. Within ``torch.compile``
    it is torch's function that runs.

    Args:
        mask_mod: ``mask_mod(b, h, q_idx, kv_idx)``.
        B: batches; None for one table for all, from batch 0.
        H: query heads; None for one table for all, from head 0.
        Q_LEN: query rows.
        KV_LEN: key rows.
        device: where the tables are; torch's accelerator, or the CPU, if None.
        BLOCK_SIZE: of a tile, one int or (queries, keys).
        _compile: as in torch, where it is deprecated; nothing needs compiling here.
        separate_full_blocks: list full tiles by themselves; if False, as partial ones.
        compute_dq_write_order: add torch's order of writes for a deterministic backward pass.
        dq_kv_order: of that order, as in torch.
        fallback: what to do where the callable has no translation: ``warn`` (torch evaluates it,
            and a warning says so once a function), ``error``, or ``silent``.
        verify: compare the program with the callable at 4096 random pairs.

    Raises:
        MaskcError: with ``fallback="error"``, the callable has no translation; with ``verify``,
            the program disagrees with it.

    """
    _check_fallback(fallback)
    _check_groups(B=B, H=H)
    check_flag("separate_full_blocks", separate_full_blocks)
    check_flag("compute_dq_write_order", compute_dq_write_order)
    check_flag("verify", verify)

    def by_torch() -> BlockMask:
        return flex.create_block_mask(
            mask_mod,
            B,
            H,
            Q_LEN,
            KV_LEN,
            device,
            BLOCK_SIZE,
            separate_full_blocks=separate_full_blocks,
            compute_dq_write_order=compute_dq_write_order,
            dq_kv_order=dq_kv_order,
        )

    if in_trace():
        return by_torch()
    default = torch.accelerator.current_accelerator() or "cpu"
    place = find_device(default if device is None else device)
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    try:
        traced = trace(mask_mod, sizes=dict(zip(SIZES, sizes, strict=True)))
        if fallback != "error" and not verify and prod(sizes) <= FEW and _is_new(traced):
            with suppress(Exception):  # what torch cannot do is refused below, with the fix
                return by_torch()
        missing = [which for which, size in ((Ix.BATCH, B), (Ix.HEAD, H)) if size is None]
        bound = bind_module(traced, missing, **traced.sizes, device=place, block_size=BLOCK_SIZE)
        tables = _tables(bound, sizes, BLOCK_SIZE, place)
    except MaskcError as error:
        if fallback == "error":
            raise
        if fallback == "warn":
            _warn(mask_mod, error)
        try:
            return by_torch()
        except torch.OutOfMemoryError:
            raise
        except Exception as failure:  # torch has no way either, and ours names the line and a fix
            raise error from failure
    if verify:
        verify_mask(mask_mod, bound.mask_mod, sizes, place)
    if not separate_full_blocks:
        tables = joined(tables)
    result = _with_mod(tables, mask_mod)
    if compute_dq_write_order:
        _add_write_order(result, dq_kv_order)
    return result


def _is_new(traced: Traced) -> bool:
    """Tell whether a program is met for the first time.

    To compile it takes a few milliseconds, in which torch evaluates a small mask. The second call
    for the same program compiles it, and those after take less than a millisecond.
    """
    if traced.module in _met:
        return False
    if len(_met) == MOST_MET:
        _met.clear()
    _met.add(traced.module)
    return True


def _tables(
    bound: Bound,
    sizes: tuple[int, int, int, int],
    block_size: int | tuple[int, int],
    device: torch.device,
) -> BlockMask:
    result = bound.block_mask
    blocks = (block_size, block_size) if isinstance(block_size, int) else block_size
    if result is None:
        return all_full(sizes, blocks, device)
    return expanded(result, sizes[:2])


def _with_mod(tables: BlockMask, mask_mod: Mod) -> BlockMask:
    tables.mask_mod = mask_mod
    return tables


def _add_write_order(found: BlockMask, kv_order: bool) -> None:
    """Add what torch works out for a deterministic backward pass."""
    order: Callable[..., tuple[Tensor, Tensor | None]]
    order = flex._compute_dq_write_order_from_block_mask
    found.dq_write_order, found.dq_write_order_full = order(found, dq_kv_order=kv_order)
    found.dq_kv_order = None
    found.dq_kv_order_spt = kv_order


def _check_fallback(fallback: str) -> None:
    if not isinstance(fallback, str) or fallback not in FALLBACKS:
        help = did_you_mean(str(fallback), FALLBACKS) or f"expected one of {', '.join(FALLBACKS)}"
        raise MaskNameError("M311", f"unknown `fallback={fallback!r}`", help=help)


def _check_groups(**groups: Any) -> None:
    """Refuse numbers of batches and heads that are none."""
    for name, count in groups.items():
        if count is not None and (type(count) is not int or count < 1):
            message = f"`{name}` is an int of at least 1 or None, found {count!r}"
            raise BindError("M403", message, help="None makes one table for all")


def _warn(mask_mod: Mod, error: MaskcError) -> None:
    """Say once a function that torch evaluates it."""
    code = getattr(mask_mod, "__code__", type(mask_mod))
    if code not in _warned:
        _warned.add(code)
        message = f"torch evaluates this mask_mod at every pair of tokens: {error.message}"
        warning = TracingWarning("M813", message, error.span, error.help, error.notes)
        warnings.warn(warning, stacklevel=3)
