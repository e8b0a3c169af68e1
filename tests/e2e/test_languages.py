"""The quickstart written in YAML: the plugin serves the components, and the stack is the same."""

from __future__ import annotations

import shutil

from programs import free_port, quickstart
from scoring_client import prediction


def test_yaml_and_python_programs_make_one_stack(workspace, stacks):
    """A stack made from YAML serves, and the Python program finds nothing to do on it."""
    ports = free_port(), free_port()
    yaml = quickstart(stacks, workspace.folder / "stacks", ports, "quickstart-yaml")
    stack = workspace.stack(yaml)
    stack.up().ok()
    made = stack.resources()

    assert prediction(f"http://127.0.0.1:{ports[0]}/score") == prediction(f"http://127.0.0.1:{ports[1]}/score")

    python = yaml.parent / "quickstart"
    shutil.copyfile(yaml / "Pulumi.dev.yaml", python / "Pulumi.dev.yaml")
    assert {} == stack.at(python).preview().ok().changes
    assert made.keys() == stack.resources().keys()


def test_yaml_program_hears_of_every_wrong_input(workspace, stacks):
    """Wrong inputs of a component are told under the names that YAML programs use."""
    yaml = quickstart(stacks, workspace.folder / "stacks", (free_port(), free_port()), "quickstart-yaml")
    text = (yaml / "Pulumi.yaml").read_text(encoding="utf-8")
    wrong = text.replace("entryScript: score.py", "entryScript: nothing.py\n      pythonVersion: '2.7'")
    (yaml / "Pulumi.yaml").write_text(wrong, encoding="utf-8")
    preview = workspace.stack(yaml).preview()

    assert 0 != preview.code
    assert "entryScript" in preview.output, preview.output
    assert "entry_script" not in preview.output
