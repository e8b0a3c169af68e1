"""Images pushed by a stack to a real registry: what is told, what is kept in state, what goes with the stack."""

from __future__ import annotations

import json

import pytest
from programs import free_port, tiny, weights
from registry_kit import get, registry


@pytest.fixture
def real(tmp_path):
    """A registry of the test's own."""
    with registry(tmp_path / "registry") as running:
        yield running


def tags(real, repository="ml/tiny"):
    """Return the tags of a repository, as the registry lists them."""
    status, body = get(f"http://{real.host}/v2/{repository}/tags/list")
    return sorted(json.loads(body)["tags"] or ()) if status == 200 else []


def test_a_stack_pushes_its_image_and_takes_it_along(workspace, real):
    """By configuration; the second up does nothing, a changed model moves the tag, destroy leaves nothing."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write('pulumi.export("reference", image.reference)\n')
    stack = workspace.stack(folder)
    stack.pulumi("config", "set", "mlserve:registry", f"{real.host}/ml").ok()
    first = stack.up().ok()
    reference = stack.outputs()["reference"]

    assert reference.startswith(f"{real.host}/ml/tiny@sha256:")
    assert "pushed " in first.output
    assert "dev" in tags(real)
    stack.pulumi("preview", "--expect-no-changes").ok()
    stack.pulumi("refresh", "--yes", "--expect-no-changes").ok()
    weights(folder, 3)
    stack.up().ok()
    assert reference != stack.outputs()["reference"]
    assert 3 == len(tags(real))

    stack.destroy().ok()
    assert [] == tags(real)
