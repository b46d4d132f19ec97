"""Which backend runs a call: the caller's choice, or the documented rules of ``auto``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from maskc.analysis.scores.score_class import Additive, Identity
from maskc.errors import BindError, LoweringError, did_you_mean
from maskc.ir.types import Dim, Sz
from maskc.lower import flex
from maskc.lower.bias_columns import pays
from maskc.lower.fold_factors import folds, remaining
from maskc.lower.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

BACKENDS = ("flex", "sdpa", "reference")
DENSE_LIMIT = 64 * 2**20
"""Bytes of a dense SDPA mask above which ``auto`` prefers flex on CPU."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, the rule that chose it, and whether the bias goes into columns of q and k."""

    backend: str
    reason: str
    fold_bias: bool = False


def named(backend: str) -> str:
    """Return ``backend`` if there is one of that name, or refuse it."""
    if backend in (*BACKENDS, "auto"):
        return backend
    names = [*BACKENDS, "auto"]
    help = did_you_mean(str(backend), names) or f"expected one of {', '.join(names)}"
    raise BindError("M420", f"unknown backend `{backend}`", help=help)


def choose(plan: Plan, qkv: tuple[Tensor, Tensor, Tensor], dropout_p: float = 0.0) -> Choice:
    """Return the backend that ``auto`` runs a call on, and why.

    The rules, the first that fits: dropout runs on sdpa; q, k and v of several dtypes on the
    reference; what SDPA does without a mask tensor runs there, and a bias that pays as a few
    columns of q and k, too; what flex cannot run (a gradient on CPU, an epilogue or float64 that
    would run it eagerly) runs on sdpa; on CPU a small dense mask runs on sdpa, which compiles
    nothing; everything else runs on flex.
    """
    if dropout_p:
        return Choice("sdpa", "flex has no dropout")
    if len({x.dtype for x in qkv}) > 1:
        return Choice("reference", flex.MIXED_DTYPES.message)
    if not plan.has_epilogue and is_maskless(plan):
        return Choice("sdpa", "it needs no mask tensor")
    if pays(plan.without_factors() if folds(plan) else plan, qkv[0]):
        reason = "its bias is a few columns of q and k, which beats a mask tensor of this size"
        return Choice("sdpa", reason, fold_bias=True)
    refused = flex.refusal(plan, qkv)
    if refused is not None:
        return Choice("sdpa", refused.message)
    device, dtype = qkv[0].device.type, qkv[0].dtype
    if not flex.compiles(device, dtype, plan.facts.reads_lse):
        return Choice("sdpa", "flex would run eagerly here, with dense scores")
    size = dense_elements(plan) * qkv[0].element_size()
    if device == "cpu" and size <= DENSE_LIMIT:
        return Choice(
            "sdpa", f"its dense mask is small, {size / 2**20:.2g} MiB, and compiles nothing"
        )
    return Choice("flex", "it skips empty tiles and keeps no dense mask")


def is_maskless(plan: Plan) -> bool:
    """Tell whether SDPA runs the plan with neither a mask tensor nor a changed score."""
    return isinstance(remaining(plan), Identity) and (not plan.masks or plan.is_causal)


def dense_elements(plan: Plan) -> int:
    """Return how many elements SDPA's mask has."""
    sizes = plan.domain.sizes
    deps = plan.module.mask.deps
    match remaining(plan):
        case Identity():
            pass
        case Additive(bias):
            deps |= bias.deps
        case _:
            deps |= Dim.ALL
    dims = {Dim.BATCH: Sz.BATCH_SIZE, Dim.HEAD: Sz.NUM_HEADS, Dim.Q: Sz.Q_LEN, Dim.K: Sz.KV_LEN}
    return prod(sizes[size] for dim, size in dims.items() if dim in deps)


def check_dropout(dropout_p: float) -> None:
    """Refuse what is no probability."""
    if not (isinstance(dropout_p, int | float) and 0 <= dropout_p <= 1):
        message = f"`dropout_p` is from 0 to 1, found {dropout_p!r}"
        raise BindError("M428", message, help="it is the share of the weights that are dropped")


def refuse_mixed(qkv: tuple[Tensor, Tensor, Tensor]) -> None:
    """Refuse tensors of several dtypes on sdpa."""
    if len({x.dtype for x in qkv}) > 1:
        found = ", ".join(f"{name} {x.dtype}" for name, x in zip("qkv", qkv, strict=True))
        message = f"sdpa needs q, k and v of one dtype, found {found}"
        help = "convert them, or use the reference backend"
        raise LoweringError("M503", message, help=help)


def refuse_dropout(backend: str, dropout_p: float) -> None:
    """Refuse dropout on a backend that has none."""
    if dropout_p:
        message = f"{backend} has no dropout, found dropout_p={dropout_p}"
        raise LoweringError("M506", message, help='use backend="sdpa"')


def refuse_folding(backend: str, fold_bias: bool) -> None:
    """Refuse ``fold_bias`` on a backend that needs no columns for a bias."""
    if fold_bias and backend != "sdpa":
        message = f"`fold_bias` is a form of the sdpa backend, found backend={backend!r}"
        raise LoweringError("M511", message, help='use backend="sdpa", or leave out `fold_bias`')
