"""Tensors for the inputs of the standard library, made from what a training loop has at hand.

Pure functions of tensors: nothing here knows a program. Those that take float tensors are
differentiable. The first line of each says which names of ``maskc list`` take its result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from maskc.binding.call import find_device
from maskc.errors import BindError
from maskc.integrations.biases import (
    alibi_slopes,
    decomposed_rel_pos,
    samples,
    sandwich_bias,
    shaw_scores,
)
from maskc.integrations.given import count_of, counts_of, tensor_of
from maskc.limits import MAX_INT

__all__ = [
    "alibi_slopes",
    "ancestors",
    "decomposed_rel_pos",
    "doc_ids_from_cu_seqlens",
    "doc_ids_from_ends",
    "doc_ids_from_lengths",
    "doc_ids_from_packed_mask",
    "doc_ids_from_position_ids",
    "positions_in_document",
    "random_blocks",
    "samples",
    "sandwich_bias",
    "shaw_scores",
    "spans",
    "tile_order",
]


def doc_ids_from_lengths(
    lengths: Sequence[int] | Tensor, total: int | None = None, *, device: torch.device | None = None
) -> Tensor:
    """Return ``doc`` for documents packed one after the other.

    Args:
        lengths: tokens in each document.
        total: tokens in the whole row, the sum of ``lengths`` if None. The rest is padding and
            counts as one more document.
        device: where the ids are to be; that of ``lengths`` if None.

    Returns:
        Ids from 0, int32 ``[total]``.

    Raises:
        BindError: a length is negative, or the documents do not fit in ``total``.

    """
    counts = tensor_of("lengths", lengths).to(torch.int64)
    counts = counts if device is None else counts.to(find_device(device))
    if counts.dim() != 1 or bool((counts < 0).any()):
        message = f"expected a row of lengths of at least 0, found {_shown(counts)}"
        raise BindError("M430", message, help="call it once for each batch, and stack the rows")
    rest = 0 if total is None else count_of("total", total) - int(counts.sum())
    if rest < 0:
        message = f"the documents have {int(counts.sum())} tokens, more than {total}"
        raise BindError("M430", message, help="drop a document, or give a larger `total`")
    counts = torch.cat([counts, counts.new_tensor([rest])])
    ids = torch.arange(len(counts), dtype=torch.int32, device=counts.device)
    return torch.repeat_interleave(ids, counts)


def doc_ids_from_cu_seqlens(cu_seqlens: Tensor, total: int | None = None) -> Tensor:
    """Return ``doc`` from flash-attention's boundaries.

    Args:
        cu_seqlens: ``[documents + 1]``, where each document starts, and where the last ends.
        total: tokens in the whole row; what lies behind the last boundary is padding.

    Returns:
        Ids from 0, int32 ``[total]``, on the device of ``cu_seqlens``.

    Raises:
        BindError: the boundaries do not begin at 0 or do not rise.

    """
    cu_seqlens = tensor_of("cu_seqlens", cu_seqlens)
    if cu_seqlens.dim() != 1 or not len(cu_seqlens) or int(cu_seqlens[0]) != 0:
        message = f"expected boundaries that begin at 0, found {_shown(cu_seqlens)}"
        raise BindError("M430", message, help="as flash-attention takes them: [0, 5, 12]")
    return doc_ids_from_lengths(cu_seqlens.diff(), total)


def doc_ids_from_ends(tokens: Tensor, eos_id: int) -> Tensor:
    """Return ``doc`` for tokens in which a token ends each document, as torchtitan packs them.

    Args:
        tokens: ``[..., tokens]``.
        eos_id: the token that ends a document, and belongs to it.

    Returns:
        Ids from 0, int32, of the same shape.

    """
    ends = tensor_of("tokens", tokens) == count_of("eos_id", eos_id, -MAX_INT)
    return (ends.cumsum(-1) - ends.long()).to(torch.int32)


def doc_ids_from_position_ids(position_ids: Tensor) -> Tensor:
    """Return ``doc`` for positions that begin again in each document, as TRL and transformers pack.

    Args:
        position_ids: ``[..., tokens]``; a document begins where one is not one more than the last.

    Returns:
        Ids from 0, int64, of the same shape.

    """
    position_ids = tensor_of("position_ids", position_ids)
    first = position_ids[..., :1] - 1
    return (torch.diff(position_ids, prepend=first, dim=-1) != 1).cumsum(-1)


def doc_ids_from_packed_mask(attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``doc`` and ``valid`` for an attention mask that numbers documents, as axolotl packs.

    Args:
        attention_mask: ints ``[..., tokens]``: 1 for the first document, 2 for the next, and 0 for
            padding. As a mask of 0 and 1 it would join all documents.

    Returns:
        The ids, int32, and which tokens are of a document, bool.

    Raises:
        BindError: the mask holds no ints from 0.

    """
    attention_mask = tensor_of("attention_mask", attention_mask, ints=False)
    if attention_mask.is_floating_point() or attention_mask.dtype is torch.bool:
        message = f"expected ints that number documents, found {attention_mask.dtype}"
        raise BindError("M430", message, help="a mask of booleans is `valid` itself")
    if bool((attention_mask < 0).any()):
        raise BindError("M430", "documents are numbered from 1, found a number below 0")
    return attention_mask.to(torch.int32), attention_mask > 0


def positions_in_document(doc: Tensor) -> Tensor:
    """Return ``position``: how many earlier tokens of the row are of the same document.

    Args:
        doc: document ids ``[..., tokens]``, in any order.

    Returns:
        Positions from 0, int32, of the same shape.

    """
    doc = tensor_of("doc", doc)
    order = doc.argsort(dim=-1, stable=True)
    grouped = doc.gather(-1, order)
    place = torch.arange(doc.shape[-1], device=doc.device).expand_as(doc)
    begins = torch.ones_like(grouped, dtype=torch.bool)
    begins[..., 1:] = grouped[..., 1:] != grouped[..., :-1]
    start = torch.where(begins, place, 0).cummax(-1).values
    return torch.empty_like(place).scatter(-1, order, place - start).to(torch.int32)


def spans(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the run of each token begins and ends, for ``span(first, last)``.

    Args:
        ids: the id of each token's image or document ``[..., tokens]``, equal in a run; below 0
            for a token of none, whose span is empty.

    Returns:
        The first position of the run and the one after its last, int32, of the same shape.

    """
    ids = tensor_of("ids", ids)
    place = torch.arange(ids.shape[-1], device=ids.device).expand_as(ids)
    begins = torch.ones_like(ids, dtype=torch.bool)
    begins[..., 1:] = ids[..., 1:] != ids[..., :-1]
    ends = begins.roll(-1, -1)
    first = torch.where(begins, place, 0).cummax(-1).values
    last = torch.where(ends, place + 1, ids.shape[-1]).flip(-1).cummin(-1).values.flip(-1)
    outside = ids < 0
    return (
        torch.where(outside, place, first).to(torch.int32),
        torch.where(outside, place, last).to(torch.int32),
    )


def ancestors(parents: Sequence[int] | Tensor) -> Tensor:
    """Return ``ancestor``: which drafted tokens lead to each of them.

    Args:
        parents: the parent of each drafted token, an earlier one, or -1 for a root.

    Returns:
        Booleans ``[tokens, tokens]``, true on the diagonal.

    Raises:
        BindError: a parent does not come before its child.

    """
    known = [int(parent) for parent in tensor_of("parents", parents, 1).tolist()]
    table = torch.eye(len(known), dtype=torch.bool)
    for token, parent in enumerate(known):
        if not -1 <= parent < token:
            message = f"the parent of token {token} is {parent}, expected an earlier one or -1"
            raise BindError("M430", message, help="list the drafted tokens from the root down")
        if parent >= 0:
            table[token] |= table[parent]
    return table


def random_blocks(
    queries: int, keys: int, each: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return ``blocks`` with ``each`` random blocks of keys for every block of queries (BigBird).

    Args:
        queries: blocks of queries.
        keys: blocks of keys, at least ``each``.
        each: how many blocks of keys a block of queries sees.
        generator: a source of randomness.

    Returns:
        Booleans ``[1, queries, keys]``.

    """
    queries, keys = count_of("queries", queries), count_of("keys", keys)
    each = count_of("each", each)
    if each > keys:
        raise BindError("M430", f"cannot choose {each} of {keys} blocks")
    chosen = torch.rand(1, queries, keys, generator=generator).argsort(-1)[..., :each]
    return torch.zeros(1, queries, keys, dtype=torch.bool).scatter(-1, chosen, True)


def tile_order(grid: Sequence[int], tile: Sequence[int]) -> Tensor:
    """Return the positions of the tokens of a grid, tile by tile, for ``q_positions``.

    With the rows of q, k and v in this order, a tile of the grid is a block of the block mask, and
    ``sliding_tile`` leaves no block half filled.

    Args:
        grid: the sizes of the axes, the last one fastest.
        tile: the sizes of a tile; each divides its axis.

    Returns:
        int64 ``[tokens]``; row ``i`` of the permuted tensors is token ``order[i]``.

    """
    grid, tile = counts_of("grid", grid, 1), counts_of("tile", tile, 1)
    if len(grid) != len(tile) or any(n % t for n, t in zip(grid, tile, strict=True)):
        message = f"tiles of {list(tile)} do not divide a grid of {list(grid)}"
        raise BindError("M430", message, help="pad the grid, or choose another tile")
    split = [part for n, t in zip(grid, tile, strict=True) for part in (n // t, t)]
    places = torch.arange(math.prod(grid)).reshape(split)
    outer, inner = range(0, len(split), 2), range(1, len(split), 2)
    return places.permute(*outer, *inner).flatten()


def _shown(values: Tensor) -> str:
    return f"shape {list(values.shape)}" if values.dim() != 1 else f"{values.tolist()}"
