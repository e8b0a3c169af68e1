"""Facts about the builder of an image: what Docker adds below it, and what a program cannot ask for."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.images.builders import builder_problems, docker_base

GOOD = {"builder": "docker", "extra_docker_file_steps": "steps", "base_image": "python:3.11-slim"}


def test_docker_makes_the_base_from_the_steps_alone():
    """Its tag follows from the text, so that the same steps are built once."""
    base = docker_base(GOOD, ["RUN apt-get update", "ENV A=1"])

    assert builder_problems(GOOD, "r.example/ml") == []
    assert base.text == "FROM docker.io/library/python:3.11-slim\nUSER 0\nRUN apt-get update\nENV A=1\n"
    assert base.tag.startswith("base-")
    assert base == docker_base(GOOD | {"name": "other"}, ["RUN apt-get update", "ENV A=1"])
    assert base.tag != docker_base(GOOD, ["RUN true"]).tag


def test_without_a_base_image_the_default_for_the_python_is_taken():
    """And a registry's address completes a name."""
    default = {**GOOD, "base_image": None, "python_version": "3.12"}
    there = {**GOOD, "base_image": "team/base:1", "base_image_registry": {"address": "r.example"}}

    assert "/python:3.12-slim" in docker_base(default, []).text
    assert docker_base(there, []).text.startswith("FROM r.example/team/base:1\n")


@pytest.mark.parametrize(
    ("change", "registry", "path", "text"),
    [
        ({"builder": "acr"}, "r", "builder", "is not there yet; use 'docker'"),
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
