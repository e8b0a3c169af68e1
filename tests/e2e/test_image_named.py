"""A service of an image that is named by hand: what is inside it is known wherever a service's models are asked for."""

from __future__ import annotations

import json

from programs import free_port, program, tiny
from scoring_client import ask

NAMED = """
    first = LocalService("named", image=IMAGE, port=PORT)
    pulumi.export("scoring_uri", first.scoring_uri)
    pulumi.export("contract", first.contract)
    """


def test_what_a_named_image_of_the_local_store_holds_is_recorded(workspace):
    """Models and contract are those of its build; a record without them, of an earlier release, is healed by one up."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write('pulumi.export("reference", image.reference)\n')
    maker = workspace.stack(folder)
    maker.up().ok()
    reference, port = maker.outputs()["reference"], str(free_port())
    name, _, digest = reference.partition("@")
    bare = {"name": name, "digest": digest, "reference": reference, "models": []}
    body = NAMED.replace("PORT", port)
    user = workspace.stack(program(workspace.folder / "user", body.replace("IMAGE", repr(bare)), "user"))
    user.up().ok()
    before = user.resources()["LocalProcess named"]["outputs"]["pid"]
    assert user.outputs().get("contract") is None

    program(workspace.folder / "user", body.replace("IMAGE", repr(reference)), "user")
    preview = user.preview().ok()
    assert {"PulledImage named": "create", "ServiceRecord named": "update"} == preview.changes, preview.output
    user.up().ok()
    outputs = user.outputs()
    assert [6.0] == ask(outputs["scoring_uri"], {"data": [[1.0, 2.0]]}).body
    assert "samples" in outputs["contract"]
    assert before == user.resources()["LocalProcess named"]["outputs"]["pid"]
    user.pulumi("preview", "--expect-no-changes").ok()

    listed = workspace.run("mlserve", "services", "list", "--model", "tiny", "--json").ok()
    models = {row["service"]: row["models"] for row in json.loads(listed.output)}
    assert {"first": "tiny:1", "named": "tiny:1", "second": "tiny:1"} == models
    assert "tiny:1" in workspace.run("mlserve", "history", "named").ok().output

    user.destroy().ok()
    assert digest in workspace.run("mlserve", "images", "list", "--json").ok().output
