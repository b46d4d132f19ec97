"""The text picture, sign for sign."""

import numpy as np

from maskc.view.grid import grid, seen_text


def causal(rows: int, columns: int) -> np.ndarray:
    return np.tri(rows, columns, dtype=bool)


def test_small_masks_show_every_element() -> None:
    assert grid(causal(3, 9)) == "\n".join(
        [
            "q \\ k 0               8",
            "    0 ██················",
            "      ████··············",
            "      ██████············",
        ]
    )


def test_large_masks_show_shades() -> None:
    assert grid(causal(10, 14), width=4) == "\n".join(
        [
            "q \\ k 0",
            "    0 ▒▒······",
            "      ██▒▒····",
            "      ████▒▒··",
            "a square is 4 x 4 pairs, counted: █ all attend, ▓ ▒ ░ some, · none",
        ]
    )


def test_long_masks_number_their_rows_and_columns() -> None:
    lines = grid(causal(200, 4096)).splitlines()
    assert lines[0] == "q \\ k 0               1024            2048            3072"
    assert len(lines) == 1 + 2 + 1
    assert grid(np.ones((1100, 1), dtype=bool)).splitlines()[17] == " 1024 ██"


def test_only_none_and_all_are_shown_as_such() -> None:
    mask = np.ones((64, 64), dtype=bool)
    mask[:32, :32] = mask[63, 63] = False
    mask[0, 0] = True
    assert grid(mask, width=2).splitlines()[1:3] == ["    0 ░░██", "      ██▓▓"]


def test_a_query_is_marked_in_what_it_sees() -> None:
    seen = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert seen_text(seen, (0, 0)) == "◆◆··\n··██"
    assert seen_text(np.array([[np.nan, 1.0]]), None) == "  ██"


def test_one_element() -> None:
    assert grid(np.zeros((1, 1), dtype=bool)) == "q \\ k 0\n    0 ··"
