"""An image whose base has steps of its own: Docker or ACR makes the base, the rest is written without them."""

from __future__ import annotations

import os

import pytest
from azure_native_standin.cloud import SUBSCRIPTION, Cloud
from azure_native_standin.kit import install as install_azure
from container_kit import Docker, base_image, install_engines
from docker_standin.kit import install
from programs import program, replaced
from registry_kit import registry

SCRIPT = "import os\n\n\ndef init():\n    pass\n\n\ndef run(data):\n    return {'tool': os.path.exists('/tool')}\n"
YAML = """
name: declared
runtime: yaml
resources:
  tooled:
    type: mlserve:ScoringImage
    properties:
      entryScript: score.py
      sourceDirectory: ../program/src
      registry: {registry}
      baseImage: {base}
      builder: docker
      extraDockerFileSteps: ../program/steps
      trial: "off"
outputs:
  reference: ${{tooled.reference}}
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A registry of this module's own."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def docker(tmp_path_factory, where):
    """A Docker daemon of this module's own, and a base image with Python in the registry."""
    install_engines()
    folder = tmp_path_factory.mktemp("d")
    with Docker(folder).running() as found:
        blob = next(path for path in base_image().blobs.iterdir() if len(path.name) == 64)
        found("import", str(blob), f"{where.host}/debian:made-here")
        yield found, f"unix://{folder}/docker.sock", f"{where.host}/debian:made-here"


def test_docker_makes_the_base_and_the_rest_is_written_without_it(where, docker, workspaces):
    """Steps run once; a changed script moves the image alone, changed steps both; the container has what they made."""
    run, socket, base = docker
    workspace = workspaces(DOCKER_HOST=socket)
    body = f"""
    image = ScoringImage("tooled", entry_script="score.py", source_directory="src", registry="{where.host}/ml",
        base_image="{base}", builder="docker", extra_docker_file_steps="steps", trial="off")
    pulumi.export("reference", image.reference)
    """
    folder = program(workspace.folder / "program", body)
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    workspace.environment["PATH"] = os.pathsep.join((str(install(workspace.folder)), workspace.environment["PATH"]))
    stack = workspace.stack(folder)

    (folder / "steps").write_text("RUN true\nUSER 1\n", encoding="utf-8")
    assert "line 2: USER has no place among the steps" in stack.preview_text().output
    (folder / "steps").write_text("RUN touch /tool\n", encoding="utf-8")
    assert {"Image tooled": "create"}.items() <= stack.preview().ok().changes.items()
    stack.up().ok()
    first = stack.outputs()["reference"]
    (asked,) = [one["inputs"] for one in stack.export()["deployment"]["resources"] if "docker:index" in one["type"]]
    assert asked["build"]["platform"] == "linux/amd64"  # what the image is for, on an arm64 machine, too
    assert stack.preview().changes == {}
    made = run("images", "--quiet", "--no-trunc", f"{where.host}/ml/tooled")

    (folder / "src" / "score.py").write_text(SCRIPT + "# changed\n", encoding="utf-8")
    stack.up().ok()
    second = stack.outputs()["reference"]
    assert run("images", "--quiet", "--no-trunc", f"{where.host}/ml/tooled") == made
    assert second != first

    run("pull", second)
    config = run("inspect", "--format", "{{json .Config.Entrypoint}}", second)
    assert run("run", "--rm", "--network", "none", "--entrypoint", "ls", second, "/tool") == "/tool"
    assert "mlserve_scoring" in config

    replaced(folder / "steps", "/tool", "/other")
    stack.up().ok()
    assert stack.outputs()["reference"] not in {first, second}
    shown = workspace.run("mlserve", "dockerfile", "tooled").ok().output
    assert "\nRUN touch /other\n" in shown

    declared = workspace.folder / "yaml"
    declared.mkdir()
    (declared / "Pulumi.yaml").write_text(YAML.format(registry=f"{where.host}/ml", base=base), encoding="utf-8")
    same = workspace.stack(declared)
    assert {"Image tooled": "create"}.items() <= same.preview().ok().changes.items()
    same.up().ok()
    assert same.outputs()["reference"] == stack.outputs()["reference"]
    assert same.preview().changes == {}


def test_a_task_of_acr_makes_the_base(where, docker, workspaces):
    """One task run for the resource's life; it runs anew only with other steps."""
    run, socket, base = docker
    workspace = workspaces(DOCKER_HOST=socket, STANDIN_ACR=where.host)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"
    body = f"""
    image = ScoringImage("tasked", entry_script="score.py", source_directory="src", registry="{where.host}/ml",
        base_image="{base}", builder="acr", extra_docker_file_steps="steps", trial="off",
        acr_id="{group}/providers/Microsoft.ContainerRegistry/registries/shopreg")
    pulumi.export("reference", image.reference)
    """
    folder = program(workspace.folder / "program", body)
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "steps").write_text("RUN echo 'a \"b\" $HOME' > /tool\n", encoding="utf-8")
    binaries = str(install_azure(workspace.folder))
    workspace.environment["PATH"] = os.pathsep.join((binaries, workspace.environment["PATH"]))
    stack = workspace.stack(folder)
    assert {"TaskRun tasked": "create", "Image tasked": "create"}.items() <= stack.preview().ok().changes.items()
    stack.up().ok()
    first = stack.outputs()["reference"]
    run("pull", first)

    assert run("run", "--rm", "--network", "none", "--entrypoint", "cat", first, "/tool").startswith('a "b" ')
    assert stack.preview().changes == {}
    shown = workspace.run("mlserve", "dockerfile", "tasked").ok().output.splitlines()
    assert [f"FROM {base} AS base", "USER 0", "RUN echo 'a \"b\" $HOME' > /tool"] == shown[2:5]
    (task,) = Cloud(workspace.folder / "azure").all().values()
    assert task["inputs"]["runRequest"]["platform"] == {"architecture": "amd64", "os": "Linux"}

    replaced(folder / "steps", "/tool", "/other")
    assert {"TaskRun tasked": "update", "Image tasked": "update"} == stack.preview().ok().changes
    stack.up().ok()
    assert stack.outputs()["reference"] != first
