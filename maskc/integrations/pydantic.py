"""A program as a field of a pydantic model: text in, text out; the one door to pydantic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

from maskc.compiled import Recipe
from maskc.errors import MaskcError, render
from maskc.source import Source

if TYPE_CHECKING:
    from maskc.program import Program


def program_schema(
    program: type[Program], compiler: Callable[[Recipe], Program]
) -> core_schema.CoreSchema:
    """Return the schema of a program: validated by compiling it, serialised as it was written.

    Args:
        program: the class of programs; one that is compiled already passes as it is.
        compiler: what compiles a recipe.

    """

    def validate(value: Any) -> Program:
        if isinstance(value, program):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("maskc", "a program is a text")
        try:
            return compiler(Recipe(Source(value)))
        except MaskcError as error:
            raise PydanticCustomError("maskc", "{error}", {"error": render(error)}) from None

    return core_schema.no_info_plain_validator_function(
        validate,
        json_schema_input_schema=core_schema.str_schema(),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value: value.source, return_schema=core_schema.str_schema()
        ),
    )
