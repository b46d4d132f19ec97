"""How many tiles each step decides: an analysis that leaves everything open would be sound too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from literature import LITERATURE, Draw
from row_programs import domain_of, row_mask

from maskc.analysis.tiles.classify import searched, tile_map
from maskc.analysis.tiles.grid import grid_of
from maskc.analysis.tiles.tile_map import Step

GOLDEN = Path(__file__).parents[2] / "fixtures" / "analysis" / "decided.txt"
COLUMNS = ["full", "partial", "empty", "by row", "ranges", "witness", "parts", "points"]


def test_decided(golden: Callable[[Path, str], None]) -> None:
    lines = [f"{'2048 x 2048, blocks of 128':32}" + "".join(f"{name:>9}" for name in COLUMNS)]
    for mask in LITERATURE:
        domain = domain_of(2048, 2048, 2, 3, **mask.inputs(Draw(2048, 2048, 2, 3)))
        found = tile_map(row_mask(mask.text, domain), domain, (128, 128))
        counts = [found.full_count, found.partial_count, found.empty_count]
        counts += [found.decided[step] for step in Step]
        lines.append(f"{mask.name:32}" + "".join(f"{count:9}" for count in counts))
    golden(GOLDEN, "\n".join(lines) + "\n")


def test_what_intervals_say_is_exact_where_it_should_be() -> None:
    """No block of these is ever cut into parts, and only those on the boundary need a witness."""
    for text in ["causal", "causal & window(512)", "causal | sinks(4)", "chunked(512) & causal"]:
        domain = domain_of(4096, 4096)
        mask = row_mask(text, domain)
        found = searched(mask, domain, grid_of(mask, domain, (128, 128)))
        assert found.decided[Step.PARTS] == found.decided[Step.POINTS] == 0
        assert found.decided[Step.WITNESS] == found.partial_count
