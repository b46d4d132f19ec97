"""maskc: a compiler for attention masks and score modifications."""

from maskc.errors import (
    BindError,
    LoweringError,
    MaskcError,
    MaskNameError,
    MaskSyntaxError,
    MaskTypeError,
)

__all__ = [
    "BindError",
    "LoweringError",
    "MaskNameError",
    "MaskSyntaxError",
    "MaskTypeError",
    "MaskcError",
]
