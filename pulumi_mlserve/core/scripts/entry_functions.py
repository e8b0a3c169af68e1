"""Whether ``init`` and ``run`` of an entry script have the forms that can be called.

The rules are those of Azure ML v1's scoring server and of our runtime: ``run`` names its parameters, has one for the
input, and is plain; ``init`` needs no argument.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from pulumi_mlserve.core.suggest import closest, did_you_mean

Function = ast.FunctionDef | ast.AsyncFunctionDef
Finding = tuple[int, str]
"""The line to look at, and what is wrong there."""

_INPUT_SCHEMA: Final = "input_schema"
_HEADERS: Final = "request_headers"
_KNOWN_DECORATORS: Final = frozenset({"input_schema", "output_schema", "rawhttp"})
_MISSING: Final = {
    "init": "define init() that loads the model; it is called once at start",
    "run": "define run(data) that answers one request",
}


def check_functions(tree: ast.Module, *, lines: int) -> Iterator[Finding]:
    """Yield what is wrong with ``init`` and ``run``.

    Args:
        tree: The script.
        lines: How many lines it has; what is missing altogether belongs after the last.
    """
    bound = dict(_bound(tree.body))
    unknown = "*" in bound
    for name, advice in _MISSING.items():
        node = bound.get(name)
        if node is None:
            if not unknown and not (name == "run" and "driver_module" in bound):
                functions = {found: what.lineno for found, what in bound.items() if isinstance(what, Function)}
                line = functions.get(closest(name, functions) or "", max(lines, 1))
                yield line, f"no {name}(){did_you_mean(name, functions) or '; ' + advice}"
        elif isinstance(node, ast.Constant):
            yield node.lineno, f"{name} is no function, got {node.value!r}; {advice}"
        elif isinstance(node, Function):
            yield from _check_init(node, bound.get("run")) if name == "init" else _check_run(node)


def has_input_schema(tree: ast.Module) -> bool:
    """Return whether ``run`` has the decorator that declares an input, under whatever name it was imported."""
    run = dict(_bound(tree.body)).get("run")
    if not isinstance(run, Function):
        return False
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    aliases = {alias.asname for one in imports for alias in one.names if alias.name == _INPUT_SCHEMA}
    return any(name in {_INPUT_SCHEMA, *aliases} for name, _ in map(_decorator, run.decorator_list))


def _bound(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Yield every name that a module may bind, with what it is bound to; the last one counts."""
    for statement in body:
        if isinstance(statement, Function | ast.ClassDef):
            yield statement.name, statement
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name.split(".")[0], statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            yield from _assigned(statement)
        for handler in getattr(statement, "handlers", []):
            yield from _bound(handler.body)
        for block in ("orelse", "body", "finalbody"):
            yield from _bound(getattr(statement, block, []))


def _assigned(statement: ast.Assign | ast.AnnAssign) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that an assignment binds; the value itself where one name takes all of it."""
    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                yield node.id, statement.value if node is target and statement.value is not None else statement


def _check_init(node: Function, run: object) -> Iterator[Finding]:
    """Yield what is wrong with ``init``; an asynchronous one is awaited only beside an asynchronous ``run``."""
    if isinstance(node, ast.AsyncFunctionDef) and isinstance(run, ast.FunctionDef):
        yield (
            node.lineno,
            "init() is asynchronous, which nobody would await; define it with def, or both async",
        )
    needed = _required(node.args)
    if needed and not node.decorator_list:
        yield (
            node.lineno,
            f"init() is called without arguments, got {_listed(needed)}; give them defaults or take them out",
        )


def _check_run(node: Function) -> Iterator[Finding]:
    """Yield what is wrong with ``run``."""
    decorators = [_decorator(one) for one in node.decorator_list]
    if any(name not in _KNOWN_DECORATORS for name, _ in decorators):
        return  # what the decorator makes of it is known only at run time
    schemas = [argument for name, argument in decorators if name == "input_schema"]
    raw = any(name == "rawhttp" for name, _ in decorators)
    if raw and schemas:
        yield node.lineno, "run() has both @rawhttp and @input_schema; keep one of them"
    yield from _check_parameters(node, schemas, with_schema=bool(schemas))


def _check_parameters(node: Function, schemas: list[str | None], *, with_schema: bool) -> Iterator[Finding]:
    """Yield what is wrong with the parameters of ``run``."""
    arguments = node.args
    odd = [f"{one.arg} before /" for one in arguments.posonlyargs]
    odd += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    odd += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    if odd:
        yield (
            node.lineno,
            f"run() cannot take positional-only parameters, *args or **kwargs, got {_listed(odd)}; name each parameter",
        )
        return
    names = [one.arg for one in (*arguments.args, *arguments.kwonlyargs)]
    inputs = [name for name in names if name != _HEADERS]
    if not inputs:
        takes = f"nothing but {_HEADERS}" if names else "no parameter"
        yield node.lineno, f"run() takes {takes}; add one for the input, as in run(data)"
        return
    for schema in schemas:
        if schema is not None and schema not in names:
            yield node.lineno, f"@input_schema names {schema!r}, and run() takes {_listed(names)}; make the two agree"
    more = [name for name in _required(arguments) if name != _HEADERS and name != inputs[0]]
    if more and not with_schema:
        message = f"run() needs a second argument, got {_listed(more)}, and there is one input"
        yield node.lineno, f"{message}; give it a default, or declare each parameter with @input_schema"


def _required(arguments: ast.arguments) -> list[str]:
    """Return the parameters without a default."""
    plain = [*arguments.posonlyargs, *arguments.args]
    needed = [one.arg for one in plain[: len(plain) - len(arguments.defaults)]]
    return needed + [
        one.arg for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None
    ]


def _decorator(node: ast.expr) -> tuple[str, str | None]:
    """Return a decorator's name, and its first argument (or ``param_name``) where that is a text."""
    called = node.func if isinstance(node, ast.Call) else node
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    first: ast.expr | None = None
    if isinstance(node, ast.Call):
        named = [keyword.value for keyword in node.keywords if keyword.arg == "param_name"]
        first = node.args[0] if node.args else named[0] if named else None
    return name, first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _listed(names: list[str]) -> str:
    """Return names as a sentence holds them."""
    return ", ".join(names)
