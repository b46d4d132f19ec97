"""Drawn programs over drawn calls as kernels of a GPU: the same draws each time."""

import pytest
from agreement import assert_forward_agrees, normal_qkv
from environments import Case, environments
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from strategies import modules

from maskc import LoweringError, compile_mask
from maskc.ir.nodes import Module
from maskc.ir.text import to_text

PROGRAMS, GROUPS = 10, 4
BLOCK = 16
"""Drawn calls are short: small blocks give them several tiles."""


@pytest.mark.parametrize("group", range(GROUPS))
def test_drawn_programs(group: int) -> None:
    @seed(group)
    @settings(
        max_examples=PROGRAMS,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data(), module=modules(depth=2))
    def agrees(data: st.DataObject, module: Module) -> None:
        check(data.draw(environments(module, positions=True, pairs=True)), module)

    agrees()


def check(case: Case, module: Module) -> None:
    positions = {"q_positions": case.q_positions, "kv_positions": case.kv_positions}
    try:
        bound = compile_mask(to_text(module)).bind(
            q_len=case.q_len,
            kv_len=case.kv_len,
            batch_size=case.batch_size,
            num_heads=case.num_heads,
            num_kv_heads=case.num_kv_heads,
            block_size=BLOCK,
            **case.inputs,
            **{name: table for name, table in positions.items() if table is not None},
        )
    except LoweringError:  # scores that hide keys from a policy of empty rows have no lowering
        return
    q, k, v = normal_qkv(bound)
    assert_forward_agrees(bound, qkv=(q / 4, k / 4, v))
