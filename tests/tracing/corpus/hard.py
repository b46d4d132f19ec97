"""What torch allows and a program must get right, or refuse; from FlexAttention's documentation."""

from __future__ import annotations

import math

import torch
from corpus.cases import Mod, case, documents, drawn, floats

RULES = "FlexAttention's rules"
SOURCE = "what a mask_mod may do, by torch.vmap"


@case(RULES, SOURCE)
def a_negative_subscript() -> Mod:
    doc = documents(40)
    return lambda b, h, q, k: (doc[q] == doc[k - 1]) | (doc[q] == doc[-1])


@case(RULES, SOURCE)
def a_row_then_an_element() -> Mod:
    table = drawn(2, 4, 40)
    return lambda b, h, q, k: table[b][h][q] == table[b, h][k]


@case(RULES, SOURCE)
def bits_of_an_index() -> Mod:
    return lambda b, h, q, k: ((q >> 1) & 3) == ((k >> 1) & 3)


@case(RULES, SOURCE)
def bits_of_two_indices_of_one_side() -> Mod:
    def mask(b, h, q, k):
        gray_q, gray_k = q ^ (q >> 1), k ^ (k >> 1)
        return gray_q % 4 == gray_k % 4

    return mask


@case(RULES, SOURCE)
def a_list_of_allowed_positions() -> Mod:
    allowed = torch.tensor([0, 3, 4, 11, 30])
    return lambda b, h, q, k: torch.isin(k, allowed) | (q == k)


@case(RULES, SOURCE)
def a_search_in_boundaries() -> Mod:
    edges = torch.tensor([5, 13, 29])

    def mask(b, h, q, k):
        return torch.searchsorted(edges, q, right=True) == torch.bucketize(k, edges, right=True)

    return mask


@case(RULES, SOURCE)
def a_stack_of_conditions() -> Mod:
    return lambda b, h, q, k: torch.stack([q >= k, q - k < 9, k != 4]).all(0)


@case(RULES, SOURCE)
def a_count_of_conditions() -> Mod:
    def mask(b, h, q, k):
        votes = (q >= k).int() + (q % 3 == 0).int() + (k % 2 == 0)
        return votes >= 2

    return mask


@case(RULES, SOURCE)
def booleans_as_numbers() -> Mod:
    valid = drawn(2, 40, high=2).bool()
    return lambda b, h, q, k: (valid[b, q] * valid[b, k]) == (q >= k)


@case(RULES, SOURCE)
def exclusive_or() -> Mod:
    valid = drawn(40, high=2).bool()
    return lambda b, h, q, k: valid[q] ^ valid[k] ^ True


@case(RULES, SOURCE)
def small_ints_that_are_only_compared() -> Mod:
    ids = documents(40).to(torch.uint8)
    return lambda b, h, q, k: (ids[q] == ids[k]) | (ids[k] == 0)


@case(RULES, SOURCE)
def a_float_threshold() -> Mod:
    importance = floats(2, 40)
    return lambda b, h, q, k: (importance[b, k] > 0.25) | (q == k)


@case(RULES, SOURCE)
def a_captured_number_of_no_dimension() -> Mod:
    window = torch.tensor(7)
    return lambda b, h, q, k: (q - k).abs() < window


@case(RULES, SOURCE)
def a_loop_over_heads() -> Mod:
    spans = torch.tensor([[0, 9], [10, 29], [30, 40]])

    def mask(b, h, q, k):
        inside = [(k >= low) & (k < high) & (q >= low) for low, high in spans]
        return inside[0] | inside[1] | inside[2]

    return mask


@case(RULES, SOURCE)
def a_table_made_by_an_operation_of_one_index() -> Mod:
    edges = torch.arange(0, 400, 4)  # too many to write out
    return lambda b, h, q, k: torch.searchsorted(edges, q) == torch.searchsorted(edges, k)


@case(RULES, SOURCE)
def a_function_of_one_index_that_the_language_lacks() -> Mod:
    def mod(score, b, h, q, k):
        return score + torch.special.i0(q * 0.05) - torch.special.i0(k * 0.05)

    return mod


@case(RULES, SOURCE)
def nan_and_infinity() -> Mod:
    bias = floats(40, 40)
    bias[3, 5] = -math.inf
    return lambda score, b, h, q, k: torch.where(torch.isneginf(bias[q, k]), -math.inf, score)


@case(RULES, SOURCE)
def floor_and_ceil() -> Mod:
    def mod(score, b, h, q, k):
        return score + 0.1 * torch.floor((q - k) / 3) - 0.2 * torch.ceil(k / 7) + torch.sign(q - k)

    return mod


@case(RULES, SOURCE)
def conversions() -> Mod:
    def mod(score, b, h, q, k):
        return score + (q.float() / 7).to(torch.int64) + (score > 0).to(score.dtype)

    return mod


@case(RULES, SOURCE)
def division_by_rounding_mode() -> Mod:
    return lambda b, h, q, k: q.div(4, rounding_mode="floor") == torch.floor_divide(k, 4)


@case(RULES, SOURCE, refused="M801")
def an_if_on_an_index() -> Mod:
    return lambda b, h, q, k: q >= k if h > 1 else q <= k


@case(RULES, SOURCE, refused="M801")
def the_word_and() -> Mod:
    return lambda b, h, q, k: q >= k and q - k < 5


@case(RULES, SOURCE, refused="M801")
def an_item() -> Mod:
    return lambda b, h, q, k: q.item() >= k


@case(RULES, SOURCE, refused="M801")
def a_python_list() -> Mod:
    windows = [3, 5, 7, 9]
    return lambda b, h, q, k: q - k < windows[h]


@case(RULES, SOURCE, refused="M802")
def random_numbers() -> Mod:
    return lambda b, h, q, k: torch.rand(()) < 0.5


@case(RULES, SOURCE, refused="M802")
def dropout_of_scores() -> Mod:
    return lambda score, b, h, q, k: torch.nn.functional.dropout(score, 0.1, training=True)


@case(RULES, SOURCE, refused="M803")
def a_write() -> Mod:
    counts = torch.zeros(40, dtype=torch.long)

    def mask(b, h, q, k):
        counts[q] = 1
        return q >= k

    return mask


@case(RULES, SOURCE, refused="M803")
def an_augmented_assignment() -> Mod:
    def mask(b, h, q, k):
        found = q >= k
        found &= q - k < 5
        return found

    return mask


@case(RULES, SOURCE, refused="M804")
def a_boolean_subscript_of_a_row() -> Mod:
    doc = documents(40)
    return lambda b, h, q, k: doc[(q > k)[None]].any()


@case(RULES, SOURCE, refused="M804")
def a_subscript_that_is_a_condition() -> Mod:
    doc = documents(40)
    return lambda b, h, q, k: doc[q > k].any()


@case(RULES, SOURCE, refused="M804")
def a_slice_from_two_indices() -> Mod:
    doc = documents(2, 40)
    return lambda b, h, q, k: doc[b, q : k + 1].any()


@case(RULES, SOURCE, refused="M805")
def a_whole_row_of_many() -> Mod:
    allowed = torch.arange(0, 400, 3)
    return lambda b, h, q, k: torch.isin(q - k, allowed)


@case(RULES, SOURCE, refused="M806")
def ints_of_eight_bits() -> Mod:
    ids = drawn(40, high=100).to(torch.int8)
    return lambda b, h, q, k: ids[q] * 3 == ids[k] * 3


@case(RULES, SOURCE, refused="M806")
def a_conversion_that_wraps() -> Mod:
    return lambda b, h, q, k: q.to(torch.int8) == k.to(torch.int8)


@case(RULES, SOURCE, refused="M806")
def complex_numbers() -> Mod:
    phases = torch.polar(torch.ones(40), torch.arange(40.0))
    return lambda score, b, h, q, k: score + (phases[q] * phases[k].conj()).real


@case(RULES, SOURCE, refused="M807")
def an_operation_of_two_indices_without_a_translation() -> Mod:
    return lambda b, h, q, k: torch.gcd(q + 1, k + 1) == 1


@case(RULES, SOURCE, refused="M808")
def a_mask_that_is_a_number() -> Mod:
    return lambda b, h, q, k: (q >= k).int()


@case(RULES, SOURCE, refused="M808")
def a_row_for_a_result() -> Mod:
    table = drawn(40, 3)
    return lambda b, h, q, k: table[q] == table[k]
