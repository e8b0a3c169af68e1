"""Facts about the builder of an image: what Docker adds below it, and what a program cannot ask for."""

from __future__ import annotations

import base64

import pytest
import yaml

from pulumi_mlserve.core.images.builders import acr_task, builder_problems, built_base, registry_of

ACR_ID = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/shop"
GOOD = {"builder": "docker", "extra_docker_file_steps": "steps", "base_image": "python:3.11-slim"}


def test_docker_makes_the_base_from_the_steps_alone():
    """Its tag follows from the text, so that the same steps are built once."""
    base = built_base(GOOD, ["RUN apt-get update", "ENV A=1"])

    assert builder_problems(GOOD, "r.example/ml") == []
    assert base.text == "FROM docker.io/library/python:3.11-slim\nUSER 0\nRUN apt-get update\nENV A=1\n"
    assert base.tag.startswith("base-")
    assert base == built_base(GOOD | {"name": "other"}, ["RUN apt-get update", "ENV A=1"])
    assert base.tag != built_base(GOOD, ["RUN true"]).tag


def test_without_a_base_image_the_default_for_the_python_is_taken():
    """And a registry's address completes a name."""
    default = {**GOOD, "base_image": None, "python_version": "3.12"}
    there = {**GOOD, "base_image": "team/base:1", "base_image_registry": {"address": "r.example"}}

    assert "/python:3.12-slim" in built_base(default, []).text
    assert built_base(there, []).text.startswith("FROM r.example/team/base:1\n")


def test_a_task_of_a_registry_writes_the_dockerfile_and_builds_it():
    """Encoded twice: the Dockerfile in its step, the task as the API wants it."""
    base = built_base(GOOD, ["RUN echo 'a \"b\"' > /x"])
    task = yaml.safe_load(base64.b64decode(acr_task(base, "ml/price")))
    command, build, push = task["steps"]

    assert builder_problems(GOOD | {"builder": "acr", "acr_id": ACR_ID}, "shop.azurecr.io/ml") == []
    assert registry_of(ACR_ID) == ("rg", "shop")
    assert base64.b64decode(command["cmd"].split()[3]).decode() == base.text
    assert build["build"] == f"-t $Registry/ml/price:{base.tag} -f Dockerfile ."
    assert push["push"] == [f"$Registry/ml/price:{base.tag}"]


@pytest.mark.parametrize(
    ("change", "registry", "path", "text"),
    [
        ({"builder": "acr"}, "r", "acr_id", "is required with builder='acr'; give the ARM id"),
        ({"builder": "acr", "acr_id": "/subscriptions/1"}, "r", "acr_id", "not the id of a container registry"),
        (
            {"builder": "acr", "acr_id": ACR_ID},
            "other.azurecr.io/ml",
            "acr_id",
            "is the id of shop, and the",
        ),
        ({"acr_id": ACR_ID}, "r", "acr_id", "is used by builder='acr' alone"),
        ({"builder": "dokcer"}, "r", "builder", "got 'dokcer'; did you mean 'docker'?"),
        ({"builder": "native"}, "r", "extra_docker_file_steps", "needs Docker; add builder='docker'"),
        ({"extra_docker_file_steps": None}, "r", "builder", "docker has nothing to do without extra_docker_file_steps"),
        ({}, None, "registry", "is required with builder='docker'"),
        ({}, "", "registry", "is required with builder='docker'"),
        ({"base_image": None}, "r", "base_image", "give it, or python_version for the default"),
        ({"base_image": None, "python_version": "3.9"}, "r", "base_image", "is required with builder='docker'"),
        ({"base_image": "scratch"}, "r", "base_image", "got 'scratch'; give its reference"),
        ({"base_image": "runs:/1"}, "r", "base_image", "got 'runs:/1'; give its reference"),
        ({"base_image": "A B"}, "r", "base_image", "A B"),
        ({"upgrade": ["base_image"]}, "r", "upgrade", "builds when base_image or the steps change"),
        ({"base_image": object()}, "r", "base_image", "must be a text itself"),
        (
            {"base_image_registry": {"address": "r.example", "username": "u", "password": "p"}},
            "r",
            "base_image_registry",
            "give the address alone",
        ),
    ],
)
def test_what_docker_cannot_be_asked_for_is_refused(change, registry, path, text):
    """At its argument, with what to do."""
    given = {name: value for name, value in (GOOD | change).items() if value is not None}
    (problem,) = builder_problems(given, registry)

    assert problem.path == path
    assert text in problem.message
