"""Which Python compiles an image's files: kept while nothing else changes, this machine's otherwise."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pulumi_mlserve.clients.images.bytecode import Compiler
from pulumi_mlserve.provider import image_plan
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_changes import say_what_changes

URN = "urn:pulumi:dev::shop::mlserve:index:ScoringImage$mlserve:index:Image::price"
ENVIRONMENT = SimpleNamespace(
    spec=SimpleNamespace(python="3.11", variables={}),
    lock=SimpleNamespace(key="sha256:lock", platform="linux/amd64", text=""),
)
NEWS = {"name": "price", "models": [{"name": "price", "digest": "sha256:" + "1" * 64, "framework": "Onnx"}]}


@pytest.fixture
def plan(monkeypatch):
    """Return a function that plans an image on a machine with one Python 3.11, or without."""

    def planned(version, olds, **news):
        found = Compiler(Path("python"), version) if version else None
        monkeypatch.setattr(image_plan, "find_compiler", lambda _minor: found)
        made = image_plan.plan_image(Call(URN, news={**NEWS, **news}, olds=olds), ENVIRONMENT, None)
        said = {"runtime": made.inputs.runtime_digest, "compiler": made.inputs.compiler or "", "recipe": made.recipe}
        return {**NEWS, **news, **said, "layers": {layer.name: layer.key for layer in made.layers}}

    return planned


@pytest.mark.parametrize(("first", "second"), [("3.11.7", "3.11.2"), ("3.11.7", None), (None, "3.11.2")])
def test_an_unchanged_image_keeps_its_compiler_on_every_machine(first, second, plan):
    """A colleague with another Python, or with none, sees no change."""
    made = plan(first, {})

    assert (first or "") == made["compiler"]
    assert made == plan(second, made)


def test_a_changed_image_is_compiled_by_this_machines_python(plan):
    """Who builds needs a compiler that is there; the layers' keys tell it."""
    made = plan("3.11.7", {})
    changed = plan("3.11.2", made, entry_script="other.py")

    assert "3.11.2" == changed["compiler"]
    assert ["dependencies", "runtime"] == [n for n in made["layers"] if made["layers"][n] != changed["layers"].get(n)]


def test_upgrading_the_runtime_takes_this_machines_compiler(plan):
    """Both are the toolchain."""
    made = plan("3.11.7", {})

    assert "3.11.2" == plan("3.11.2", made, upgrade=["runtime"])["compiler"]


def test_another_compiler_is_told(plan):
    """Why layers change that nobody touched."""
    made = plan("3.11.7", {})
    lines = []
    news = plan("3.11.2", made, entry_script="other.py")
    say_what_changes(Call(URN, olds=made, news=news, say=lambda text, kind: lines.append(f"{kind}: {text}")))

    assert "info: compiled by Python 3.11.7 → 3.11.2" in lines
