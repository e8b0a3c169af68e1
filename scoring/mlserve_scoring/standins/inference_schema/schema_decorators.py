"""``@input_schema`` and ``@output_schema``: declare samples; calls convert JSON values to the samples' types."""

# ruff: noqa: FBT001, FBT002  # the signatures are v1's

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any

from mlserve_scoring.errors import SchemaMismatchError
from mlserve_scoring.scripts.declared import SCHEMA_MARK

from .parameter_types._nested import converted


class Declaration:
    """What the decorators of one function declare; the runtime reads it."""

    def __init__(self, inputs: Any = None, output: Any = None, optional: Any = (), converting: Any = ()) -> None:
        self.inputs = dict(inputs or {})
        self.output = output
        self.optional = frozenset(optional)
        self.converting = frozenset(converting)

    def accepts(self, name: str, value: Any) -> bool:
        """Return whether a JSON value of a parameter fits its sample."""
        try:
            if name in self.converting:
                converted(self.inputs[name], copy.deepcopy(value))
        except Exception:  # noqa: BLE001  # of users' own kinds too
            return False
        return True


def input_schema(
    param_name: str, param_type: Any, convert_to_provided_type: bool = True, optional: bool = False
) -> Any:
    """Declare a parameter's sample; its value is converted to the sample's type before the call, and so is its default.

    What is null or empty is passed on as it is with ``optional``.
    """

    def decorate(function: Any) -> Any:
        declared = _declared(function)
        parameters = inspect.signature(function).parameters
        if param_name not in parameters and not any(
            entry.kind is inspect.Parameter.VAR_KEYWORD for entry in parameters.values()
        ):
            raise ValueError(f"input_schema: {function.__name__}() has no parameter {param_name!r}")
        names = list(parameters)
        position = names.index(param_name) if param_name in names else None
        default = parameters[param_name].default if param_name in names else inspect.Parameter.empty
        converts_default = convert_to_provided_type and not _stays(default, param_type, optional=optional)

        read = _convert_unless_empty if optional else _convert

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if convert_to_provided_type:
                if param_name in kwargs:
                    kwargs[param_name] = read(param_type, kwargs[param_name], param_name)
                elif position is not None and position < len(args):
                    value = read(param_type, args[position], param_name)
                    args = (*args[:position], value, *args[position + 1 :])
                elif converts_default:
                    kwargs[param_name] = _convert_default(param_type, default, param_name)
            return function(*args, **kwargs)

        inputs = {param_name: param_type, **declared.inputs}
        may_be_empty = {*declared.optional, *([param_name] if optional else [])}
        converting = {*declared.converting, *([param_name] if convert_to_provided_type else [])}
        setattr(wrapper, SCHEMA_MARK, Declaration(inputs, declared.output, may_be_empty, converting))
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

        setattr(wrapper, SCHEMA_MARK, Declaration(declared.inputs, output_type, declared.optional, declared.converting))
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


def _convert_unless_empty(param_type: Any, value: Any, name: str) -> Any:
    return value if _is_empty(value) else _convert(param_type, value, name)


def _stays(default: Any, param_type: Any, *, optional: bool) -> bool:
    """Return whether a parameter's default is passed on as it is: always ``None``, and what has the sample's type."""
    if default is inspect.Parameter.empty or default is None:
        return True
    kind = param_type.sample_data_type
    if isinstance(default, kind):
        holds_samples = getattr(param_type, "sample_data_type_map", None) or getattr(
            param_type, "sample_data_type_list", None
        )
        return kind not in (dict, list, tuple) or not holds_samples
    return optional and _is_empty(default)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, dict, int, float)) and not value)


def _convert_default(param_type: Any, value: Any, name: str) -> Any:
    try:
        return converted(param_type, value)
    except Exception as error:  # the caller has sent nothing that could be wrong
        raise TypeError(f"the default of {name!r} does not fit its declared sample, {error}") from error
