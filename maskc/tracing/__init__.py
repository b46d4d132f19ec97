"""FlexAttention's callables as programs: what exists already, as text and as block tables."""

from maskc.tracing.block_mask import create_block_mask
from maskc.tracing.traced import Traced, trace

__all__ = ["Traced", "create_block_mask", "trace"]
