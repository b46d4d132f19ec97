"""Biases that are sums of products of q and k, as text, and tensors for them."""

from __future__ import annotations

import torch
from environments import Case
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from torch import Tensor

from maskc import Program, compile_mask

HEADER = (
    "input slopes: float; input across: float; input along: float; input table: float; "
    "input keyed: float; input pairs: float; "
)

OF_QUERY = ("q", "slopes[head]", "across[q_idx]", "0.25 * q", "1.5", "batch", "float(q_idx)")
OF_KEY = ("k", "along[kv_idx]", "k % 3", "0.5", "kv_idx // 2 - 1", "along[kv_idx] * k")
TABLES = ("table[head, q_idx, k % 5]", "table[head, q_idx, k // 2]", "table[head, 0, kv_idx]")


@st.composite
def biases(draw: DrawFn, depth: int = 2) -> str:
    """Draw a bias that separates."""
    if depth == 0:
        return draw(st.sampled_from((*OF_QUERY, *OF_KEY, *TABLES)))
    left, right = draw(biases(depth - 1)), draw(biases(depth - 1))
    one = draw(st.sampled_from((*OF_QUERY, *OF_KEY)))
    return draw(
        st.sampled_from(
            (
                f"({left} + {right})",
                f"({left} - {right})",
                f"-({left})",
                f"({left}) * ({one})",
                f"({one}) * ({left})",
                f"({left}) / 4",
                f"where(k % 2 == 0, {left}, {right})",
                f"where(q_idx > 2, {left}, {right})",
            )
        )
    )


def program_of(bias: str, mask: str = "full", **options: str) -> Program:
    """Return the program that adds a bias."""
    return compile_mask(f"{HEADER}{mask}; score = score + ({bias})", **options)


def inputs_of(text: str, case: Case, seed: int = 0) -> dict[str, Tensor]:
    """Return tensors, in float64, for the inputs that a text reads."""
    random = torch.Generator().manual_seed(seed)
    longest = max(case.q_len, case.kv_len)
    shapes = {
        "slopes": (case.num_heads,),
        "across": (case.q_len,),
        "along": (case.kv_len,),
        "table": (case.num_heads, case.q_len, max(5, longest)),
        "keyed": (case.num_heads, case.kv_len),
        "pairs": (case.q_len, case.kv_len),
    }
    return {
        name: torch.randn(shape, generator=random, dtype=torch.float64)
        for name, shape in shapes.items()
        if name in text
    }
