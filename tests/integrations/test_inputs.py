"""Tensors for inputs, against what the papers and plain loops say."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskc.errors import BindError
from maskc.integrations.inputs import (
    alibi_slopes,
    ancestors,
    decomposed_rel_pos,
    doc_ids_from_cu_seqlens,
    doc_ids_from_lengths,
    positions_in_document,
    random_blocks,
    samples,
    sandwich_bias,
    shaw_scores,
    spans,
    tile_order,
)


def test_documents_from_lengths() -> None:
    assert doc_ids_from_lengths([2, 0, 3]).tolist() == [0, 0, 2, 2, 2]
    assert doc_ids_from_lengths(torch.tensor([2, 1]), total=6).tolist() == [0, 0, 1, 2, 2, 2]
    assert doc_ids_from_lengths([]).tolist() == []


def test_documents_from_boundaries() -> None:
    assert doc_ids_from_cu_seqlens(torch.tensor([0, 3, 4])).tolist() == [0, 0, 0, 1]
    assert doc_ids_from_cu_seqlens(torch.tensor([0, 1, 3]), 4).tolist() == [0, 1, 1, 2]


@given(st.lists(st.lists(st.integers(-3, 3), min_size=7, max_size=7), min_size=1, max_size=3))
def test_positions_count_earlier_tokens_of_the_document(rows: list[list[int]]) -> None:
    expected = [[row[:place].count(doc) for place, doc in enumerate(row)] for row in rows]
    assert positions_in_document(torch.tensor(rows)).tolist() == expected
    assert positions_in_document(torch.tensor(rows[0])).tolist() == expected[0]


def test_positions_of_no_tokens() -> None:
    assert positions_in_document(torch.zeros(0, dtype=torch.int64)).tolist() == []


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=9))
def test_spans_are_runs(row: list[int]) -> None:
    first, last = spans(torch.tensor([row, row]))
    for place, run in enumerate(row):
        start = end = place
        while run >= 0 and start > 0 and row[start - 1] == run:
            start -= 1
        while run >= 0 and end < len(row) and row[end] == run:
            end += 1
        assert (int(first[1, place]), int(last[1, place])) == (start, end)


def test_ancestors_lead_to_a_token() -> None:
    parents = [-1, 0, 0, 1, 2, 3, -1]
    for token, row in enumerate(ancestors(parents).tolist()):
        path, step = {token}, parents[token]
        while step >= 0:
            path.add(step)
            step = parents[step]
        assert {place for place, leads in enumerate(row) if leads} == path


def test_random_blocks_has_so_many_in_each_row() -> None:
    table = random_blocks(5, 7, 3, torch.Generator().manual_seed(0))
    assert table.shape == (1, 5, 7)
    assert table.sum(-1).tolist() == [[3] * 5]


def test_tile_order_keeps_a_tile_together() -> None:
    order = tile_order((4, 6), (2, 3)).tolist()
    assert sorted(order) == list(range(24))
    assert order[:6] == [0, 1, 2, 6, 7, 8]
    assert order[6:12] == [3, 4, 5, 9, 10, 11]
    assert tile_order((4, 2, 4), (2, 1, 2)).tolist()[:4] == [0, 1, 8, 9]


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (1, [8]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (16, [i / 2 for i in range(1, 17)]),
        (3, [4, 8, 2]),
        (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_alibi_slopes(heads: int, exponents: list[float]) -> None:
    assert alibi_slopes(heads).tolist() == pytest.approx([2**-e for e in exponents])


def test_decomposed_rel_pos_by_loops() -> None:
    q = torch.randn(2, 3, 2 + 3 * 4 * 5, 6, dtype=torch.float64)
    grid = {"t": 3, "h": 4, "w": 5}
    tables = {a: torch.randn(2 * n - 1, 6, dtype=torch.float64) for a, n in grid.items()}
    found = decomposed_rel_pos(q, tables, grid, start=1)
    assert {name: list(x.shape) for name, x in found.items()} == {
        "rel_t": [2, 3, 62, 3],
        "rel_h": [2, 3, 62, 4],
        "rel_w": [2, 3, 62, 5],
    }
    for token in range(60):
        own = {"t": token // 20, "h": token // 5 % 4, "w": token % 5}
        for axis, size in grid.items():
            for other in range(size):
                row = tables[axis][own[axis] - other + size - 1]
                bias = found[f"rel_{axis}"][1, 2, token + 1, other]
                assert math.isclose(float(bias), float(q[1, 2, token + 1] @ row), abs_tol=1e-9)
    for outside in (0, 61):
        assert not found["rel_h"][:, :, outside].any()


def test_decomposed_rel_pos_is_differentiable() -> None:
    tables = {"h": torch.randn(3, 4).double().requires_grad_()}
    q = torch.randn(1, 2, 2, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q, h: decomposed_rel_pos(q, {"h": h}, {"h": 2})["rel_h"], (q, tables["h"])
    )


def test_shaw_scores() -> None:
    q, table = torch.randn(1, 2, 5, 4), torch.randn(7, 4)
    found = shaw_scores(q, table)
    assert found.shape == (1, 2, 5, 7)
    assert torch.allclose(found[0, 1, 3, 2], q[0, 1, 3] @ table[2] / 2)
    assert torch.allclose(shaw_scores(q, table, 1.0), 2 * found, atol=1e-5)


def test_sandwich_is_a_product_of_sinusoids() -> None:
    heads, length, width = 3, 9, 8

    def embedding(position: int) -> list[float]:
        angles = [position / 10000 ** (2 * i / width) for i in range(width // 2)]
        return [math.sin(x) for x in angles] + [math.cos(x) for x in angles]

    found = sandwich_bias(heads, length, width)
    for head in range(heads):
        for distance in range(length):
            product = sum(a * b for a, b in zip(embedding(distance + 4), embedding(4), strict=True))
            expected = product / ((head + 1) * 8 / heads)
            assert math.isclose(float(found[head, distance]), expected, rel_tol=1e-5)


def test_samples_of_a_function() -> None:
    table = samples(lambda x: torch.cat([x, x**2], 1), 4)
    assert table.tolist() == [[0, 0.25, 0.5, 0.75, 1], [0, 0.0625, 0.25, 0.5625, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: doc_ids_from_lengths([3, -1]), "lengths of at least 0"),
        (lambda: doc_ids_from_lengths(torch.ones(2, 2).int()), "shape [2, 2]"),
        (lambda: doc_ids_from_lengths([3, 4], total=6), "7 tokens, more than 6"),
        (lambda: doc_ids_from_cu_seqlens(torch.tensor([1, 4])), "begin at 0, found [1, 4]"),
        (lambda: doc_ids_from_cu_seqlens(torch.tensor([0, 4, 2])), "lengths of at least 0"),
        (lambda: ancestors([-1, 1]), "the parent of token 1 is 1"),
        (lambda: random_blocks(2, 3, 4), "choose 4 of 3"),
        (lambda: tile_order((4, 6), (2, 4)), "do not divide"),
        (lambda: tile_order((4, 6), (2,)), "do not divide"),
        (lambda: alibi_slopes(0), "an int of at least 1, found 0"),
        (
            lambda: decomposed_rel_pos(torch.ones(1, 1, 3, 4), {}, {"h": 4}),
            "expected 0 + 4 tokens",
        ),
        (
            lambda: decomposed_rel_pos(torch.ones(1, 1, 4, 4), {}, {"h": 4}),
            "no table for axis `h`",
        ),
        (
            lambda: decomposed_rel_pos(torch.ones(1, 1, 4, 4), {"h": torch.ones(5, 4)}, {"h": 4}),
            "shape [5, 4], expected [7, 4]",
        ),
    ],
)
def test_wrong_arguments(call: object, message: str) -> None:
    with pytest.raises(BindError) as caught:
        call()
    assert message in str(caught.value)
    assert caught.value.code == "M430"
