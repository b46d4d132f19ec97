"""attention-gym: masks and scores, from the formulas in its documentation."""

from __future__ import annotations

import torch
from corpus.cases import Mod, case, documents, floats
from torch.nn.attention.flex_attention import and_masks, or_masks

GYM = "attention-gym"


def causal(b, h, q, k):
    return q >= k


@case(GYM, "masks/causal")
def gym_causal() -> Mod:
    return causal


@case(GYM, "masks/sliding_window")
def gym_sliding_window() -> Mod:
    window_size = 7

    def sliding_window(b, h, q, k):
        return q - k <= window_size

    return and_masks(causal, sliding_window)


@case(GYM, "masks/prefix_lm")
def gym_prefix_lm() -> Mod:
    prefix_length = 9

    def prefix(b, h, q, k):
        return k < prefix_length

    return or_masks(prefix, causal)


@case(GYM, "masks/document_mask")
def gym_document_mask() -> Mod:
    document_id = documents(40)
    offsets = torch.searchsorted(document_id, torch.arange(5))

    def inner(b, h, q, k):
        return q >= k

    def doc_mask(b, h, q, k):
        same_doc = document_id[q] == document_id[k]
        q_logical = q - offsets[document_id[q]]
        k_logical = k - offsets[document_id[k]]
        return same_doc & inner(b, h, q_logical, k_logical)

    return doc_mask


@case(GYM, "masks/document_mask with a window inside")
def gym_document_window() -> Mod:
    document_id = documents(40, seed=1)
    offsets = torch.searchsorted(document_id, torch.arange(5))
    window = 3

    def doc_mask(b, h, q, k):
        left = q - offsets[document_id[q]]
        right = k - offsets[document_id[k]]
        near = (left - right).abs() <= window
        return (document_id[q] == document_id[k]) & near

    return doc_mask


@case(GYM, "masks/natten", shape=(1, 2, 48, 48))
def gym_natten() -> Mod:
    width, height, kernel = 8, 6, 3

    def natten(b, h, q, k):
        q_x, q_y = q % width, q // width
        k_x, k_y = k % width, k // width
        center_x = q_x.clamp(kernel // 2, (width - 1) - kernel // 2)
        center_y = q_y.clamp(kernel // 2, (height - 1) - kernel // 2)
        hori = (center_x - k_x).abs() <= kernel // 2
        vert = (center_y - k_y).abs() <= kernel // 2
        return hori & vert

    return natten


@case(GYM, "masks/natten, tiled order", shape=(1, 1, 64, 64))
def gym_tiled_natten() -> Mod:
    width, kernel, tile = 8, 5, 4

    def coordinates(idx):
        tiles, inside = idx // (tile * tile), idx % (tile * tile)
        per_row = width // tile
        x = tiles % per_row * tile + inside % tile
        y = tiles // per_row * tile + inside // tile
        return x, y

    def natten(b, h, q, k):
        q_x, q_y = coordinates(q)
        k_x, k_y = coordinates(k)
        low, high = kernel // 2, width - 1 - kernel // 2
        close_x = (torch.clamp(q_x, low, high) - k_x).abs() <= kernel // 2
        close_y = (torch.clamp(q_y, low, high) - k_y).abs() <= kernel // 2
        return close_x & close_y

    return natten


@case(GYM, "masks/natten, Morton order", shape=(1, 1, 64, 64))
def gym_morton_natten() -> Mod:
    """The bits of a position are those of its two coordinates, interleaved."""
    width, kernel = 8, 3

    def compact(z):
        z = z & 0x55
        z = (z ^ (z >> 1)) & 0x33
        return (z ^ (z >> 2)) & 0x0F

    def natten(b, h, q, k):
        q_x, q_y = compact(q), compact(q >> 1)
        k_x, k_y = compact(k), compact(k >> 1)
        low, high = kernel // 2, width - 1 - kernel // 2
        near_x = (q_x.clamp(low, high) - k_x).abs() <= kernel // 2
        near_y = (q_y.clamp(low, high) - k_y).abs() <= kernel // 2
        return near_x & near_y

    return natten


@case(GYM, "masks/transfusion")
def gym_transfusion() -> Mod:
    modality = torch.tensor([[[3, 5], [20, 9]], [[0, 4], [30, 6]]])

    def transfusion(b, h, q, k):
        mask = q >= k
        for part in range(2):
            offset, length = modality[b, part, 0], modality[b, part, 1]
            inside_q = (q >= offset) & (q < offset + length)
            inside_k = (k >= offset) & (k < offset + length)
            mask = mask | (inside_q & inside_k)
        return mask

    return transfusion


@case(GYM, "masks/transfusion, spans as rows")
def gym_transfusion_rows() -> Mod:
    starts = torch.tensor([[3, 20, 33], [0, 10, 25]])
    lengths = torch.tensor([[5, 9, 4], [4, 3, 6]])

    def transfusion(b, h, q, k):
        start, stop = starts[b], starts[b] + lengths[b]
        both = (start <= q) & (q < stop) & (start <= k) & (k < stop)
        return (q >= k) | both.any(-1)

    return transfusion


@case(GYM, "masks/diffusion_block", shape=(1, 1, 48, 48))
def gym_block_diffusion() -> Mod:
    n, block_size = 24, 4

    def block_diff(b, h, q, k):
        x0_q, x0_k = q >= n, k >= n
        block_q = torch.where(x0_q, (q - n) // block_size, q // block_size)
        block_k = torch.where(x0_k, (k - n) // block_size, k // block_size)
        diagonal = (block_q == block_k) & (x0_q == x0_k)
        offset_causal = (block_q > block_k) & x0_k & ~x0_q
        block_causal = (block_q >= block_k) & x0_k & x0_q
        return diagonal | offset_causal | block_causal

    return block_diff


@case(GYM, "masks/dilated_sliding_window")
def gym_dilated_window() -> Mod:
    window_size, dilation = 9, 3

    def dilated(b, h, q, k):
        diff = torch.abs(q - k)
        return (diff <= window_size) & ((diff % dilation) == 0)

    return dilated


@case(GYM, "masks/flamingo", shape=(2, 1, 40, 24))
def gym_flamingo() -> Mod:
    media = torch.tensor([[0, 12, 25], [3, 9, 31]])
    tokens = 8

    def flamingo(b, h, q, k):
        image = k // tokens
        start = media[b, image]
        following = torch.where(image + 1 < 3, media[b, (image + 1).clamp(max=2)], 40)
        return (start <= q) & (q < following)

    return flamingo


@case(GYM, "masks/batchify, one mask for each batch")
def gym_lengths() -> Mod:
    lengths = torch.tensor([33, 12])

    def padded(b, h, q, k):
        return (q < lengths[b]) & (k < lengths[b]) & (q >= k)

    return padded


@case(GYM, "mods/alibi")
def gym_alibi() -> Mod:
    heads = 4

    def alibi(score, b, h, q, k):
        scale = torch.exp2(-((h + 1) * 8.0 / heads))
        return score + (k - q) * scale

    return alibi


@case(GYM, "mods/softcapping")
def gym_tanh_softcap() -> Mod:
    soft_cap = 20

    def softcap(score, b, h, q, k):
        return soft_cap * torch.tanh(score / soft_cap)

    return softcap


@case(GYM, "mods/activation")
def gym_activation() -> Mod:
    def activation(score, b, h, q, k):
        return torch.nn.functional.silu(score)

    return activation


@case(GYM, "mods/latent_attention")
def gym_latent() -> Mod:
    heads, width = 4, 6
    q_rope, k_rope = floats(2, 4, 40, width), floats(2, 2, 40, width, seed=1)
    scale = 0.125

    def mla_rope(score, b, h, q, k):
        return score + scale * torch.dot(q_rope[b, h, q], k_rope[b, h // (heads // 2), k])

    return mla_rope


@case(GYM, "mods/score of a document by its own position")
def gym_document_alibi() -> Mod:
    document_id = documents(40, seed=2)
    position = torch.arange(40) - torch.searchsorted(document_id, document_id)

    def score_mod(score, b, h, q, k):
        return score + 0.1 * (position[k] - position[q])

    return score_mod


@case(GYM, "examples: a shared prefix of several questions")
def gym_shared_prefix() -> Mod:
    document_id = torch.cat([torch.full((10,), -1), torch.arange(30) // 10])

    def prefix_causal(b, h, q, k):
        same = document_id[q] == document_id[k]
        return ((document_id[k] == -1) | same) & (q >= k)

    return prefix_causal
