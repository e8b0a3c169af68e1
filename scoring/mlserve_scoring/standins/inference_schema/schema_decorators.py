"""``@input_schema`` and ``@output_schema``: declare samples; calls convert JSON values to the samples' types."""

# ruff: noqa: FBT001, FBT002  # the signatures are v1's

from __future__ import annotations

import functools
import inspect
from typing import Any

from mlserve_scoring.errors import SchemaMismatchError
from mlserve_scoring.scripts.declared import SCHEMA_MARK

from .parameter_types._nested import converted


class Declaration:
    """What the decorators of one function declare; the runtime reads it."""

    def __init__(self, inputs: Any = None, output: Any = None, optional: Any = ()) -> None:
        self.inputs = dict(inputs or {})
        self.output = output
        self.optional = frozenset(optional)


def input_schema(
    param_name: str, param_type: Any, convert_to_provided_type: bool = True, optional: bool = False
) -> Any:
    """Declare a parameter's sample; its value is converted to the sample's type before the call."""

    def decorate(function: Any) -> Any:
        declared = _declared(function)
        parameters = inspect.signature(function).parameters
        if param_name not in parameters and not any(
            entry.kind is inspect.Parameter.VAR_KEYWORD for entry in parameters.values()
        ):
            raise ValueError(f"input_schema: {function.__name__}() has no parameter {param_name!r}")
        names = list(parameters)
        position = names.index(param_name) if param_name in names else None

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if convert_to_provided_type:
                if param_name in kwargs:
                    kwargs[param_name] = _convert(param_type, kwargs[param_name], param_name)
                elif position is not None and position < len(args):
                    value = _convert(param_type, args[position], param_name)
                    args = (*args[:position], value, *args[position + 1 :])
            return function(*args, **kwargs)

        missing_allowed = {*declared.optional, *([param_name] if optional else [])}
        setattr(
            wrapper,
            SCHEMA_MARK,
            Declaration({param_name: param_type, **declared.inputs}, declared.output, missing_allowed),
        )
        return wrapper

    return decorate


def output_schema(output_type: Any) -> Any:
    """Declare a sample of what the function returns; nothing is converted."""

    def decorate(function: Any) -> Any:
        declared = _declared(function)
        if declared.output is not None:
            raise ValueError(f"output_schema: is already declared for {function.__name__}()")

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        setattr(wrapper, SCHEMA_MARK, Declaration(declared.inputs, output_type, declared.optional))
        return wrapper

    return decorate


def _declared(function: Any) -> Any:
    return getattr(function, SCHEMA_MARK, None) or Declaration()


def _convert(param_type: Any, value: Any, name: str) -> Any:
    try:
        return converted(param_type, value)
    except SchemaMismatchError as error:
        raise error.below(name) from error
    except Exception as error:
        raise SchemaMismatchError(name, f"does not fit the declared sample, {error}") from error
