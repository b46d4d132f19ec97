"""The mask in the score: under ``causal``, ``score - abs(q - k)`` becomes ``score - (q - k)``.

Where the mask is false the score is -inf, whatever the program's score says there. A bias that
the mask makes a difference of q and k splits into terms of each, and costs no tensor; a choice
that the mask has made costs nothing. A program whose empty rows attend to every key reads its
score where the mask is false, so the law is not for it.
"""

from __future__ import annotations

from maskc.ir.nodes import Module
from maskc.passes.support.apply_facts import apply_facts
from maskc.passes.support.facts import facts


def assume_mask(module: Module) -> Module | None:
    """Return the module with its score simplified by its mask."""
    score = apply_facts(module.score, facts(module.mask, True))
    return None if score == module.score else Module(module.mask, score, module.out)
