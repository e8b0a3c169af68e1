"""Check failures stand at the right path and never show a secret."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.image_declarations import ImageInputs
from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs
from pulumi_mlserve.core.model_declarations import ModelInputs
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.core.shapes import secret_parts, shape_of
from pulumi_mlserve.provider import handlers
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.failures import check_failures, masked, wire_path
from pulumi_mlserve.provider.handlers.image import ImageHandler
from pulumi_mlserve.provider.values import Values


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("entry_script", "entryScript"),
        ("models[0].framework", "models[0].framework"),
        ("environment_variables.MY_NAME", "environmentVariables.MY_NAME"),
        ("image.digest", "image.digest"),
        ("tagz", "tagz"),
        ("", ""),
    ],
)
def test_paths_are_spelled_as_the_engine_knows_them(path, expected):
    """Our own names become the wire's, the user's stay."""
    shape = shape_of(LocalProcessInputs if path.startswith("image.") else ImageInputs)

    assert expected == wire_path(path, shape)


def test_a_failure_at_a_secret_has_its_path_in_the_text_alone():
    """The engine prints the value that it finds at a top-level path."""
    news = Values({"keys": {"primary": "hush-hush"}}, frozenset({"keys"}))

    (failure,) = check_failures([Problem("keys", "too weak, got 'hush-hush'")], news, shape_of(LocalProcessInputs))

    assert ("", "keys: too weak, got '[secret]'") == (failure.property, failure.reason)


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [
        ("https://x.blob.core.windows.net/c/p?sv=1&sig=hush", "path", ("", "path: holds credentials")),
        ("https://me:hu@sh@host/p", "path", ("", "path: holds credentials")),
        (["a", {"b": "az://c/p?sig=hush"}], "path[1].b", ("", "path[1].b: holds credentials")),
        ("https://host/p", "path", ("path", "holds credentials")),
        ("what is it?", "path", ("path", "holds credentials")),
    ],
)
def test_a_failure_at_an_address_with_a_login_has_its_path_in_the_text_alone(given, path, expected):
    """Nobody declared it a secret."""
    problem = Problem(path, "holds credentials")
    (failure,) = check_failures([problem], Values({"path": given}, frozenset()), shape_of(ModelInputs))

    assert expected == (failure.property, failure.reason)


@pytest.mark.parametrize(
    "text",
    [
        "bad pem -----BEGIN PEMSECRET6; its last lines: PEMSECRET6",
        "ValueError: '-----BEGIN\\nPEMSECRET6\\n\"x\"'",
        '{"pem": "-----BEGIN\\nPEMSECRET6\\n\\"x\\""}',
        '-----BEGIN\nPEMSECRET6\n"x"',
    ],
)
def test_a_secret_of_several_lines_is_hidden_however_it_is_printed(text):
    """Whole, folded, escaped by Python or by JSON."""
    assert "PEMSECRET6" not in masked(text, [{"PEM": '-----BEGIN\nPEMSECRET6\n"x"'}])


def test_nothing_secret_goes_into_an_image():
    """Everyone who has the image could read it."""
    call = Call(
        "urn:pulumi:dev::shop::mlserve:index:Image::price",
        news={"name": "price", "entry_script": "score.py", "environment_variables": {"TOKEN": "hush-hush"}},
        secrets=frozenset({"environment_variables"}),
    )

    problems = {problem.path: problem.message for problem in ImageHandler().check(call).problems}

    assert problems["environment_variables"].startswith("holds a secret")


def test_a_wrong_value_is_told_once(monkeypatch):
    """Whoever reads the environment sees nothing of what is refused already, and goes by the defaults."""
    seen = []

    def read(call, inputs):
        seen.extend([call.news, inputs])
        raise InvalidInputError([])

    monkeypatch.setattr(handlers.image, "read_environment", read)
    news = {"name": "price", "models": [{"name": "m", "digest": f"sha256:{'0' * 64}"}], "platform": "windows/amd64"}
    call = Call("urn:pulumi:dev::shop::mlserve:index:Image::price", news=news)

    assert ["platform"] == [problem.path for problem in ImageHandler().check(call).problems]
    assert [False, False] == ["platform" in given for given in seen]
    assert all("name" in given for given in seen)


def test_what_an_object_does_not_call_secret_may_be_shown():
    """A registry's name beside its password; of an object that declares nothing all is hidden."""
    access = {"address": "a.example", "username": "robot", "password": "hush-hush"}
    news = Values({"baseImageRegistry": access, "name": "abc"}, frozenset({"baseImageRegistry"}))
    problem = Problem("base_image_registry.address", "a.example refuses robot with hush-hush")

    (failure,) = check_failures([problem], news, shape_of(ImageInputs))

    assert "baseImageRegistry.address: a.example refuses robot with [secret]" == failure.reason
    assert access == secret_parts(None, access)
