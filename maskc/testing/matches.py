"""A program against FlexAttention's callable, or against a dense mask: the same at every pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskc.arity import takes_score
from maskc.errors import BindError, TraceError
from maskc.testing.given import check_program

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from maskc.program import Program
    from maskc.run.bound import Bound

TOLERANCE = 1e-5
"""Of scores, absolute and relative."""


@dataclass(frozen=True, slots=True, repr=False)
class Match:
    """True where a program and another mask or score agree at every pair.

    Attributes:
        difference: where they first differ, a sentence; None where they agree. It is what a failed
            ``assert matches(...)`` shows.

    """

    difference: str | None

    def __bool__(self) -> bool:
        return self.difference is None

    def __repr__(self) -> str:
        return self.difference or "the same at every pair"


def matches(
    program: Program,
    other: Callable[..., Any] | Tensor,
    *,
    q_len: int | None = None,
    kv_len: int | None = None,
    batch_size: int | None = None,
    num_heads: int | None = None,
    device: torch.device | str | None = None,
    **inputs: Any,
) -> Match:
    """Compare a program with a callable or a dense tensor, at every pair of a call.

    torch evaluates the callable, as ``create_mask`` does; nothing is traced.

    Args:
        program: the program.
        other: a ``mask_mod`` or ``score_mod``, or a bool mask that broadcasts to ``[B, H, Q, K]``.
            A ``score_mod`` is compared with the program's score, at random scores.
        q_len: query rows; those of a tensor if None.
        kv_len: key rows; those of a tensor if None, as many as queries beside a callable.
        batch_size: batches; those of a tensor if None, else 1.
        num_heads: query heads; likewise.
        device: where the tensors are.
        **inputs: the program's inputs.

    Returns:
        What is true where they agree, and else says where they first differ: a test says
        ``assert matches(...)``.

    Raises:
        MaskcError: an input does not fit, or a callable has no ``q_len``.

    """
    import torch

    check_program(program)
    if isinstance(other, type) or not (callable(other) or isinstance(other, torch.Tensor)):
        message = f"`other` is a callable or a tensor, found {type(other).__name__}"
        raise BindError("M403", message, help="pass a `mask_mod`, a `score_mod` or a dense mask")
    shape = _shape_of(other, (batch_size, num_heads, q_len, kv_len))
    bound = program.bind(
        q_len=shape[2],
        kv_len=shape[3],
        batch_size=shape[0],
        num_heads=shape[1],
        device=device,
        **inputs,
    )
    if not isinstance(other, torch.Tensor) and takes_score(other):
        return _score_difference(bound, other, shape)
    result = bound.dense_mask()
    wanted = other if isinstance(other, torch.Tensor) else dense_mask(other, shape, result.device)
    return _first_difference(result.expand(shape), wanted.expand(shape), "mask")


def _shape_of(
    other: Callable[..., Any] | Tensor, given: tuple[int | None, ...]
) -> tuple[int, int, int, int]:
    """Return the sizes of the call: those given, else a tensor's."""
    import torch

    for size in given:
        if size is not None and (type(size) is not int or size < 1):
            message = f"a size is an int of at least 1, found {size!r:.80}"
            raise BindError("M403", message, help="for example `q_len=33`")
    rows = list(other.shape) if isinstance(other, torch.Tensor) else []
    own = [1, 1, *rows][-4:] if len(rows) > 1 else [1, 1, None, None]
    b, h, q, k = (own if size is None else size for size, own in zip(given, own, strict=True))
    if q is None:
        raise BindError("M402", "`matches` needs `q_len`", help="for example `q_len=33`")
    sizes = (1 if b is None else b, 1 if h is None else h, q, q if k is None else k)
    if isinstance(other, torch.Tensor) and not _broadcasts(other, sizes):
        message = f"a mask of shape {list(other.shape)} is none of a call of {list(sizes)}"
        raise BindError("M403", message, help="it broadcasts to [batch, heads, queries, keys]")
    return sizes


def _broadcasts(mask: Tensor, sizes: tuple[int, ...]) -> bool:
    own = ([1] * 4 + list(mask.shape))[-4:]
    return mask.dim() <= 4 and all(n in (1, size) for n, size in zip(own, sizes, strict=True))


def dense_mask(
    mask_mod: Callable[..., Any], shape: tuple[int, int, int, int], device: torch.device
) -> Tensor:
    """Return a callable's mask at all pairs, bool ``[B, H, Q, K]``."""
    return _at_all_pairs(mask_mod, shape, device)


def dense_score(score_mod: Callable[..., Any], scores: Tensor) -> Tensor:
    """Return a callable's new scores for ``[B, H, Q, K]`` old ones."""
    b, h, q, k = scores.shape
    return _at_all_pairs(score_mod, (b, h, q, k), scores.device, scores)


def _at_all_pairs(
    mod: Callable[..., Any],
    shape: tuple[int, int, int, int],
    device: torch.device,
    scores: Tensor | None = None,
) -> Tensor:
    import torch
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    mapped = mod
    before: tuple[int | None, ...] = () if scores is None else (0,)
    for dim in reversed(range(4)):
        mapped = torch.vmap(mapped, in_dims=(*before, *(0 if n == dim else None for n in range(4))))
    rows = [torch.arange(size, device=device) for size in shape]
    try:
        with torch.no_grad(), TransformGetItemToIndex():
            result: Tensor = mapped(*(() if scores is None else (scores,)), *rows)
    except Exception as error:
        text = f"{error}".partition("\n")[0]
        message = f"the callable raised {type(error).__name__}: {text}"
        help = "torch evaluates it at all pairs at once; call it with numbers to see what it does"
        raise TraceError("M810", message, help=help) from error
    return result


def _score_difference(
    bound: Bound, score_mod: Callable[..., Any], shape: tuple[int, int, int, int]
) -> Match:
    import torch

    seeds = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(shape, generator=seeds).to(bound.dense_mask().device)
    wanted = dense_score(score_mod, scores)
    result = scores if bound.score_mod is None else dense_score(bound.score_mod, scores)
    mask = bound.dense_mask().expand(shape)
    result = torch.where(mask, result, -torch.inf)
    return _first_difference(result, torch.where(mask, wanted, -torch.inf), "score")


def _first_difference(found: Tensor, wanted: Tensor, what: str) -> Match:
    """Say at which pair two tensors differ first, if they do."""
    import torch

    if found.dtype is torch.bool:
        same = found == wanted
    else:
        same = torch.isclose(found, wanted, TOLERANCE, TOLERANCE, equal_nan=True)
    if bool(same.all()):
        return Match(None)
    wrong = (~same).nonzero()
    place = tuple(wrong[0].tolist())
    at = ", ".join(f"{name}={i}" for name, i in zip("bhqk", place, strict=True))
    values = f"{found[place].item()}, expected {wanted[place].item()}"
    count = f"{len(wrong)} of {same.numel()}"
    return Match(f"{what} differs at {count} pairs, first {at}: {values}")
