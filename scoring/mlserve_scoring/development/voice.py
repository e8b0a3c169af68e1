"""What the terminal shows between the script's own lines: where it serves, what changed, what is wrong."""

from __future__ import annotations

import http.client
import json
import shlex
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlserve_scoring.development.folder import Plan
    from mlserve_scoring.development.options import Wish

_LONGEST_BODY: Final = 400
_SHOWN: Final = 3
_PATIENCE_S: Final = 10.0  # it answers at once, but for a script that holds the interpreter
_EVERYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104  # how such a host is shown, not one that is bound


def say(text: str) -> None:
    """Print lines at once, each marked as ours."""
    for line in text.splitlines():
        sys.stdout.write(f"mlserve: {line}\n")
    sys.stdout.flush()


def reachable(host: str) -> str:
    """Return where this machine reaches a server that listens at a host."""
    return "127.0.0.1" if host in _EVERYWHERE else host


def url_of(host: str, port: int) -> str:
    """Return the address of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def served(plan: Plan) -> str:
    """Return what is served, as words."""
    models = ", ".join(f"{model.name} ({model.path.name})" for model in plan.models)
    if plan.entry_script is None:
        return models
    return plan.entry_script + (f" with {models}" if models else "")


def banner(wish: Wish, plan: Plan, url: str, body: str | None) -> str:
    """Return what to do with a server that has just become ready.

    Args:
        wish: Whether changes are served.
        plan: What is served.
        url: Where.
        body: The JSON of a request that it answers; ``None`` when nobody knows one.
    """
    call = f"curl {url}/score -H 'Content-Type: application/json' -d "
    lines = [
        f"serving {served(plan)} at {url}/score",
        f"  try it    {call}{shlex.quote(body)}" if body is not None else f"  try it    {call}@request.json",
        f"  read it   {url}/docs",
        f"  end it    Ctrl-C{'; a change of a file is served as soon as it loads' if wish.reload else ''}",
    ]
    return "\n".join(lines)


def example(host: str, port: int) -> str | None:
    """Return the JSON of a request that the service's own document shows; nothing when it shows none, or a long one."""
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/openapi.json", headers={"Connection": "close"})
        document = json.loads(connection.getresponse().read())
        content = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
        body = json.dumps(next(iter(content["examples"].values()))["value"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, StopIteration):
        return None
    finally:
        connection.close()
    return body if len(body) <= _LONGEST_BODY else None


def changed(paths: Sequence[str], folder: Path) -> str:
    """Return which files changed, as words."""
    shown = [path.removeprefix(f"{folder}/") for path in paths[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else "")


def failure(error: Mapping[str, object], folder: Path) -> str:
    """Return why a process cannot serve: the user's own file and line, what is wrong, what to do."""
    file, line, todo = error.get("file"), error.get("line"), error.get("todo")
    place = "" if not file else f"{folder / str(file)}:{line}: " if line else f"{folder / str(file)}: "
    return f"{place}{error.get('message')}" + (f"; {todo}" if todo else "")
