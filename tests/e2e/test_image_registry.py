"""Images pushed by a stack to a real registry: what is told, what is kept in state, what goes with the stack."""

from __future__ import annotations

import json
import subprocess

import pytest
from programs import free_port, program, replaced, tiny, weights
from registry_kit import Pattern, at, client, get, image_of, registry
from scoring_client import ask

from pulumi_mlserve.core.images.oci import MANIFEST_TYPE

YAML = """
name: declared
runtime: yaml
resources:
  pulled:
    type: mlserve:PulledImage
    properties:
      reference: REFERENCE
  service:
    type: mlserve:LocalService
    properties:
      image:
        name: ${pulled.name}
        digest: ${pulled.digest}
        reference: ${pulled.reference}
        models: ${pulled.models}
outputs:
  uri: ${service.scoringUri}
"""


@pytest.fixture
def real(tmp_path):
    """A registry of the test's own."""
    with registry(tmp_path / "registry") as running:
        yield running


def tags(real, repository="ml/tiny"):
    """Return the tags of a repository, as the registry lists them."""
    status, body = get(f"http://{real.host}/v2/{repository}/tags/list")
    return sorted(json.loads(body)["tags"] or ()) if status == 200 else []


def test_a_stack_pushes_its_image_and_takes_it_along(real, workspace):
    """By configuration; a changed model moves the tag, what this machine lost is pulled, destroy leaves nothing."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    replaced(folder / "__main__.py", 'source_directory="src"', 'source_directory="src", base_image="scratch"')
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write('pulumi.export("reference", image.reference)\npulumi.export("scoring_uri", first.scoring_uri)\n')
    stack = workspace.stack(folder)
    stack.pulumi("config", "set", "mlserve:registry", f"{real.host}/ml").ok()
    first = stack.up().ok()
    reference = stack.outputs()["reference"]

    assert reference.startswith(f"{real.host}/ml/tiny@sha256:")
    assert "pushed " in first.output
    assert "dev" in tags(real)
    stack.pulumi("preview", "--expect-no-changes").ok()
    stack.pulumi("refresh", "--yes", "--expect-no-changes").ok()
    without_bytes(workspace, stack)
    weights(folder, 3)
    told = stack.preview_text().ok().output
    assert "built anew because of: model tiny" in told
    assert f"{real.host}/ml/tiny: has dependencies, runtime, code; gets model:tiny, layout" in told
    stack.up().ok()
    assert reference != stack.outputs()["reference"]
    assert [3, 2, 2] == [
        len([tag for tag in tags(real) if tag.startswith(kind)]) for kind in ("dev", "dev-", "sha256-")
    ]
    subprocess.run(["rm", "-rf", workspace.home / "data" / "mlserve" / "images"], check=True)
    replaced(folder / "__main__.py", '"first", image=image', '"first", image=image, max_queue=9')
    assert "pulling " in stack.up().ok().output
    assert [9.0] == ask(stack.outputs()["scoring_uri"], {"data": [[1.0, 2.0]]}).body

    stack.destroy().ok()
    assert [] == tags(real)


def without_bytes(workspace, stack):
    """Preview and refresh where neither images nor source nor model are, as on a reviewer's machine."""
    aside = workspace.folder / "aside"
    aside.mkdir()
    away = [workspace.home / "data" / "mlserve" / "images", stack.program / "src", stack.program / "weights.json"]
    for path in away:
        path.rename(aside / path.name)
    stack.pulumi("preview", "--expect-no-changes").ok()
    stack.pulumi("refresh", "--yes", "--expect-no-changes").ok()
    for path in away:
        (aside / path.name).rename(path)


def test_a_service_runs_an_image_that_another_machine_pushed(real, workspace, workspaces):
    """By its digest alone: contract, models and bytes come from the registry; moved elsewhere it is the same image."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    replaced(folder / "__main__.py", 'source_directory="src"', 'source_directory="src", base_image="scratch"')
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write('pulumi.export("reference", image.reference)\npulumi.export("revision", first.revision)\n')
    maker = workspace.stack(folder)
    maker.up().ok()
    revision = maker.outputs()["revision"]
    maker.pulumi("config", "set", "mlserve:registry", real.host).ok()
    moved = maker.preview()
    maker.up().ok()
    reference = maker.outputs()["reference"]

    assert ["update"] == [step.op for step in moved.steps if step.kind == "Image"]
    assert [] == [step.op for step in moved.steps if step.kind == "LocalProcess" and step.op != "same"]
    assert revision == maker.outputs()["revision"]

    body = """
    first = LocalService("first", image="REFERENCE", port=PORT)
    pulumi.export("scoring_uri", first.scoring_uri)
    pulumi.export("contract", first.contract)
    """
    body = body.replace("PORT", str(free_port()))
    other = workspaces()
    user = other.stack(program(other.folder / "program", body.replace("REFERENCE", reference), "user"))
    user.up().ok()
    outputs = user.outputs()

    assert [6.0] == ask(outputs["scoring_uri"], {"data": [[1.0, 2.0]]}).body
    assert "samples" in outputs["contract"]
    assert "tiny:1" in other.run("mlserve", "services", "list").ok().output
    user.pulumi("preview", "--expect-no-changes").ok()
    declared = other.folder / "yaml"
    declared.mkdir()
    (declared / "Pulumi.yaml").write_text(YAML.replace("REFERENCE", reference), encoding="utf-8")
    same = other.stack(declared)
    same.up().ok()
    assert [6.0] == ask(same.outputs()["uri"], {"data": [[1.0, 2.0]]}).body
    manifest, blobs = image_of(Pattern(1000, b"foreign").source())
    with client() as ours:
        foreign = ours.push(at(real, "foreign:1"), manifest, MANIFEST_TYPE, blobs).reference
    program(other.folder / "program", body.replace("REFERENCE", str(foreign)), "user")
    refused = user.preview_text()

    assert 0 != refused.code
    assert "needs a target that runs containers" in refused.output
    program(
        other.folder / "program", body.replace("REFERENCE", reference.replace("@", ":dev#").partition("#")[0]), "user"
    )
    assert "has no digest" in user.preview_text().output
    program(other.folder / "program", body.replace("REFERENCE", reference), "user")
