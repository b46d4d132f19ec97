"""The versions of torch and triton whose private names the fake GPU uses."""

from importlib.metadata import PackageNotFoundError, version

import torch

TORCH, TRITON = "2.13", "3.7"


class UnsupportedTorchError(RuntimeError):
    """This torch lacks what the fake GPU stands on."""


def check_versions() -> None:
    """Say in one sentence what is missing, where torch or triton is another than expected."""
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = "none"
    if not torch.__version__.startswith(f"{TORCH}."):
        raise UnsupportedTorchError(f"the fake GPU needs torch {TORCH}, found {torch.__version__}")
    if not triton.startswith(f"{TRITON}."):
        raise UnsupportedTorchError(f"the fake GPU needs triton {TRITON}, found {triton}")
    if torch.backends.cuda.is_built():
        raise UnsupportedTorchError(
            "the fake GPU needs a CPU build of torch, found one for CUDA: "
            "make triton PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'"
        )
