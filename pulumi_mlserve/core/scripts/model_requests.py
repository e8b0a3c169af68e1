"""Which models a script asks for by name: the literals it gives to ``get_model_path``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

_NOT_CERTAIN: Final = (ast.If, ast.IfExp, ast.Try, ast.While, ast.For, ast.ExceptHandler)


def asked_models(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name and line of each model that is asked for outside of conditions and exception handlers."""
    pending: list[ast.AST] = [*reversed(tree.body)]
    while pending:  # no recursion: a long sum of texts is nested as deeply as it has parts
        node = pending.pop()
        if isinstance(node, _NOT_CERTAIN):
            continue
        if isinstance(node, ast.Call) and (name := _requested(node)) is not None:
            yield name, node.lineno
        pending += reversed([*ast.iter_child_nodes(node)])


def _requested(call: ast.Call) -> str | None:
    """Return the literal model name of a call of ``get_model_path``, else None."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called != "get_model_path":
        return None
    named = [keyword.value for keyword in call.keywords if keyword.arg == "model_name"]
    first = call.args[0] if call.args else named[0] if named else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
