"""The model of transformers that is given, or that is inside of what is given."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from maskc.errors import ModelError


def model_in(given: object) -> PreTrainedModel:
    """Return the one model of transformers that a module is, or is around.

    Adapters (PEFT), ``torch.compile`` and ``DataParallel`` are modules around a model; what is put
    into its layers holds for them, too.

    Raises:
        ModelError: it is no module, or is around no model or several.

    """
    if isinstance(given, PreTrainedModel):
        return given
    found = _outermost(given) if isinstance(given, nn.Module) else {}
    if len(found) == 1:
        return next(iter(found.values()))
    message = f"expected a model of transformers, found {type(given).__name__}"
    help = "for attention of your own, call `program(q, k, v)` in it"
    if found:
        message += f" around {len(found)} of them"
        help = f"give one: {', '.join(f'`model.{path}`' for path in found)}"
    raise ModelError("M901", message, help=help)


def _outermost(module: nn.Module) -> dict[str, PreTrainedModel]:
    """Return the models in a module that are in no other model, by their paths."""
    found: dict[str, PreTrainedModel] = {}
    for path, part in module.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if isinstance(part, PreTrainedModel) and not inside:
            found[path] = part
    return found
