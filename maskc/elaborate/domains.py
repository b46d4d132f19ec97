"""What the arguments of a definition may be: ``def window(n: int >= 1)``.

The type is that of the argument; an int stands for a float. Bounds hold of constants, which are
known when a program is compiled, and of sizes, which are known when a call is bound; a run-time
argument, such as ``width[head]``, is not held against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from maskc.elaborate import type_rules as typing
from maskc.elaborate.needs import Need, is_by_sizes
from maskc.elaborate.scope import Macro, Meaning, Scope
from maskc.errors import MaskTypeError
from maskc.ir.nodes import And, Axis, Expr, Input
from maskc.ir.types import Type
from maskc.source import Span
from maskc.syntax import ast

Elaborate = Callable[[ast.Expr, Scope], Expr]


def check_type(macro: Macro, parameter: ast.Parameter, found: Meaning, span: Span) -> None:
    """Refuse an argument of another type than its parameter's.

    Raises:
        MaskTypeError: at ``span``, the place of the argument.

    """
    domain = parameter.domain
    if domain is None:
        return
    if domain.kind.text == "axis":
        if not isinstance(found, Axis):
            raise _outside(macro, parameter, _article(found), span)
    elif not isinstance(found, Expr | Input):
        raise _outside(macro, parameter, "an axis", span)
    elif found.type not in _ACCEPTED[domain.kind.text]:
        value = typing.constant(found) if isinstance(found, Expr) else None
        shown = "" if value is None else f"{_shown(value)}, "
        raise _outside(macro, parameter, f"{shown}{found.type.article}", span)


def check_bounds(
    macro: Macro, parameter: ast.Parameter, inner: Scope, elaborate: Elaborate, span: Span
) -> Need | None:
    """Refuse a constant outside of its parameter's bounds; return what the call must show.

    Args:
        macro: the definition.
        parameter: one of its parameters.
        inner: the scope of its body, where every parameter has its argument.
        elaborate: gives the bounds their meaning.
        span: the place of the argument.

    Raises:
        MaskTypeError: the constant is outside.

    """
    domain, result = parameter.domain, inner.names[parameter.name.text]
    if domain is None or domain.bounds is None or not isinstance(result, Expr):
        return None
    if not is_by_sizes(result):
        return None
    within = Scope(inner.title, inner, {domain.kind.text: result})
    bounds = elaborate(domain.bounds, within)
    links = bounds.args if isinstance(bounds, And) else (bounds,)
    value = typing.constant(result)
    found = f"`{span.text}`" if value is None else _shown(value)
    if any(typing.constant(link) is False for link in links):
        raise _outside(macro, parameter, found, span)
    by_sizes = tuple(link for link in links if typing.constant(link) is None)
    if not by_sizes or not all(map(is_by_sizes, by_sizes)):
        return None
    error = _outside(macro, parameter, found, span)
    return Need(And(by_sizes), error.message, error.help or "", span)


def is_relative(parameter: ast.Parameter) -> bool:
    """Tell whether a parameter's bounds name anything but its type, such as other parameters."""
    domain = parameter.domain
    if domain is None or domain.bounds is None:
        return False
    return any(name != domain.kind.text for name in _names(domain.bounds))


def has_names(node: ast.Expr) -> bool:
    """Tell whether an argument is made of more than literals."""
    return any(True for _ in _names(node))


def _names(node: ast.Expr) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.text
    for part in ast.parts(node):
        yield from _names(part)


_ACCEPTED = {"int": (Type.INT,), "float": (Type.INT, Type.FLOAT), "bool": (Type.BOOL,)}


def _outside(macro: Macro, parameter: ast.Parameter, found: str, span: Span) -> MaskTypeError:
    assert parameter.domain is not None
    domain = parameter.domain.span.text
    message = f"`{macro.name}` takes `{parameter.name.text}: {domain}`, found {found}"
    return MaskTypeError("M231", message, span, f"it is `{macro.declaration}`")


def _article(found: Meaning) -> str:
    return found.type.article if isinstance(found, Expr | Input) else "a definition"


def _shown(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
