"""Every type that transformers maps does as its eager attention does, or is refused."""

from __future__ import annotations

from typing import Any

import every_type
import pytest

pytestmark = pytest.mark.models

TYPES = [
    (mapping, kind) for mapping in every_type.MAPPINGS for kind in every_type.expected(mapping)
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("mapping", "kind"), TYPES)
def test_does_as_eager(mapping: str, kind: str, request: pytest.FixtureRequest) -> None:
    found = every_type.shown(mapping, kind)
    if request.config.getoption("--update-golden"):  # without xdist: the lines share a file
        every_type.write(mapping, kind, found)
    assert every_type.expected(mapping)[kind] == found


@pytest.mark.parametrize("mapping", every_type.MAPPINGS)
def test_every_type_is_listed(mapping: str, request: pytest.FixtureRequest) -> None:
    from like_eager import kinds

    found: Any = kinds(mapping)
    if request.config.getoption("--update-golden"):
        for kind in set(found) - set(every_type.expected(mapping)):
            every_type.write(mapping, kind, "unknown")
    assert sorted(found) == sorted(every_type.expected(mapping))


def test_most_types_are_equal() -> None:
    equal = [
        kind
        for mapping in every_type.MAPPINGS
        for kind, shown in every_type.expected(mapping).items()
        if every_type.is_equal(shown)
    ]
    assert len(equal) >= 190
