"""A preview may know anything or nothing: no input that is not known yet crashes a check or makes it lie."""

from __future__ import annotations

import dataclasses

import pytest

from pulumi_mlserve.core.declarations import RESOURCES
from pulumi_mlserve.core.shapes import shape_of
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.main import handlers
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown

GIVEN = {
    "Model": {"name": "price", "path": "price.onnx"},
    "Image": {"name": "price", "models": [{"name": "price", "digest": "sha256:" + "a" * 64, "framework": "Onnx"}]},
    "LocalProcess": {
        "name": "price",
        "image": {"name": "price", "digest": "sha256:" + "a" * 64, "reference": "price@sha256:" + "a" * 64},
    },
    "PulledImage": {"reference": "127.0.0.1:1/price@sha256:" + "a" * 64},
    "ServiceKeys": {"service": "price"},
    "ServiceRecord": {
        "service": "price",
        "target": "local",
        "image": {"name": "price", "digest": "sha256:" + "a" * 64, "reference": "price@sha256:" + "a" * 64},
    },
}
CASES = [
    (declaration.name, field.name)
    for declaration in RESOURCES
    for field in shape_of(declaration.inputs).fields
    if not field.computed
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_unknown_input_is_carried_through_a_preview(kind, name, tmp_path, monkeypatch):
    """Check completes, and what create would give is said without an error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "price.onnx").write_bytes(b"x")
    handler = handlers()[f"mlserve:index:{kind}"][1]()
    call = Call(
        f"urn:pulumi:dev::shop::mlserve:index:{kind}::price",
        preview=True,
        news={**GIVEN[kind], name: UNKNOWN, **({"trial": "off"} if kind == "Image" and name != "trial" else {})},
        settings={"store": str(tmp_path / "store")},
    )

    checked = handler.check(call)

    assert [] == [problem for problem in checked.problems if problem.path == name]
    assert has_unknown(checked.inputs.get(name, UNKNOWN))
    if not checked.problems:
        handler.create(dataclasses.replace(call, news=checked.inputs))
