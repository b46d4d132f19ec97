"""The table of backends, and the rules by which ``auto`` chooses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from maskc.binding.flags import check_flag
from maskc.errors import BindError, LoweringError, did_you_mean
from maskc.ir.in_trace import in_trace
from maskc.limits import MAX_INT
from maskc.lower import banded, flex, reference, sdpa, sdpa_columns
from maskc.lower.attention_call import Attended, AttentionCall, Refusal
from maskc.lower.plan import Plan

DENSE_LIMIT = 64 * 2**20
MOST_SCALE = 3.4e38
"""The largest scale that float32 holds."""
"""Bytes of a dense SDPA mask above which ``auto`` prefers flex on CPU."""

AUTO = "auto"
COLUMNS = "sdpa+columns"


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run a bound program.

    Attributes:
        refuses: tells why it cannot run a call, as far as that is known before it runs.
        run: runs a call that it does not refuse; raises LoweringError where only the values of
            tensors tell that it cannot.
        explain: what it does in a call, line by line; the plan is None while inputs are left to
            the call.
        is_form: whether it is a form of another backend, which comparisons leave out unless named.

    """

    refuses: Callable[[Plan, AttentionCall], Refusal | None]
    run: Callable[[Plan, AttentionCall], Attended]
    explain: Callable[[Plan | None, AttentionCall], list[str]]
    is_form: bool = False


BACKENDS: Mapping[str, Backend] = {
    "flex": Backend(flex.refuses, flex.run, flex.explain),
    "sdpa": Backend(sdpa.refuses, sdpa.run, sdpa.explain),
    COLUMNS: Backend(sdpa_columns.refuses, sdpa_columns.run, sdpa_columns.explain, is_form=True),
    "banded": Backend(banded.refuses, banded.run, banded.explain),
    "reference": Backend(reference.refuses, reference.run, reference.explain),
}
"""Every backend by name; nothing else lists them."""

COMPARED = tuple(name for name, backend in BACKENDS.items() if not backend.is_form)
"""The backends that a comparison runs unless it names some."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and the rule that chose it."""

    backend: str
    reason: str

    @property
    def fold_bias(self) -> bool:
        """Whether the bias goes into columns of q and k."""
        return self.backend == COLUMNS


def named(backend: str, fold_bias: bool = False) -> str:
    """Return the name of a backend; ``fold_bias`` asks for the form of sdpa with columns.

    Raises:
        BindError: there is none of that name.
        LoweringError: the backend has no such form.

    """
    names = [*BACKENDS, AUTO]
    check_flag("fold_bias", fold_bias)
    if not isinstance(backend, str) or backend not in names:
        help = did_you_mean(str(backend), names) or f"expected one of {', '.join(names)}"
        raise BindError("M420", f"unknown backend `{backend}`", help=help)
    if not fold_bias:
        return backend
    if backend not in (AUTO, "sdpa", COLUMNS):
        message = f"`fold_bias` is a form of the sdpa backend, found backend={backend!r}"
        raise LoweringError("M511", message, help='use backend="sdpa", or leave out `fold_bias`')
    return COLUMNS


def choose(plan: Plan, call: AttentionCall) -> Choice:
    """Return the backend that ``auto`` runs a call on, and why.

    The rules, the first that fits: what SDPA does without a mask tensor runs there, on a slice of
    the keys where the one query of a decode step sees just that, and a bias
    that pays as a few columns of q and k, too; on CPU a long call of scores that SDPA takes, and
    whose bands hold few of the pairs, runs on them; what flex cannot run (dropout, a gradient on
    CPU, a log-sum-exp, epilogue or float64 that would run it eagerly) runs on bands where they
    pay, and on sdpa; so does on CPU what is too small for a compilation, and what is exported;
    everything else runs on flex.
    """
    needs_lse = banded.needs_lse(plan, call)
    if not needs_lse and sdpa.is_maskless(plan, call.scale):
        return Choice("sdpa", "it needs no mask tensor")
    if sdpa.common_keys(plan, call) is not None:
        return Choice("sdpa", "the keys of its query are a slice, so it needs no mask tensor")
    if sdpa_columns.pays(plan, call):
        reason = "its bias is a few columns of q and k, which beats a mask tensor of this size"
        return Choice(COLUMNS, reason)
    pays = banded.pays(plan, call)
    if pays and banded.by_kernel(plan, call):
        share = 100 * banded.density(call.blocks.bands(banded.is_long(plan, call)), call)
        return Choice("banded", f"its bands hold {share:.3g} % of all pairs, and compile nothing")
    other = "banded" if pays else "sdpa"
    if call.dropout_p:
        return Choice(other, "flex has no dropout")
    refused = flex.refuses(plan, call)
    if refused is not None:
        return Choice(other, refused.message)
    if not flex.compiles(call.q, needs_lse):
        return Choice(other, "flex would run eagerly here, with dense scores")
    if torch.compiler.is_exporting():
        return Choice(other, "an exported graph is to run without a compiler")
    size = sdpa.mask_elements(plan) * call.q.element_size()
    if call.q.device.type == "cpu" and size <= DENSE_LIMIT:
        shown = "" if in_trace() else f", {size / 2**20:.2g} MiB"
        return Choice(other, f"a dense mask would be small{shown}, and this compiles nothing")
    return Choice("flex", "it skips empty tiles and keeps no dense mask")


def check_scale(scale: Any) -> None:
    """Refuse what is no finite number.

    Raises:
        BindError: it names what was found.

    """
    if isinstance(scale, bool) or not isinstance(scale, int | float | torch.SymFloat | None):
        message = f"`scale` is a number, found {type(scale).__name__}"
        help = "pass one number for all scores: `scale=0.125`; a factor for each head is a score"
        raise BindError("M435", message, help=help)
    most = MAX_INT if isinstance(scale, int) else MOST_SCALE
    if isinstance(scale, int | float) and not abs(scale) <= most:
        message = f"`scale` is a finite number of 32 bits, found {scale}"
        raise BindError("M435", message, help="None takes 1 / sqrt(D)")


def check_dropout(dropout_p: float) -> None:
    """Refuse what is no probability.

    Raises:
        BindError: it is no number from 0 to 1.

    """
    if not (isinstance(dropout_p, int | float) and 0 <= dropout_p <= 1):
        message = f"`dropout_p` is from 0 to 1, found {dropout_p!r}"
        raise BindError("M428", message, help="it is the share of the weights that are dropped")
