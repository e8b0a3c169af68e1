"""Models and services that another stack made, found by name from programs in Python and in YAML."""

from __future__ import annotations

import pytest
from programs import free_port, program, replaced, tiny

FOUND = """
from pulumi_mlserve import get_service, get_service_output

newest = RegisteredModel.get("tiny", tags={{"stage": "live"}})
service = get_service("first")
later = get_service_output(pulumi.Output.from_input("second")).scoring_uri
pulumi.export("model", {{"version": newest.version, "digest": newest.digest, "framework": newest.framework}})
pulumi.export("all", [model.model_id for model in RegisteredModel.list(tags={{"stage": "live"}}, latest=True)])
pulumi.export("service", {{"uri": service.scoring_uri, "model": service.models[0]["version"], "later": later}})
ScoringImage("other", models=[newest], entry_script="score.py", source_directory="{source}")
ScoringImage(
    "another", models=[RegisteredModel.get_output("tiny", version=1)], entry_script="score.py",
    source_directory="{source}",
)
"""
YAML = """
name: found-yaml
runtime: yaml
variables:
  model:
    fn::invoke: {function: mlserve:index:getModel, arguments: {name: tiny, version: 1}}
  service:
    fn::invoke: {function: mlserve:index:getService, arguments: {name: first}}
  all:
    fn::invoke: {function: mlserve:index:listModels, arguments: {name: tiny}, return: models}
resources:
  other:
    type: mlserve:index:ScoringImage
    properties: {models: ["${model.ref}"], entryScript: score.py, sourceDirectory: SOURCE}
outputs:
  uri: ${service.scoringUri}
  version: ${model.version}
  digest: ${all[0].digest}
"""


@pytest.fixture(scope="module")
def made(workspaces):
    """A workspace in which a stack serves a model twice."""
    workspace = workspaces()
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    replaced(folder / "__main__.py", 'path="weights.json"', 'path="weights.json", tags={"stage": "live"}')
    stack = workspace.stack(folder)
    stack.up().ok()
    return workspace, stack


def test_another_stack_finds_models_and_services(made):
    """By name, tag and version; an image takes what was found, and the second `up` does nothing."""
    workspace, stack = made
    source = stack.program / "src"
    other = workspace.stack(program(workspace.folder / "other", FOUND.format(source=source), name="found"))
    other.up().ok()

    said, resources = other.outputs(), stack.resources()
    model = resources["Model tiny"]["outputs"]
    assert {"version": 1, "digest": model["digest"], "framework": "Custom"} == said["model"]
    assert ["tiny:1"] == said["all"]
    first, second = (resources[f"LocalProcess {name}"]["outputs"]["scoringUri"] for name in ("first", "second"))
    assert {"uri": first, "model": 1, "later": second} == said["service"]
    assert {} == other.preview().ok().changes
    other.destroy().ok()


def test_a_program_in_yaml_finds_them(made):
    """By the same functions, and gives what it found to an image."""
    workspace, stack = made
    folder = workspace.folder / "yaml"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(YAML.replace("SOURCE", str(stack.program / "src")), encoding="utf-8")
    other = workspace.stack(folder)
    other.up().ok()

    first = stack.resources()["LocalProcess first"]["outputs"]["scoringUri"]
    digest = stack.resources()["Model tiny"]["outputs"]["digest"]
    assert {"uri": first, "version": 1, "digest": digest} == other.outputs()
    other.destroy().ok()


def test_a_wrong_name_is_told_with_the_right_one(made):
    """In the preview, at the argument."""
    workspace, _ = made
    body = 'RegisteredModel.get("tinny")'
    failed = workspace.stack(program(workspace.folder / "wrong", body, name="wrong")).preview().failed()

    assert "there is no model named 'tinny' in" in failed.output
    assert "did you mean 'tiny'?" in failed.output
