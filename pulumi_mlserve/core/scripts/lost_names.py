"""Names that ``init`` assigns for itself alone while ``run`` wants them: the forgotten ``global`` of many scripts."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator
from typing import Final

_MAKES_NAMES: Final = frozenset({"globals", "exec", "setattr"})


def lost_names(text: bytes, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each name that is local to ``init`` and found nowhere by ``run``, with its line in ``init``.

    Scripts that could bind names in ways that a text does not show yield none.

    Args:
        text: The script.
        tree: Its syntax tree.
    """
    if any(_hides_names(node) for node in ast.walk(tree)):
        return
    try:
        top = symtable.symtable(text.decode("utf-8-sig"), "score.py", "exec")
    except (SyntaxError, ValueError, RecursionError):  # of another Python than this one, or in another encoding
        return
    functions = {table.get_name(): table for table in top.get_children() if isinstance(table, symtable.Function)}
    init, run = functions.get("init"), functions.get("run")
    if init is None or run is None:
        return
    known = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    for table in _tables(top):
        known |= {s.get_name() for s in table.get_symbols() if s.is_declared_global() and s.is_assigned()}
    wanted = {
        s.get_name() for table in _tables(run) for s in table.get_symbols() if s.is_global() and s.is_referenced()
    }
    kept = {s.get_name() for s in init.get_symbols() if s.is_local() and s.is_assigned()}
    lines = _assignments(tree)
    for name in sorted(kept & (wanted - known - set(dir(builtins)))):
        if name in lines:
            yield name, lines[name]


def _hides_names(node: ast.AST) -> bool:
    """Return whether a part of a program may bind names that its text does not show."""
    if isinstance(node, ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    return isinstance(node, ast.Name) and node.id in _MAKES_NAMES


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _assignments(tree: ast.Module) -> dict[str, int]:
    """Return the first line of ``init`` in which each name is assigned."""
    found: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "init":
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    found[inner.id] = min(inner.lineno, found.get(inner.id, inner.lineno))
    return found
