"""Which models a script asks for by name: the literals it gives to ``get_model_path``."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def asked_models(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name and line of each model that is asked for outside of conditions and exception handlers."""
    for statement in tree.body:
        yield from _of_node(statement)


def _of_node(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the requests in a node, leaving out what may not run or may fail."""
    if isinstance(node, ast.If | ast.IfExp | ast.Try | ast.While | ast.For | ast.ExceptHandler):
        return
    if isinstance(node, ast.Call):
        name = _requested(node)
        if name is not None:
            yield name, node.lineno
    for child in ast.iter_child_nodes(node):
        yield from _of_node(child)


def _requested(call: ast.Call) -> str | None:
    """Return the literal model name of a call of ``get_model_path``, else None."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called != "get_model_path":
        return None
    named = [keyword.value for keyword in call.keywords if keyword.arg == "model_name"]
    first = call.args[0] if call.args else named[0] if named else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
