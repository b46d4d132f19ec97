"""maskc: a compiler for attention masks and score modifications.

>>> import maskc
>>> program = maskc.compile_mask("causal & window(512); score = softcap(score, 30)")
>>> out = program(q, k, v)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskc.errors import (
    BindError,
    DenseScoresWarning,
    LoweringError,
    MaskcError,
    MaskcWarning,
    MaskNameError,
    MaskSyntaxError,
    MaskTypeError,
    ModelError,
    TraceError,
    TracingWarning,
)

if TYPE_CHECKING:
    from maskc.program import Program, compile_mask, load
    from maskc.run.bound import Bound
    from maskc.tracing import Traced, create_block_mask, trace

    __version__: str

__all__ = [
    "BindError",
    "Bound",
    "DenseScoresWarning",
    "LoweringError",
    "MaskNameError",
    "MaskSyntaxError",
    "MaskTypeError",
    "MaskcError",
    "MaskcWarning",
    "ModelError",
    "Program",
    "TraceError",
    "Traced",
    "TracingWarning",
    "compile_mask",
    "create_block_mask",
    "load",
    "trace",
]

_HOMES = {
    "Bound": "maskc.run.bound",
    "Program": "maskc.program",
    "Traced": "maskc.tracing",
    "compile_mask": "maskc.program",
    "create_block_mask": "maskc.tracing",
    "load": "maskc.program",
    "trace": "maskc.tracing",
}
"""Where the names are that are imported when they are first used: `maskc check` needs none."""


_ROOMS = ("scale", "testing")
"""The packages that are found without an import of their own."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)


def _version() -> str:
    from importlib.metadata import version

    return version("maskc")
