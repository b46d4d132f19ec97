"""The ranges of keys of each query row are the mask, to the key."""

from __future__ import annotations

import pytest
import torch
from environments import environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import dense, domain_of, row_mask, rows_of_case
from strategies import masks

from maskc.analysis.key_ranges.derive import key_ranges
from maskc.analysis.key_ranges.ranges import MOST, KeyRanges
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain
from maskc.limits import MAX_INT


def spelled_out(ranges: KeyRanges) -> torch.Tensor:
    """Return the mask that ranges stand for, ``[B | 1, H | 1, Q, K]``."""
    at = torch.arange(ranges.k_len)
    first, stop = (torch.from_numpy(end)[..., None] for end in (ranges.first, ranges.stop))
    return ((first <= at) & (at < stop)).any(0)


def assert_ranges(mask: Expr, domain: Domain, meant: Domain | None = None) -> bool:
    """Hold ranges to the mask, over the tensors ``meant``, and tell whether there are any."""
    found = key_ranges(mask, domain)
    if found is None:
        return False
    batch, heads = found.first.shape[1:3]
    true = dense(mask, meant or domain, batch, heads)
    assert torch.equal(spelled_out(found), true)
    assert torch.equal(torch.from_numpy(found.counts), true.sum(-1))
    assert torch.equal(torch.from_numpy(found.has_keys), true.any(-1))
    assert_tidy(found)
    return True


def assert_tidy(found: KeyRanges) -> None:
    assert len(found.first) <= MOST
    empty = found.first >= found.stop
    assert (found.first[empty] == 0).all()
    assert (found.stop[empty] == 0).all()
    for place in range(1, len(found.first)):
        for before in range(place):
            both = ~empty[before] & ~empty[place]
            assert (found.stop[before][both] < found.first[place][both]).all()


@settings(max_examples=examples(300))
@given(st.data(), st.one_of(masks(depth=1), masks(depth=2), masks()), st.booleans())
def test_drawn(data: st.DataObject, mask: Expr, positions: bool) -> None:
    case = data.draw(environments(mask, positions=positions, pairs=True))
    row, domain = rows_of_case(mask, case)
    found = key_ranges(row, domain)
    event(f"ranges: {None if found is None else len(found.first)}")
    assert_ranges(row, domain)
    if found is not None:
        matrix = case.matrix(mask)
        assert torch.equal(spelled_out(found).expand_as(matrix), matrix)


RANGES = [
    ("causal & (sinks(3) | window(9))", 2),
    ("!causal | same_doc", 2),
    ("k % 50 < 20 & causal", 4),
    ("k % 50 // 10 == q % 50 // 10 & k < 100", 2),
    ("causal & same_doc == (k < 30)", 3),
    ("3 * k <= 2 * q + 5 & 2 * k != q", 2),
    ("where(q < 60, chunked(16), k // 7 > q // 9)", 1),
    ("causal | (image[q] == image[k] & image[q] >= 0)", 2),
]


@pytest.mark.parametrize(("text", "most"), RANGES)
def test_what_has_ranges(text: str, most: int) -> None:
    """That there are ranges matters: an analysis that finds none would be right as well."""
    row = torch.arange(170)
    image = torch.where(row % 40 < 13, row // 40, -1)
    domain = domain_of(170, 150, doc=(row // 30 - 2) ** 3 * -1, image=image)
    mask = row_mask("input image: int; " * ("image" in text) + text, domain)
    found = key_ranges(mask, domain)
    assert found is not None
    assert len(found.first) <= most
    assert assert_ranges(mask, domain)


@settings(max_examples=examples(100))
@given(
    st.integers(1, 3),
    st.integers(-40, 40),
    st.integers(1, 50) | st.integers(10**3, 10**6),
    st.sampled_from(["<=", "<", ">=", ">", "==", "!="]),
    st.lists(
        st.one_of(*(st.integers(-most - 1, most) for most in (60, 10**6, MAX_INT))), min_size=1
    ),
    st.sampled_from([torch.int32, torch.int64]),
)
def test_floored_keys(
    factor: int, shift: int, divisor: int, relation: str, wanted: list[int], dtype: torch.dtype
) -> None:
    domain = domain_of(len(wanted), 97, least=torch.tensor(wanted, dtype=dtype))
    side = f"{factor} * ((k + {shift}) // {divisor})"
    assert assert_ranges(row_mask(f"input least: int; {side} {relation} least[q]", domain), domain)


EDGES = [1, 5, 2**15, 2**16 + 1, 2**30, MAX_INT]
"""Where a sum, a product or a negation leaves 32 bits, or nearly does."""
SIGNED = st.sampled_from([0, *EDGES, *(-edge for edge in EDGES)])


@settings(max_examples=examples(300))
@given(
    st.sampled_from(["{f} * ((k + {c}) // {d})", "{f} * (k // {d}) + {c}", "{f} * near[k]"]),
    st.sampled_from(["far[q]", "far[q]", "{a} * far[q] + {b}", "far[q] // {d} + {b}"]),
    st.sampled_from(["<=", ">=", "==", "!="]),
    st.fixed_dictionaries(
        {
            "f": st.integers(1, 3),
            "a": st.sampled_from([1, -1, 3]),
            "b": SIGNED,
            "c": SIGNED,
            "d": st.sampled_from(EDGES),
        }
    ),
    st.sampled_from([*EDGES, MAX_INT + 1]),
)
def test_sums_at_the_edge_of_32_bits(
    key: str, query: str, relation: str, numbers: dict[str, int], largest: int
) -> None:
    """What is computed in 32 bits must not leave them; torch is given 64."""
    some = torch.tensor([-largest, 1 - largest, -7, 0, 1, 8, largest // 3, largest - 1])
    near = torch.cat([some, torch.arange(23)])
    wide = domain_of(len(some), len(near), far=some, near=near)
    domain = domain_of(len(some), len(near), far=some.int(), near=near.int())
    text = f"{key} {relation} {query}".format(**numbers)
    used = "".join(f"input {name}: int; " for name in domain.tensors if name in text)
    event(f"ranges: {assert_ranges(row_mask(used + text, domain), domain, wide)}")


@pytest.mark.parametrize("text", ["(q - k) % 3 == 0", "causal & k % 7 == 0", "q * k < 90"])
def test_what_has_none(text: str) -> None:
    domain = domain_of(170, 150)
    assert key_ranges(row_mask(text, domain), domain) is None


def test_sums_that_64_bits_may_not_hold() -> None:
    far = torch.tensor([2**62, -(2**62), 5])
    domain = domain_of(3, 3, far=far)
    mask = row_mask("input far: int; 4 * k + far[q] + far[q] < far[k] + far[k]", domain)
    assert key_ranges(mask, domain) is None
