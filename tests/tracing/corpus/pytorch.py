"""PyTorch: the tests and the documentation of FlexAttention, and its blog."""

from __future__ import annotations

import functools
import math

import torch
from corpus.cases import Mod, case, documents, drawn, floats
from torch.nn.attention.flex_attention import and_masks, noop_mask, or_masks

TESTS, BLOG = "PyTorch's tests", "PyTorch's blog"
FILE = "test/inductor/test_flex_attention.py"


@case(TESTS, f"{FILE}: noop")
def noop() -> Mod:
    return noop_mask


@case(TESTS, f"{FILE}: identity")
def identity() -> Mod:
    return lambda score, b, h, q, k: score


@case(TESTS, f"{FILE}: causal as a score")
def causal_score() -> Mod:
    return lambda score, b, h, q, k: torch.where(q >= k, score, float("-inf"))


@case(TESTS, f"{FILE}: inverse causal")
def inverse_causal() -> Mod:
    return lambda score, b, h, q, k: torch.where(q <= k, score, float("-inf"))


@case(TESTS, f"{FILE}: relative bias")
def rel_bias() -> Mod:
    return lambda score, b, h, q, k: score + (q - k)


@case(TESTS, f"{FILE}: relative causal")
def rel_causal() -> Mod:
    return lambda score, b, h, q, k: torch.where(q >= k, score + (q - k), float("-inf"))


@case(TESTS, f"{FILE}: times two, squared, in one")
def squared() -> Mod:
    return lambda score, b, h, q, k: score * score * 2


@case(TESTS, f"{FILE}: trigonometric")
def trig() -> Mod:
    return lambda score, b, h, q, k: torch.sin(torch.cos(score)) + torch.tan(b)


@case(TESTS, f"{FILE}: both branches of a where")
def trig2() -> Mod:
    def mod(score, b, h, q, k):
        return torch.where(q % 2 == 0, torch.cos(score) * 2, torch.sin(score) - 1)

    return mod


@case(TESTS, f"{FILE}: head offset captured")
def head_offset() -> Mod:
    offsets = floats(4)
    return lambda score, b, h, q, k: score * offsets[h]


@case(TESTS, f"{FILE}: a bias for each pair")
def all_bias() -> Mod:
    bias = floats(40, 40)
    return lambda score, b, h, q, k: score + bias[q, k]


@case(TESTS, f"{FILE}: a bias by batch, head, and pair")
def full_bias() -> Mod:
    bias = floats(2, 4, 40, 40)
    return lambda score, b, h, q, k: score + bias[b, h, q, k]


@case(TESTS, f"{FILE}: loads of a loaded index")
def dependent_load() -> Mod:
    table, order = floats(8), drawn(40, high=8)
    return lambda score, b, h, q, k: score + table[order[q]] - table[order[k]]


@case(TESTS, f"{FILE}: several captured tensors of other dtypes")
def mixed_dtypes() -> Mod:
    half, ids = floats(40).to(torch.bfloat16), drawn(40).to(torch.int32)
    return lambda score, b, h, q, k: score + half[q] + ids[k]


@case(TESTS, f"{FILE}: a captured number")
def captured_scale() -> Mod:
    scale = torch.tensor(0.5)
    return lambda score, b, h, q, k: score * scale


@case(TESTS, f"{FILE}: natten as a score", shape=(1, 1, 36, 36))
def natten_score() -> Mod:
    width, kernel = 6, 3

    def split(idx):
        return idx // width, idx % width

    def mod(score, b, h, q, k):
        (q_x, q_y), (k_x, k_y) = split(q), split(k)
        low, high = kernel // 2, width - 1 - kernel // 2
        keep = (q_x.clamp(low, high) - k_x).abs() <= kernel // 2
        keep = keep & ((q_y.clamp(low, high) - k_y).abs() <= kernel // 2)
        return torch.where(keep, score, float("-inf"))

    return mod


@case(TESTS, f"{FILE}: sequence masks by length")
def seq_mask() -> Mod:
    ids = documents(40)
    return lambda score, b, h, q, k: torch.where(ids[q] == ids[k], score, float("-inf"))


@case(TESTS, f"{FILE}: a partial with keywords")
def partial_keywords() -> Mod:
    def window(b, h, q, k, *, left, right):
        return (q - k <= left) & (k - q <= right)

    return functools.partial(window, left=5, right=2)


@case(TESTS, f"{FILE}: a callable object")
def callable_object() -> Mod:
    class Window:
        def __init__(self) -> None:
            self.size = torch.tensor([3, 9])

        def __call__(self, b, h, q, k):
            return (q - k).abs() < self.size[b]

    return Window()


@case(TESTS, f"{FILE}: a bound method over a module's buffer")
def module_method() -> Mod:
    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("ids", documents(40))

        def mask(self, b, h, q, k):
            return self.ids[q] == self.ids[k]

    return Layer().mask


@case(TESTS, f"{FILE}: nested or and and")
def nested_masks() -> Mod:
    def causal(b, h, q, k):
        return q >= k

    def sink(b, h, q, k):
        return k < 3

    def near(b, h, q, k):
        return q - k < 6

    return and_masks(causal, or_masks(sink, near))


@case(TESTS, f"{FILE}: cached decoding by an offset")
def decode_offset() -> Mod:
    offset = torch.tensor(17)

    def causal(b, h, q, k):
        return q + offset >= k

    return causal


@case(TESTS, f"{FILE}: a score that is a mask of heads")
def head_dependent() -> Mod:
    return lambda score, b, h, q, k: torch.where(h % 2 == 0, score, score * 0.5)


@case(BLOG, "FlexAttention I: relative positional encodings")
def relative_positional() -> Mod:
    return lambda score, b, h, q, k: score + (q - k)


@case(BLOG, "FlexAttention I: ALiBi with a table of slopes")
def alibi_table() -> Mod:
    alibi_bias = torch.tensor([2.0 ** (-8 * (i + 1) / 4) for i in range(4)])
    return lambda score, b, h, q, k: score + alibi_bias[h] * (k - q)


@case(BLOG, "FlexAttention I: soft capping")
def softcap_blog() -> Mod:
    softcap = 20.0

    def mod(score, b, h, q, k):
        score = score / softcap
        score = torch.tanh(score)
        return score * softcap

    return mod


@case(BLOG, "FlexAttention I: sliding window and causal")
def sliding_window_causal() -> Mod:
    sliding_window = 10

    def mask(b, h, q, k):
        causal_mask = q >= k
        window_mask = q - k <= sliding_window
        return causal_mask & window_mask

    return mask


@case(BLOG, "FlexAttention I: prefix by batch")
def prefix_by_batch() -> Mod:
    prefix_length = torch.tensor([5, 21])

    def prefix_mask(b, h, q, k):
        return k <= prefix_length[b]

    def causal(b, h, q, k):
        return q >= k

    return or_masks(prefix_mask, causal)


@case(BLOG, "FlexAttention I: jagged sequences by ids")
def jagged_ids() -> Mod:
    seq_idx = torch.repeat_interleave(torch.arange(4), torch.tensor([7, 13, 4, 16]))
    return lambda b, h, q, k: seq_idx[q] == seq_idx[k]


@case(BLOG, "FlexAttention I: jagged sequences by offsets")
def jagged_offsets() -> Mod:
    offsets = torch.tensor([0, 7, 20, 24, 40])
    seq = torch.repeat_interleave(torch.arange(4), offsets.diff())

    def mod(b, h, q, k):
        start, stop = offsets[seq[q]], offsets[seq[q] + 1]
        return (start <= k) & (k < stop) & (q >= k)

    return mod


@case("attention-gym", "paged_attention: pages of keys to logical ones")
def paged() -> Mod:
    page_size = 8
    physical_to_logical = torch.tensor([[2, 0, 4, 1, 3], [0, 1, 2, -1, 3]])

    def mod(b, h, q, k):
        block = physical_to_logical[b, k // page_size]
        logical = block * page_size + k % page_size
        return torch.where(block >= 0, q >= logical, False)

    return mod


@case("attention-gym", "paged_attention: scores over pages")
def paged_score() -> Mod:
    page_size, table = 8, torch.tensor([[2, 0, 4, 1, 3], [0, 1, 2, -1, 3]])

    def mod(score, b, h, q, k):
        block = table[b, k // page_size]
        logical = block * page_size + k % page_size
        return torch.where(block >= 0, score + 0.25 * (logical - q), float("-inf"))

    return mod


@case(TESTS, f"{FILE}: checkerboard")
def checkerboard() -> Mod:
    def mod(score, b, h, q, k):
        score = torch.where(torch.abs(k - q) % 2 == 1, score * 0.5, score)
        return torch.where(torch.abs(k - q) % 2 == 0, score * 2.0, score)

    return mod


@case("PyTorch's documentation", "nn.attention.bias: lower right", shape=(1, 1, 24, 40))
def lower_right() -> Mod:
    diagonal = 40 - 24
    return lambda b, h, q, k: k <= q + diagonal


@case("PyTorch's documentation", "nn.functional: a float mask")
def float_mask() -> Mod:
    mask = torch.where(drawn(2, 40, 40) > 1, 0.0, -math.inf)
    return lambda score, b, h, q, k: score + mask[b, q, k]
