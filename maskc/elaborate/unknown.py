"""What to say about an unknown name: the name that was meant, or how to declare it."""

from __future__ import annotations

from maskc.elaborate import scope as names
from maskc.elaborate.known_as import written_for
from maskc.elaborate.scope import Family, Overloads, Scope
from maskc.elaborate.unsupported import reason
from maskc.errors import MaskNameError, did_you_mean
from maskc.ir.nodes import Axis
from maskc.source import Span
from maskc.syntax import ast

_NAME_HELP = {
    "h": "the head index is `head`; `h` is free for an axis: `axis h = 16, w = 32`",
    "w": "declare the axes of the token grid: `axis h = 16, w = 32`",
    "i": "the query index is `q`",
    "j": "the key index is `k`",
    "q_head": "the head index is `head`",
    "s": "the running score is `score`",
    "True": "write `true`",
    "False": "write `false`",
    "None": "a program without a mask has the mask `true`",
    "mask": "the mask has no name of its own; name an expression with `let`",
    "seq_len": "the lengths are `q_len` and `kv_len`",
    "S": "the lengths are `q_len` and `kv_len`",
    "math": "write `exp(x)`, `inf` and so on without a module",
    "torch": "write `exp(x)`, `where(a, b, c)` and so on without a module",
}

_FUNCTION_HELP = {
    "minimum": "did you mean `min`?",
    "maximum": "did you mean `max`?",
    "masked_fill": "write `where(test, score, -inf)`",
    "softmax": "the softmax follows the score; a program changes what goes into it",
    "any": "write the masks out, joined with `|`",
    "all": "write the masks out, joined with `&`",
}


def _is_function(name: str, scope: Scope) -> bool:
    meaning = scope.find(name)
    if meaning is None:
        return name in names.FUNCTIONS or name in names.FORMS
    return isinstance(meaning, Overloads | Family)


def unknown_function(node: ast.Call, scope: Scope) -> MaskNameError:
    """Return the error of a call of a name that ``scope`` does not know."""
    function, name = node.function, node.function.text
    argument = node.arguments[0].value.span.text if node.arguments else None
    functions = (known for known in scope.known() if _is_function(known, scope))
    help = _FUNCTION_HELP.get(name) or reason(name) or written_for(name, argument)
    help = help or did_you_mean(name, functions)
    help = help or f"define it: `def {name}(x) = ...`"
    return MaskNameError("M303", f"unknown function `{name}`", function.span, help)


def unknown_name(name: str, span: Span, scope: Scope) -> MaskNameError:
    """Return the error of a value that ``scope`` does not know."""
    values = (known for known in scope.known() if not _is_function(known, scope))
    help = _NAME_HELP.get(name) or reason(name) or written_for(name)
    help = help or did_you_mean(name, values)
    if help is None:
        help = f"declare it: `input {name}: int`, `param {name}: int` or `let {name} = ...`"
    return MaskNameError("M301", f"unknown name `{name}`", span, help)


def known_axes(scope: Scope) -> list[str]:
    """Return the names of the axes that ``scope`` knows."""
    return [name for name in scope.known() if isinstance(scope.find(name), Axis)]
