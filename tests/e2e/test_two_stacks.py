"""Stacks that share a model store: at the same moment, under the same name, and one using what the other registered."""

from __future__ import annotations

import json

from programs import free_port, program, tiny
from scoring_client import prediction

REGISTER = """
RegisteredModel("shared", path="own.bin")
RegisteredModel("equal", path="equal.bin")
"""


def test_registering_at_the_same_moment(workspace):
    """Under one name, different contents become versions 1 and 2; the same content is version 1 for both."""
    pair = []
    for name in ("one", "two"):
        folder = program(workspace.folder / name, REGISTER, name)
        (folder / "own.bin").write_bytes(b"x" * 1_000_000 + name.encode())
        (folder / "equal.bin").write_bytes(b"y" * 1_000_000)
        pair.append(workspace.stack(folder))
    started = [stack.start_up() for stack in pair]
    for command in started:
        command.finish().ok()

    def versions(model: str) -> list[int]:
        return sorted(stack.resources()[f"Model {model}"]["outputs"]["version"] for stack in pair)

    def numbers(model: str) -> list[str]:
        folder = workspace.store / "models" / model / "versions"
        return sorted(path.stem for path in folder.glob("[0-9].json"))

    assert ([1, 2], [1, 1]) == (versions("shared"), versions("equal"))
    assert (["1", "2"], ["1"]) == (numbers("shared"), numbers("equal"))
    assert [{}, {}] == [stack.preview().ok().changes for stack in pair]

    # The bytes go with the last claim, not with the first.
    pair[0].destroy().ok()
    pair[1].refresh().ok()
    assert {} == pair[1].preview().ok().changes


def test_image_in_use_by_another_stack_stays(workspace):
    """A stack whose image another stack serves is not destroyed: the service is named, and nothing is lost."""
    ports = free_port(), free_port()
    folder = tiny(workspace.folder / "maker", ports, name="maker")
    text = (folder / "__main__.py").read_text(encoding="utf-8").partition("first = ")[0]
    (folder / "__main__.py").write_text(f'{text}pulumi.export("ref", image.ref)\n', encoding="utf-8")
    maker = workspace.stack(folder)
    maker.up().ok()
    ref = json.dumps(maker.outputs()["ref"])
    body = f"import json\nLocalService('guarded', image=json.loads({ref!r}), port={ports[0]})"
    user = workspace.stack(program(workspace.folder / "user", body, "user"))
    user.up().ok()
    url = f"http://127.0.0.1:{ports[0]}/score"
    answer = prediction(url)

    refused = maker.destroy().failed()
    assert "in use by guarded (user/dev)" in refused.output
    assert answer == prediction(url)
    assert {} == maker.preview().ok().changes

    user.destroy().ok()
    maker.destroy().ok()


def test_two_stacks_of_one_program_do_not_touch_each_other(workspace):
    """Development and production of one program share versions and layers, each with its own services."""
    ports = free_port(), free_port()
    folder = tiny(workspace.folder / "program", ports)
    text = (folder / "__main__.py").read_text(encoding="utf-8").partition("second = ")[0]
    text = text.replace(f"port={ports[0]}", f'port={ports[0]} if pulumi.get_stack() == "dev" else {ports[1]}')
    (folder / "__main__.py").write_text(text, encoding="utf-8")
    development, production = workspace.stack(folder, "dev"), workspace.stack(folder, "prod")
    development.up().ok()
    production.up().ok()
    assert prediction(f"http://127.0.0.1:{ports[0]}/score") == prediction(f"http://127.0.0.1:{ports[1]}/score")

    development.destroy().ok()
    assert {} == production.preview().ok().changes
    assert prediction(f"http://127.0.0.1:{ports[1]}/score")
