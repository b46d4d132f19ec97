"""Language models and the frameworks that train them."""

from __future__ import annotations

import math

import torch
from corpus.cases import Mod, case, documents, drawn, floats
from torch.nn.attention.flex_attention import and_masks, or_masks

HF, TITAN, TUNE = "transformers", "torchtitan", "torchtune"


def causal(b, h, q, k):
    return q >= k


@case(HF, "masking_utils: sliding window overlay")
def hf_sliding() -> Mod:
    sliding_window = 8

    def overlay(b, h, q, k):
        return k > q - sliding_window

    return and_masks(overlay, causal)


@case(HF, "masking_utils: chunked overlay with left padding")
def hf_chunked() -> Mod:
    chunk_size, left_padding = 8, torch.tensor([0, 5])

    def overlay(b, h, q, k):
        return (k - left_padding[b]) // chunk_size == (q - left_padding[b]) // chunk_size

    return and_masks(overlay, causal)


@case(HF, "masking_utils: padding mask")
def hf_padding() -> Mod:
    padding_mask = torch.arange(40) >= torch.tensor([[0], [6]])

    def inner(b, h, q, k):
        return padding_mask[b, k]

    return and_masks(causal, inner)


@case(HF, "masking_utils: packed sequences")
def hf_packed() -> Mod:
    packed = documents(2, 40)

    def inner(b, h, q, k):
        return packed[b, q] == packed[b, k]

    return and_masks(causal, inner)


@case(HF, "masking_utils: offsets of a cache", shape=(2, 1, 8, 40))
def hf_offsets() -> Mod:
    q_offset, kv_offset = 32, 0

    def shifted(b, h, q, k):
        return causal(b, h, q + q_offset, k + kv_offset)

    return shifted


@case(HF, "masking_utils: offsets of a sliding cache", shape=(1, 1, 4, 16))
def hf_sliding_offsets() -> Mod:
    q_offset, kv_offset, window = 30, 18, 10

    def near(b, h, q, k):
        return k > q - window

    def shifted(b, h, q, k):
        return and_masks(near, causal)(b, h, q + q_offset, k + kv_offset)

    return shifted


@case(HF, "gemma3: tokens of images both ways")
def hf_gemma3() -> Mod:
    token_type = (drawn(2, 40, high=3) == 1).int()
    image_group = torch.where(token_type == 1, documents(2, 40, high=3, seed=3), -1)

    def image(b, h, q, k):
        same = image_group[b, q] == image_group[b, k]
        both = (token_type[b, q] == 1) & (token_type[b, k] == 1)
        return same & both

    return or_masks(causal, image)


@case(HF, "gemma3: a bidirectional window")
def hf_gemma3_bidirectional() -> Mod:
    window = 6
    return lambda b, h, q, k: (q - k).abs() < window


@case(HF, "gpt_oss: a score with a learned sink by head")
def hf_sink_score() -> Mod:
    sinks = floats(4)
    return lambda score, b, h, q, k: torch.where(k == 0, sinks[h], score)


@case(HF, "paligemma: a prefix by token types")
def hf_paligemma() -> Mod:
    token_type_ids = (torch.arange(40) >= torch.tensor([[12], [3]])).int()

    def prefix(b, h, q, k):
        return token_type_ids[b, k] == 0

    return or_masks(causal, prefix)


@case(HF, "integrations/flex_attention: softcap, bias, and heads")
def hf_flex() -> Mod:
    softcap, score_mask = 30.0, torch.where(drawn(2, 1, 40, 40) > 0, 0.0, -torch.inf)

    def mod(score, b, h, q, k):
        score = softcap * torch.tanh(score / softcap)
        return score + score_mask[b, 0, q, k]

    return mod


@case(HF, "llama4: layers without positions see all")
def hf_nope() -> Mod:
    attention_chunk_size, uses_chunks = 16, False

    def mod(b, h, q, k):
        mask = q >= k
        if uses_chunks:
            mask = mask & (q // attention_chunk_size == k // attention_chunk_size)
        return mask

    return mod


@case(TITAN, "models/attention: document mask")
def titan_document() -> Mod:
    batch, eos_id = drawn(2, 40, high=6), 2
    eos = batch == eos_id
    eos[:, -1] = True
    accumulated = torch.cumsum(torch.where(eos, 1, 0), dim=1)
    sequence = torch.zeros_like(accumulated, dtype=torch.int32)
    sequence[:, 1:] = accumulated[:, :-1]

    def document(b, h, q, k):
        return sequence[b, q] == sequence[b, k]

    return and_masks(causal, document)


@case(TITAN, "models/attention: fixed block size")
def titan_fixed_block() -> Mod:
    fixed_block_size = 8

    def blocked(b, h, q, k):
        q_block, k_block = q // fixed_block_size, k // fixed_block_size
        inner = causal(b, h, q % fixed_block_size, k % fixed_block_size)
        return (q_block == k_block) & inner

    return blocked


@case(TITAN, "models/attention: sliding window")
def titan_sliding() -> Mod:
    window_size = 5

    def window(b, h, q, k):
        return (q - k >= 0) & (q - k < window_size)

    return window


@case(TUNE, "modules/attention_utils: packed causal")
def tune_packed() -> Mod:
    document_ids = documents(2, 40, seed=5)

    def mask(b, h, q, k):
        causal_mask = q >= k
        document_mask = document_ids[b, q] == document_ids[b, k]
        return causal_mask & document_mask

    return mask


@case("LLM Foundry", "layers/attention: sequence ids and a window")
def foundry() -> Mod:
    sequence_id, window, offset = documents(2, 40, seed=6), 12, torch.tensor(0)

    def mask(b, h, q, k):
        q = q + offset
        near = (k <= q) & (q - k <= window)
        same = sequence_id[b, q] == sequence_id[b, k]
        return torch.logical_and(near, same)

    return mask


@case("LLM Foundry", "layers/attention: ALiBi from the sequence start")
def foundry_alibi() -> Mod:
    slopes = torch.tensor([2 ** (-2.0 * (i + 1)) for i in range(4)])
    return lambda score, b, h, q, k: score - slopes[h] * (q - k)


@case("modded-nanogpt", "document and window, in blocks of 128 as in the speed run")
def nanogpt() -> Mod:
    docs, window_blocks = (drawn(40, high=9) == 0).cumsum(0), 2

    def document_causal(b, h, q, k):
        causal_mask = q >= k
        document_mask = docs[q] == docs[k]
        window_mask = q // 8 - k // 8 < window_blocks
        return causal_mask & document_mask & window_mask

    return document_causal


@case("modded-nanogpt", "window as a tensor, warmed up")
def nanogpt_warmup() -> Mod:
    docs, window = documents(40, seed=8), torch.tensor(6)

    def mask(b, h, q, k):
        return (q >= k) & (docs[q] == docs[k]) & (q - k < window)

    return mask


@case("lingua", "ids and positions from sequence lengths")
def lingua() -> Mod:
    lengths = torch.tensor([11, 20, 9])
    ids = torch.repeat_interleave(torch.arange(3), lengths)
    tok = torch.cat([torch.arange(int(n)) for n in lengths])

    def doc_mask(b, h, q, k):
        same = ids[q] == ids[k]
        return same & causal(b, h, tok[q], tok[k])

    return doc_mask


@case("axlearn", "sliding window of w + 1 keys")
def axlearn() -> Mod:
    return lambda b, h, q, k: torch.logical_and(q - k <= 6, q >= k)


@case("StreamingLLM", "arXiv:2309.17453: sinks and a window")
def streaming() -> Mod:
    sink_size, window_size = 4, 8

    def mask(b, h, q, k):
        sinks = k < sink_size
        recent = q - k < window_size
        return (sinks | recent) & (q >= k)

    return mask


@case("StreamingLLM", "arXiv:2309.17453: windows that differ by head")
def streaming_heads() -> Mod:
    window = torch.tensor([4, 8, 16, 40])
    return lambda b, h, q, k: (q >= k) & ((q - k < window[h]) | (k < 2))


@case("T5", "arXiv:1910.10683: bidirectional buckets")
def t5_bias() -> Mod:
    table, buckets, most = floats(32, 4), 32, 128

    def mod(score, b, h, q, k):
        relative = k - q
        half = buckets // 2
        bucket = (relative > 0).to(torch.long) * half
        distance = torch.abs(relative)
        exact = half // 2
        large = exact + (
            torch.log(torch.clamp(distance, min=1).float() / exact)
            / math.log(most / exact)
            * (half - exact)
        ).to(torch.long)
        large = torch.minimum(large, torch.full_like(large, half - 1))
        bucket = bucket + torch.where(distance < exact, distance, large)
        return score + table[bucket, h]

    return mod


@case("T5", "arXiv:1910.10683: causal buckets from a table of distances")
def t5_table() -> Mod:
    bucket_of, table = (torch.arange(40) // 3).clamp(max=7), floats(4, 8)

    def mod(score, b, h, q, k):
        return score + table[h, bucket_of[(q - k).clamp(min=0)]]

    return mod


@case("ALiBi", "arXiv:2108.12409: symmetric, for encoders")
def alibi_symmetric() -> Mod:
    slopes = torch.exp2(-2.0 * torch.arange(1, 5))
    return lambda score, b, h, q, k: score - slopes[h] * torch.abs(q - k)


@case("KERPLE", "arXiv:2205.09921: logarithmic")
def kerple() -> Mod:
    a, p = floats(4).abs(), floats(4, seed=1).abs()
    return lambda score, b, h, q, k: score - a[h] * torch.log1p(p[h] * (q - k).abs())


@case("FIRE", "arXiv:2310.04418: normalised distance through a small network")
def fire() -> Mod:
    c, w1, w2 = torch.tensor(0.7), floats(8), floats(4, 8, seed=1)

    def mod(score, b, h, q, k):
        distance = torch.log(c * (q - k).abs() + 1) / torch.log(c * q.clamp(min=4) + 1)
        hidden = torch.relu(distance * w1)
        return score + (hidden * w2[h]).sum(-1)

    return mod


@case("Sandwich", "arXiv:2212.10356: a sum of cosines")
def sandwich() -> Mod:
    rates = 1.0 / 10000 ** (torch.arange(8) / 8)
    return lambda score, b, h, q, k: score + 0.1 * torch.cos((q - k) * rates).sum(-1)


@case("Forgetting Transformer", "arXiv:2503.02130")
def forgetting() -> Mod:
    log_forget = -floats(2, 4, 40).abs().cumsum(-1)
    return lambda score, b, h, q, k: score + log_forget[b, h, q] - log_forget[b, h, k]


@case("Sigmoid attention", "arXiv:2409.04431: log sigmoid of the score")
def sigmoid_attention() -> Mod:
    bias = -math.log(40)
    return lambda score, b, h, q, k: torch.nn.functional.logsigmoid(score + bias)


@case("Shaw et al.", "arXiv:1803.02155: clipped relative keys")
def shaw() -> Mod:
    reach, rel = 6, floats(2, 4, 40, 13)

    def mod(score, b, h, q, k):
        return score + rel[b, h, q, torch.clamp(k - q, -reach, reach) + reach]

    return mod


@case("Scalable softmax", "arXiv:2501.19399")
def ssmax() -> Mod:
    s = floats(4).abs()
    return lambda score, b, h, q, k: score * s[h] * torch.log(q + 1.0)
