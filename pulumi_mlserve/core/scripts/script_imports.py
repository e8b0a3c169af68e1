"""What a module imports, read from its text: names, lines, and whether the program goes on without them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Exceptions whose handler makes an import in the try block optional.
_FORGIVING: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass(frozen=True)
class Import:
    """One module that is imported for certain when the code around it runs.

    Attributes:
        module: Dotted name; of a relative import only what follows the dots.
        names: What is taken from it, which may be submodules.
        level: Number of leading dots.
        line: From 1.
    """

    module: str
    names: tuple[str, ...]
    level: int
    line: int


def certain_imports(tree: ast.Module, functions: frozenset[str] = frozenset()) -> Iterator[Import]:
    """Yield the imports that run whenever the module is loaded, or when one of the named functions is called.

    Left out is what a condition or a handler for import errors guards, and what only other functions would import.
    """
    yield from _of_block(tree.body, functions)


def _of_block(body: list[ast.stmt], functions: frozenset[str]) -> Iterator[Import]:
    """Yield the imports of statements that run one after the other."""
    for statement in body:
        yield from _of_statement(statement, functions)


def _of_statement(statement: ast.stmt, functions: frozenset[str]) -> Iterator[Import]:
    """Yield the imports of one statement and of the blocks in it that always run."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield Import(alias.name, (), 0, statement.lineno)
    elif isinstance(statement, ast.ImportFrom):
        names = tuple(alias.name for alias in statement.names)
        yield Import(statement.module or "", names, statement.level, statement.lineno)
    elif isinstance(statement, ast.Try):
        if not any(_forgives(handler) for handler in statement.handlers):
            yield from _of_block(statement.body, functions)
            yield from _of_block(statement.orelse, functions)
        yield from _of_block(statement.finalbody, functions)
    elif _is_run(statement, functions):
        yield from _of_block(getattr(statement, "body", []), frozenset())


def _is_run(statement: ast.stmt, functions: frozenset[str]) -> bool:
    """Return whether the block in a statement runs for certain, and an import error in it is fatal."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return statement.name in functions
    return isinstance(statement, ast.With | ast.ClassDef) and not _suppresses(statement)


def _forgives(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches an import error."""
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(one) in _FORGIVING for one in caught)


def _suppresses(statement: ast.stmt) -> bool:
    """Return whether a with statement goes on after an import error."""
    items = statement.items if isinstance(statement, ast.With) else []
    calls = [item.context_expr for item in items if isinstance(item.context_expr, ast.Call)]
    return any(_last_name(call.func) in {"suppress", "raises"} for call in calls)


def _last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, or an empty text."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
