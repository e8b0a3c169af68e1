"""Keys: asked for on every request, kept secret everywhere, renewed one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import settled_processes
from leftovers import processes_of
from programs import free_port, program, replaced, tiny
from scoring_client import Load, ask

EXPORTS = """
pulumi.export("primary", first.primary_key)
pulumi.export("secondary", first.secondary_key)
"""


@pytest.fixture(scope="module")
def guarded(workspaces):
    """A service with keys: its stack, address and what `up` printed."""
    workspace, ports = workspaces(), (free_port(), free_port())
    service = ", auth_enabled=True, primary_key_generation=1"
    folder = tiny(workspace.folder / "program", ports, service=service)
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write(EXPORTS)
    stack = workspace.stack(folder)
    up = stack.up().ok()
    return stack, f"http://127.0.0.1:{ports[0]}/score", up


@pytest.fixture
def keys(guarded):
    """The service's keys as they are now: one of these tests renews them, and a worker may run it first."""
    return guarded[0].outputs("--show-secrets")


def test_either_key_is_asked_for(guarded, keys):
    """Without a key or with a wrong one the answer is 401; either key opens."""
    _, url, _ = guarded

    assert [401, 401, 200, 200] == [
        ask(url, key=key).status for key in (None, "wrong", keys["primary"], keys["secondary"])
    ]
    assert keys["primary"] != keys["secondary"]


def test_keys_are_secret_everywhere(guarded, keys):
    """No key is in plain text in the state, a preview, an update's output, a process list, a log or the store."""
    stack, url, up = guarded
    assert 401 == ask(url, key=keys["primary"][:-1]).status
    home = stack.workspace.home
    shown = {
        "up": up.output,
        "preview": stack.preview().ok().plan + stack.preview_text("--show-sames").ok().output,
        "outputs": stack.pulumi("stack", "output", "--json", "--stack", stack.name).ok().output,
        "services": stack.workspace.run("mlserve", "services", "list", "--json").output,
        "logs": stack.workspace.run("mlserve", "logs", "first").output,
    }
    assert {} == settled_processes(stack.workspace.folder, "mlserve_scoring serve")
    for pid, command in processes_of(stack.workspace.folder).items():
        shown[f"process {pid}"] = command + (Path("/proc") / str(pid) / "environ").read_text(errors="replace")
    for file in [*stack.workspace.backend.rglob("*"), *home.rglob("*")]:
        if file.is_file() and file.name != "keys.json" and file.stat().st_size < 1_000_000:
            shown[str(file)] = file.read_text(encoding="utf-8", errors="replace")

    assert [] == [where for where, text in shown.items() if keys["primary"] in text or keys["secondary"] in text]
    kept = list(stack.workspace.services.rglob("keys.json"))
    assert [0o600] == [file.stat().st_mode & 0o777 for file in kept]


def test_one_key_is_renewed_while_the_other_serves(guarded, keys):
    """A raised generation gives a new first key; clients with the second one notice nothing."""
    stack, url, _ = guarded
    replaced(stack.program / "__main__.py", "primary_key_generation=1", "primary_key_generation=2")
    preview = stack.preview().ok()
    assert {"ServiceKeys first", "LocalProcess first"} == set(preview.changes), preview.output
    with Load(url, key=keys["secondary"]) as load:
        stack.up().ok()

    renewed = stack.outputs("--show-secrets")
    assert [] == load.failures
    assert (True, False) == (renewed["secondary"] == keys["secondary"], renewed["primary"] == keys["primary"])
    assert [401, 200, 200] == [
        ask(url, key=key).status for key in (keys["primary"], renewed["primary"], renewed["secondary"])
    ]
    assert {} == stack.preview().ok().changes


def test_refused_key_is_not_quoted(workspace):
    """A check failure about a secret tells the rule, never the value."""
    body = """
    image = {"name": "any", "digest": "sha256:" + "0" * 64, "reference": "any@sha256:" + "0" * 64}
    key = pulumi.Config().require_secret("key")
    LocalService("guarded", image=image, auth_enabled=True, primary_key=key)
    """
    stack = workspace.stack(program(workspace.folder / "program", body))
    secret = "zu kürz und geheim"
    stack.config("key", secret, "--secret")
    failed = stack.preview().failed()

    assert "primaryKey" in failed.text, failed.text
    assert secret not in failed.output
    assert secret not in stack.up().failed().output
