"""Sparse patterns, images, video, diffusion, drafts and graphs, from the papers' formulas."""

from __future__ import annotations

import functools

import torch
from corpus.cases import Mod, case, documents, drawn, floats
from torch.nn.attention.flex_attention import or_masks


@case("BD3-LM", "arXiv:2503.09573: training mask", shape=(1, 1, 48, 48))
def bd3lm() -> Mod:
    n, block_size = 24, 6

    def mask(b, h, q, k, block_size=block_size, n=n):
        x0_flag_q, x0_flag_kv = q >= n, k >= n
        block_q = torch.where(x0_flag_q == 1, (q - n) // block_size, q // block_size)
        block_kv = torch.where(x0_flag_kv == 1, (k - n) // block_size, k // block_size)
        block_diagonal = (block_q == block_kv) & (x0_flag_q == x0_flag_kv)
        offset_block_causal = (block_q > block_kv) & (x0_flag_kv == 1) & (x0_flag_q == 0)
        block_causal = (block_q >= block_kv) & (x0_flag_kv == 1) & (x0_flag_q == 1)
        return block_diagonal | offset_block_causal | block_causal

    return functools.partial(mask, block_size=block_size, n=n)


@case("BD3-LM", "arXiv:2503.09573: sampling, causal by blocks")
def bd3lm_sampling() -> Mod:
    block_size = 8
    return lambda b, h, q, k: q // block_size >= k // block_size


@case("NATTEN", "arXiv:2204.07143: one axis", shape=(1, 2, 37, 37))
def natten_1d() -> Mod:
    length, window = 37, 7

    def mask(b, h, q, k):
        center = q.clamp(window // 2, length - 1 - window // 2)
        return (center - k).abs() <= window // 2

    return mask


@case("NATTEN", "arXiv:2209.15001: dilated, one axis", shape=(1, 2, 36, 36))
def natten_dilated() -> Mod:
    length, window, dilation = 36, 5, 3

    def mask(b, h, q, k):
        same = q % dilation == k % dilation
        size = length // dilation
        center = (q // dilation).clamp(window // 2, size - 1 - window // 2)
        return same & ((center - k // dilation).abs() <= window // 2)

    return mask


@case("NATTEN", "arXiv:2204.07143: three axes, causal in time", shape=(1, 1, 60, 60))
def natten_3d() -> Mod:
    height, width, kernel = 4, 5, 3

    def split(idx):
        return idx // (height * width), idx // width % height, idx % width

    def near(a, b, size):
        return (a.clamp(kernel // 2, size - 1 - kernel // 2) - b).abs() <= kernel // 2

    def mask(b, h, q, k):
        (qt, qy, qx), (kt, ky, kx) = split(q), split(k)
        in_time = (qt >= kt) & (qt - kt < 2)
        return in_time & near(qy, ky, height) & near(qx, kx, width)

    return mask


@case("Sliding Tile Attention", "arXiv:2502.04507", shape=(1, 1, 64, 64))
def sliding_tile() -> Mod:
    tiles, tile, kernel = 4, 4, 3

    def mask(b, h, q, k):
        q_tile, k_tile = q // (tile * tile), k // (tile * tile)
        center = q_tile.clamp(kernel // 2, tiles - 1 - kernel // 2)
        return (center - k_tile).abs() <= kernel // 2

    return mask


@case("Sparse VideoGen", "arXiv:2502.01776: heads in space and heads in time", shape=(1, 4, 60, 60))
def sparse_videogen() -> Mod:
    frame, is_temporal = 12, torch.tensor([True, False, True, False])

    def mask(b, h, q, k):
        spatial = (q // frame - k // frame).abs() <= 1
        temporal = (q % frame - k % frame).abs() <= 2
        return torch.where(is_temporal[h], temporal, spatial) | (k < frame)

    return mask


@case("Self Forcing", "arXiv:2506.08009: causal by chunks of frames, the ends as a table")
def self_forcing() -> Mod:
    frame_seqlen, per_block, window = 4, 2, 16
    ends = torch.zeros(40, dtype=torch.long)
    for start in range(0, 40, frame_seqlen * per_block):
        ends[start : start + frame_seqlen * per_block] = start + frame_seqlen * per_block

    def mask(b, h, q, k):
        near = (k < ends[q]) & (k >= ends[q] - window)
        return near | (q == k)

    return mask


@case("Longformer", "arXiv:2004.05150: window and global tokens")
def longformer() -> Mod:
    is_global, window = torch.zeros(2, 40, dtype=torch.bool), 5
    is_global[:, :2] = True
    is_global[1, 20] = True

    def mask(b, h, q, k):
        local = (q - k).abs() <= window
        return local | is_global[b, q] | is_global[b, k]

    return mask


@case("Longformer", "arXiv:2004.05150: dilation by head")
def longformer_dilated() -> Mod:
    dilation = torch.tensor([1, 1, 2, 3])

    def mask(b, h, q, k):
        distance = (q - k).abs()
        return (distance % dilation[h] == 0) & (distance // dilation[h] < 5)

    return mask


@case("BigBird", "arXiv:2007.14062: window, global and random blocks", shape=(1, 2, 64, 64))
def bigbird() -> Mod:
    block, random = 8, drawn(2, 8, 8, high=4) == 0

    def mask(b, h, q, k):
        q_block, k_block = q // block, k // block
        window = (q_block - k_block).abs() <= 1
        ends = (q_block == 0) | (k_block == 0) | (q_block == 7) | (k_block == 7)
        return window | ends | random[h, q_block, k_block]

    return mask


@case("Sparse Transformer", "arXiv:1904.10509: strided")
def strided() -> Mod:
    stride = 6
    return lambda b, h, q, k: (q >= k) & ((q - k < stride) | ((q - k) % stride == 0))


@case("Sparse Transformer", "arXiv:1904.10509: fixed")
def fixed() -> Mod:
    stride, c = 8, 2

    def mask(b, h, q, k):
        own = q // stride == k // stride
        summary = k % stride >= stride - c
        return (q >= k) & (own | summary)

    return mask


@case("LongNet", "arXiv:2307.02486: segments with dilation that grow")
def longnet() -> Mod:
    def mask(b, h, q, k):
        found = q < 0
        for segment, rate in ((8, 1), (16, 2), (40, 4)):
            same = q // segment == k // segment
            found = found | (same & (q % rate == 0) & (k % rate == 0))
        return found & (q >= k)

    return mask


@case("Swin", "arXiv:2103.14030: shifted windows with a table of biases", shape=(1, 4, 16, 16))
def swin_bias() -> Mod:
    side, table = 4, floats(49, 4)

    def mod(score, b, h, q, k):
        dy = q // side - k // side + side - 1
        dx = q % side - k % side + side - 1
        return score + table[dy * (2 * side - 1) + dx, h]

    return mod


@case("Swin", "arXiv:2103.14030: regions of a rolled image", shape=(1, 1, 64, 64))
def swin_mask() -> Mod:
    side, window, shift = 8, 4, 2

    def region(x):
        return (x >= side - window).to(torch.int32) + (x >= side - shift).to(torch.int32)

    def mask(b, h, q, k):
        q_y, q_x, k_y, k_x = q // side, q % side, k // side, k % side
        same_window = (q_y // window == k_y // window) & (q_x // window == k_x // window)
        q_region = region(q_y) * 3 + region(q_x)
        k_region = region(k_y) * 3 + region(k_x)
        return same_window & (q_region == k_region)

    return mask


@case("Axial attention", "arXiv:1912.12180: rows and columns", shape=(1, 2, 42, 42))
def axial() -> Mod:
    width = 7
    return lambda b, h, q, k: torch.where(h == 0, q // width == k // width, q % width == k % width)


@case("Neighbourhood on a torus", "CircularNet-style windows that wrap", shape=(1, 1, 36, 36))
def circular() -> Mod:
    side, radius = 6, 1

    def near(a, b):
        distance = (a - b).abs()
        return torch.minimum(distance, side - distance) <= radius

    return lambda b, h, q, k: near(q // side, k // side) & near(q % side, k % side)


@case("SAM", "arXiv:2304.02643: decomposed relative positions", shape=(1, 2, 24, 24))
def sam() -> Mod:
    height, width = 4, 6
    rel_h, rel_w = floats(1, 2, 24, height), floats(1, 2, 24, width, seed=1)

    def mod(score, b, h, q, k):
        return score + rel_h[b, h, q, k // width] + rel_w[b, h, q, k % width]

    return mod


@case("EAGLE-3", "arXiv:2503.01840: training time test", shape=(2, 1, 16, 48))
def eagle3() -> Mod:
    q_len, seq_lengths = 16, torch.tensor([16, 11])

    def causal(b, h, q, k):
        return (q >= k) & (k < seq_lengths[b]) & (q < seq_lengths[b])

    def suffix(b, h, q, k):
        beyond, padded = k >= q_len, k % q_len < seq_lengths[b]
        return beyond & padded & ((k - q) % q_len == 0)

    return or_masks(causal, suffix)


@case("SpecInfer", "arXiv:2305.09781: a tree of drafts by ancestors", shape=(1, 1, 8, 24))
def tree_ancestors() -> Mod:
    parent = [-1, 0, 0, 1, 1, 2, 4, 4]
    ancestor = torch.zeros(8, 8, dtype=torch.bool)
    for node, above in enumerate(parent):
        ancestor[node] = ancestor[above] if above >= 0 else False
        ancestor[node, node] = True
    past = 16

    def mask(b, h, q, k):
        return (k < past) | ancestor[q, (k - past).clamp(min=0)]

    return mask


@case("Medusa", "arXiv:2401.10774: a tree by walking parents", shape=(1, 1, 8, 24))
def tree_parents() -> Mod:
    parent = torch.tensor([0, 0, 0, 1, 1, 2, 4, 4])
    past, depth = 16, 4

    def mask(b, h, q, k):
        node, found = q, k < past
        for _ in range(depth):
            found = found | (k - past == node)
            node = parent[node]
        return found

    return mask


@case("Tree attention", "DeFT, arXiv:2404.00242: intervals of a depth-first order")
def tree_intervals() -> Mod:
    enter = torch.arange(40)
    leave = enter + 1 + drawn(40, high=7)
    return lambda b, h, q, k: (enter[k] <= enter[q]) & (enter[q] < leave[k])


@case("Graphormer", "arXiv:2106.05234: a bias by shortest path")
def graphormer() -> Mod:
    hops, table = drawn(2, 40, 40, high=6), floats(4, 6)
    return lambda score, b, h, q, k: score + table[h, hops[b, q, k]]


@case("GAT", "arXiv:1710.10903: an adjacency matrix of numbers")
def graph() -> Mod:
    adjacency = drawn(40, 40, high=3)
    return lambda b, h, q, k: adjacency[q, k] > 0


@case("Reformer", "arXiv:2001.04451: buckets by hash")
def reformer() -> Mod:
    buckets = drawn(2, 4, 40, high=6)
    return lambda b, h, q, k: (buckets[b, h, q] == buckets[b, h, k]) & (q >= k)


@case("MoBA", "arXiv:2502.13189: blocks that are routed")
def moba() -> Mod:
    size, routed = 8, drawn(2, 4, 40, 5, high=2).bool()

    def mask(b, h, q, k):
        own = q // size == k // size
        return (own | routed[b, h, q, k // size]) & (q >= k)

    return mask


@case("NSA", "arXiv:2502.11089: compressed keys that are over", shape=(1, 2, 40, 10))
def nsa_compressed() -> Mod:
    block, memory = 4, 2

    def mask(b, h, q, k):
        is_memory = k < memory
        last = (k - memory + 1) * block - 1
        return (q > last) | is_memory

    return mask


@case("NSA", "arXiv:2502.11089: selected blocks as a list of each query")
def nsa_selected() -> Mod:
    block, selected = 8, drawn(2, 40, 3, high=5)

    def mask(b, h, q, k):
        return (selected[b, q] == k // block).any(-1) & (q >= k)

    return mask


@case("Landmark attention", "arXiv:2305.16300: own block and landmarks")
def landmarks() -> Mod:
    block = 10

    def mask(b, h, q, k):
        landmark = (k + 1) % block == 0
        return (q >= k) & (landmark | (q // block == k // block))

    return mask


@case("Transformer-XL", "arXiv:1901.02860: memory and the own segment", shape=(1, 1, 20, 32))
def transformer_xl() -> Mod:
    memory, same_length = 12, 12
    return lambda b, h, q, k: (k <= q + memory) & (k > q + memory - same_length)


@case("UniLM", "arXiv:1905.03197: seq2seq by segment")
def unilm() -> Mod:
    segment = documents(2, 40, high=2, seed=4)
    return lambda b, h, q, k: (segment[b, k] == 0) | ((segment[b, q] == 1) & (q >= k))


@case("XLNet", "arXiv:1906.08237: a permutation's order")
def xlnet() -> Mod:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    return lambda b, h, q, k: order[q] > order[k]


@case("pi0", "arXiv:2410.24164: blocks by a running count")
def pi0() -> Mod:
    valid = torch.arange(40) < torch.tensor([[35], [40]])
    segment = (drawn(2, 40, high=6) == 0).int().cumsum(1)

    def mask(b, h, q, k):
        seen = segment[b, q] >= segment[b, k]
        return seen & valid[b, q] & valid[b, k]

    return mask


@case("Compressive Transformer", "arXiv:1911.05507: strides by a float rate")
def strided_centres() -> Mod:
    window, rate = 6, 0.5
    return lambda b, h, q, k: (k - torch.round(q * rate)).abs() <= window // 2


@case("Block-sparse by order", "FlexPrefill, arXiv:2502.20766: rows of kept blocks by count")
def kept_blocks() -> Mod:
    block, kept = 8, drawn(4, 5, 5, high=3) > 0

    def mask(b, h, q, k):
        return kept[h, q // block, k // block] & (q >= k)

    return mask


@case("Ring attention", "arXiv:2310.01889: zigzag shards by position")
def zigzag() -> Mod:
    position = torch.cat([torch.arange(0, 10), torch.arange(30, 40), torch.arange(10, 30)])
    return lambda b, h, q, k: position[q] >= position[k]
