"""maskc: a compiler for attention masks and score modifications.

>>> import maskc
>>> program = maskc.compile_mask("causal & window(512); score = softcap(score, 30)")
>>> out = program(q, k, v)
"""

from maskc.errors import (
    BindError,
    LoweringError,
    MaskcError,
    MaskNameError,
    MaskSyntaxError,
    MaskTypeError,
)
from maskc.pipeline import compile_mask, load
from maskc.runtime.bound import Bound
from maskc.runtime.program import Program

__all__ = [
    "BindError",
    "Bound",
    "LoweringError",
    "MaskNameError",
    "MaskSyntaxError",
    "MaskTypeError",
    "MaskcError",
    "Program",
    "compile_mask",
    "load",
]
