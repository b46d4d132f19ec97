"""FlexAttention's callables as programs: what exists already, as text and as block tables."""

from maskc.tracing.traced import Traced, trace

__all__ = ["Traced", "trace"]
