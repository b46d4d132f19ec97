"""transformers: ``attn_implementation="maskc"``, and another program for a model in one line.

>>> import maskc.integrations.transformers
>>> model = AutoModelForCausalLM.from_config(config, attn_implementation="maskc")

Importing this registers the name. The model's own masks, which transformers composes as functions
of indices, then run as maskc programs: ``programs(model)`` shows them, ``attach`` replaces them.
"""

from transformers import AttentionInterface, AttentionMaskInterface

from maskc.integrations.transformers.attach import attach, detach
from maskc.integrations.transformers.forward.attention import attend
from maskc.integrations.transformers.forward.mask_maker import make_context
from maskc.integrations.transformers.implementation import NAME
from maskc.integrations.transformers.loading import watch_loading
from maskc.integrations.transformers.programs import check, programs
from maskc.integrations.transformers.report import report

__all__ = ["attach", "check", "detach", "programs", "report"]

AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, make_context)
watch_loading()
