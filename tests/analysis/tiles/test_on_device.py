"""Tables made without a look at any tensor: sound for all masks, exact for the usual ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from environments import environments
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import domain_of, row_mask, rows_of_case
from strategies import masks
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from maskc.analysis.intervals.renumber_ids import _numbered
from maskc.analysis.tables import on_device
from maskc.analysis.tables.block_tables import block_tables
from maskc.analysis.tables.on_device import first_places, tables_on_device
from maskc.analysis.tiles.classify import tile_map
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain

WAITS = ("_local_scalar_dense", "nonzero", "item", "is_nonzero", "unique", "masked_select", "equal")
"""Operations for which the host waits for a GPU."""


class NoWait(TorchDispatchMode):
    """Fail where the host would wait for a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert not name.startswith(WAITS), f"`{name}` waits"
        index = args[1] if name.startswith("index") and len(args) > 1 else None
        if isinstance(index, (list, tuple)):
            assert all(x is None or x.dtype is not torch.bool for x in index), f"`{name}` waits"
        return func(*args, **(kwargs or {}))


def listed(count: Tensor, indices: Tensor) -> Tensor:
    """Return which blocks a table lists, and that it lists none twice."""
    live = torch.arange(indices.shape[-1]) < count[..., None]
    times = torch.zeros(indices.shape, dtype=torch.int64)
    times.scatter_add_(-1, indices.long(), live.long())
    assert int(times.max()) <= 1
    return times.bool()


def is_sound(mask: Expr, domain: Domain, block: tuple[int, int]) -> bool:
    with NoWait():
        found = tables_on_device(mask, domain, block)
    exact = block_tables(tile_map(mask, domain, block))
    kinds = [[listed(*tables[at : at + 2]) for at in range(0, 8, 2)] for tables in (found, exact)]
    (partial, full, by_key, full_by_key), (least, most, *_) = kinds
    turned = torch.equal(by_key, partial.mT) and torch.equal(full_by_key, full.mT)
    event(f"exact: {torch.equal(partial, least)}")
    tells_no_lie = not (full & ~most).any() and not (least & ~partial).any()
    return (
        turned
        and tells_no_lie
        and not (partial & full).any()
        and not (most & ~(partial | full)).any()
    )


@settings(max_examples=examples(100))
@given(st.data(), masks(), st.tuples(*[st.sampled_from([1, 2, 3, 4, 8])] * 2), st.booleans())
def test_drawn(data: st.DataObject, mask: Expr, block: tuple[int, int], positions: bool) -> None:
    case = data.draw(environments(mask, positions=positions, pairs=True))
    assert is_sound(*rows_of_case(mask, case), block)


def documents(length: int, count: int, shuffled: bool) -> Tensor:
    random = torch.Generator().manual_seed(count)
    ids = torch.randint(0, count, (length,), generator=random).sort().values
    return torch.randperm(count, generator=random)[ids] if shuffled else ids


@pytest.mark.parametrize(
    "text",
    [
        "same_doc",
        "causal & same_doc",
        "causal & same_doc & window(60)",
        "causal & q - k < 60 & same_doc & doc[q] >= 0",
    ],
)
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("length", [256, 250])
def test_packed_documents_have_exact_tables(text: str, shuffled: bool, length: int) -> None:
    assert_exact(text, domain_of(length, length, doc=documents(length, 9, shuffled)))


def test_a_batch_of_prefixes_has_exact_tables() -> None:
    assert_exact("causal | prefix", domain_of(256, 256, 2, prefix_len=torch.tensor([40, 97])))


def test_a_block_table_has_exact_tables() -> None:
    table = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.3
    assert_exact("input t: bool; t[q // 16, k // 16]", domain_of(250, 256, t=table))


def assert_exact(text: str, domain: Domain) -> None:
    mask, block = row_mask(text, domain), (16, 16)
    with NoWait():
        found = tables_on_device(mask, domain, block)
    exact = block_tables(tile_map(mask, domain, block))
    for at in range(0, 8, 2):
        assert torch.equal(listed(*found[at : at + 2]), listed(*exact[at : at + 2]))
        assert [x.dtype for x in found[at : at + 2]] == [torch.int32] * 2
        assert [x.shape for x in found[at : at + 2]] == [x.shape for x in exact[at : at + 2]]


@given(st.lists(st.lists(st.integers(-3, 3), min_size=9, max_size=9), min_size=1, max_size=3))
def test_ids_are_named_by_their_first_place(rows: list[list[int]]) -> None:
    found = first_places(torch.tensor(rows))
    assert found.tolist() == [[row.index(x) for x in row] for row in rows]


def test_no_element_is_needed() -> None:
    """Fake tensors have shapes alone, and refuse whatever needs more."""
    with FakeTensorMode():
        doc = torch.zeros(256, dtype=torch.int64)
        domain = domain_of(256, 256, doc=doc)
        found = tables_on_device(row_mask("causal & same_doc", domain), domain, (16, 16))
    assert found.q_indices is not None
    assert found.q_indices.shape == (1, 1, 16, 16)


@pytest.mark.planted
@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [
        (on_device, "first_places", torch.zeros_like),
        (on_device._Elements, "_longest", lambda elements, count, size: 1),
        (on_device, "sticking_out", lambda grid, tiles: (None, None)),
    ],
)
def test_a_fault_is_seen(
    place: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, fault)
    with pytest.raises((AssertionError, IndexError)):
        test_packed_documents_have_exact_tables("causal & same_doc", True, 250)


@pytest.mark.planted
def test_a_wait_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "first_places", _numbered)
    with pytest.raises(AssertionError, match="waits"):
        test_packed_documents_have_exact_tables("causal & same_doc", True, 250)
