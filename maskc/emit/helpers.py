"""What emitted files are made of besides the program: these functions, copied as they stand here.

So they need torch alone, and each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _fitted(
    name: str,
    value: Any,
    sizes: tuple[int, ...],
    q: Tensor,
    *,
    batch: bool = True,
    exact: bool = False,
) -> Tensor:
    """Return an input with the batch in front; dimensions of size 1 are repeated for nothing."""
    tensor = _widened(torch.as_tensor(value, device=q.device))
    if exact and not torch.compiler.is_compiling() and int(tensor.abs().max()) > 2**24:
        raise ValueError(f"input {name} decides as a float, which holds ints up to 2 ** 24")
    if batch and tensor.dim() == len(sizes) - 1:
        tensor = tensor.unsqueeze(0)
    shape = list(tensor.shape)
    fits = len(shape) == len(sizes)
    if not fits or any(has not in (1, n) and has < n for has, n in zip(shape, sizes, strict=True)):
        raise ValueError(f"input {name} has shape {shape}, expected at least {list(sizes)}")
    return tensor.expand([max(pair) for pair in zip(shape, sizes, strict=True)])


def _widened(tensor: Tensor) -> Tensor:
    """Return ints in 64 bits and floats in 32 at least, where positions are not rounded."""
    if tensor.dtype is torch.bool:
        return tensor
    least = torch.float32 if tensor.is_floating_point() else torch.int64
    return tensor.to(torch.promote_types(tensor.dtype, least))


def _indices(q: Tensor, k: Tensor) -> list[Tensor]:
    """Return batch, head, query row and key row, which broadcast to ``[B, H, Q, K]``."""
    sizes = [*q.shape[:3], k.shape[2]]
    shapes = [[-1 if own == dim else 1 for own in range(4)] for dim in range(4)]
    return [
        torch.arange(size, device=q.device).view(shape)
        for size, shape in zip(sizes, shapes, strict=True)
    ]


def _dense(values: Tensor) -> Tensor:
    """Return values of pairs with four dimensions."""
    return values.view((1,) * (4 - values.dim()) + values.shape)


def _mask(mask_mod: Callable[..., Tensor], q: Tensor, k: Tensor) -> Tensor:
    """Return where a query attends, bool ``[B | 1, H | 1, Q | 1, K | 1]``."""
    return _dense(mask_mod(*_indices(q, k)))


def _mask_all(mask_mod: Callable[..., Tensor], q: Tensor, k: Tensor) -> Tensor:
    """Return where a query attends; one without a key attends to every key."""
    mask = _mask(mask_mod, q, k)
    return mask | ~mask.any(dim=-1, keepdim=True)


def _mask_error(mask_mod: Callable[..., Tensor], q: Tensor, k: Tensor) -> Tensor:
    """Return where a query attends; one without a key is an error."""
    mask = _mask(mask_mod, q, k)
    if not bool(mask.any(dim=-1).all()):
        raise ValueError("a query row has no key")
    return mask


def _mask_dtype(q: Tensor) -> torch.dtype:
    """Return the dtype of a float mask: the CPU kernel takes float32 beside q of fewer bits."""
    return torch.promote_types(q.dtype, torch.float32) if q.device.type == "cpu" else q.dtype


def _added(mask: Tensor | None, score_mod: Callable[..., Tensor], q: Tensor, k: Tensor) -> Tensor:
    """Return what a score adds to every pair, -inf where the mask is false."""
    bias = _dense(score_mod(_widened(q.new_zeros(())), *_indices(q, k)).to(_mask_dtype(q)))
    return bias if mask is None else torch.where(mask, bias, float("-inf"))


def _changed(
    mask: Tensor | None,
    score_mod: Callable[..., Tensor],
    q: Tensor,
    k: Tensor,
    scale: float | None,
) -> Tensor:
    """Return the program's scores less those of q and k, -inf where the mask is false.

    A masked score never reaches ``score_mod``, which may overflow there.
    """
    scores = _scaled(q, k, scale)
    given = scores if mask is None else scores.masked_fill(~mask, 0.0)
    change = (score_mod(given, *_indices(q, k)) - scores).to(_mask_dtype(q))
    return change if mask is None else torch.where(mask, change, float("-inf"))


def _scaled(q: Tensor, k: Tensor, scale: float | None) -> Tensor:
    """Return the scaled scores ``[B, H, Q, K]``, in float32 at least."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    keys = _widened(k).repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    return (_widened(q) * scale) @ keys.transpose(-1, -2)


def _log_sum_exp(q: Tensor, k: Tensor, scale: float | None, mask: Tensor | None) -> Tensor:
    """Return the natural log-sum-exp of each row, ``[B, H, Q, 1]``; -inf for one without a key."""
    scores = _scaled(q, k, scale)
    if mask is not None and mask.dtype is torch.bool:
        scores = scores.masked_fill(~mask, float("-inf"))
    elif mask is not None:
        scores = scores + mask
    dead = scores.amax(dim=-1, keepdim=True) == float("-inf")
    lse = scores.masked_fill(dead, 0.0).logsumexp(dim=-1, keepdim=True)
    return lse.masked_fill(dead, float("-inf"))


def _ended(
    out_mod: Callable[..., Tensor], out: Tensor, lse: Tensor | None, q: Tensor, k: Tensor
) -> Tensor:
    """Return the output after the program's epilogue."""
    return out_mod(_widened(out), lse, *_indices(q, k)).to(out.dtype).expand_as(out)


def _unseen_as_zero(mask: Tensor | None, q: Tensor, x: Tensor) -> Tensor:
    """Return keys or values, 0 where no query attends: never written, they may hold NaN.

    Without a mask tensor the mask is causal.
    """
    if mask is None:
        seen = torch.arange(x.shape[2], device=x.device).view(1, 1, -1) < q.shape[2]
    else:
        seen = (mask if mask.dtype is torch.bool else ~mask.isneginf()).any(dim=2)
    if seen.shape[1] > 1:
        seen = seen.view(len(seen), x.shape[1], -1, seen.shape[-1]).any(dim=2)
    return torch.where(seen.unsqueeze(-1), x, 0.0)


def _nan_without_keys(out: Tensor, mask: Tensor) -> Tensor:
    """Return the output with NaN in the rows without a key."""
    sees = mask if mask.dtype is torch.bool else ~mask.isneginf()
    return out.masked_fill(~sees.any(dim=-1, keepdim=True), float("nan"))
