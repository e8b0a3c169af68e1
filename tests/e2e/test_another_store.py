"""A stack that is pointed to another model store says so, registers there, and then has nothing left to do."""

from __future__ import annotations

import json

from programs import free_port, program, tiny, weights

BODY = """
model = RegisteredModel("tiny", path="weights.json")
pulumi.export("version", model.version)
"""


def test_a_changed_store_is_shown_and_filled(workspace):
    """Preview names both ids, the update registers there; the former store is left alone, and is the way back."""
    folder = program(workspace.folder / "program", BODY)
    weights(folder, 1)
    stack = workspace.stack(folder)
    stack.up().ok()
    weights(folder, 2)
    stack.up().ok()
    assert {} == stack.preview().ok().changes

    other = workspace.folder / "elsewhere" / "store"
    stack.config("mlserve:store", str(other))
    preview = stack.preview().ok()
    assert {"store", "version"} == set(preview.step("Model tiny").paths)
    assert "holds nothing yet" in preview.text
    assert not other.exists()
    stack.up().ok()
    assert {} == stack.preview().ok().changes
    ids = [json.loads((store / "store.json").read_text())["id"] for store in (workspace.store, other)]
    assert 2 == len(set(ids))
    assert ids[1] == stack.resources()["Model tiny"]["outputs"]["store"]
    assert 1 == stack.outputs()["version"]
    assert str(other) not in json.dumps(stack.export()["deployment"]["resources"][-1])

    stack.config("mlserve:store", str(workspace.store))
    back = stack.preview().ok()
    assert {"store", "version"} == set(back.step("Model tiny").paths)
    assert ids[0] in stack.preview_text().ok().output
    stack.up().ok()
    assert 2 == stack.outputs()["version"]
    assert {} == stack.preview().ok().changes


def test_a_finished_resource_shows_no_step_of_its_work(workspace):
    """The last step is not what a person reads beside what is done; and the lock's hint comes once."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    main = folder / "__main__.py"
    text = main.read_text(encoding="utf-8").replace("samples=", 'trial="off", samples=')
    main.write_text("\n".join(line for line in text.splitlines() if "LocalService(" not in line) + "\n", "utf-8")
    stack = workspace.stack(folder)
    output = stack.up().ok().output
    done = [line for line in output.splitlines() if "mlserve:index:Image tiny created" in line]

    assert 1 == len(done)
    assert done[0].rstrip().endswith(")"), done
    assert "with `mlserve lock`" in output
    assert "with `mlserve lock`" not in stack.up().ok().output
