"""What a program says of a base image: references, runs, registries with logins, v1's words; wrong ones are told."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.environments.wheel_floors import SUPPORTED_PYTHONS
from pulumi_mlserve.core.images.base_image import (
    base_choice,
    base_problems,
    default_base,
    image_of_run,
    runtime_problem,
)
from pulumi_mlserve.core.images.image import check_image
from pulumi_mlserve.core.images.reference import reference_problem
from pulumi_mlserve.core.images.refusals import why_not_image

DERIVED = "azureml/azureml_9d3568242c6bfef9631879915768deaf"


def wrong(**given):
    """Returns what is wrong, as path and message."""
    return [(problem.path, problem.message) for problem in base_problems(given)]


def test_every_python_has_a_default_base():
    """Its name says so, and it is a reference."""
    found = [default_base(python) for python in SUPPORTED_PYTHONS]

    assert [None] * len(SUPPORTED_PYTHONS) == list(map(reference_problem, found))
    assert all(f":{python}-" in base for python, base in zip(SUPPORTED_PYTHONS, found, strict=True))


@pytest.mark.parametrize(
    ("given", "address", "text"),
    [
        ("python:3.11-slim", "", "docker.io/library/python:3.11-slim"),
        ("example.azurecr.io/base:1", "example.azurecr.io", "example.azurecr.io/base:1"),
        ("team/base:1", "example.azurecr.io", "example.azurecr.io/team/base:1"),
        (DERIVED, "example.azurecr.io", f"example.azurecr.io/{DERIVED}"),
        ("base", "localhost:5000", "localhost:5000/base"),
    ],
)
def test_a_reference_may_leave_its_registry_to_the_address(given, address, text):
    """As v1's base_image_registry.address did."""
    choice = base_choice(given, address)

    assert (text, "") == (str(choice.reference), choice.run)


def test_a_run_stands_for_its_image():
    """The registry is part of what was asked for, since the same run may be looked for elsewhere."""
    assert ("abc", None) == (base_choice("runs:/abc").run, base_choice("runs:/abc").reference)
    assert base_choice("runs:/abc").text != base_choice("runs:/abc", "example.azurecr.io").text
    assert f"example.azurecr.io/{DERIVED}" == str(image_of_run(DERIVED, "example.azurecr.io"))
    with pytest.raises(ValueError, match="base_image_registry"):
        image_of_run(DERIVED, "")


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ({"base_image": "https://example.com/x"}, "base_image", "did you mean 'example.com/x'"),
        ({"base_image": "runs:/"}, "base_image", "names no run"),
        ({"base_image": "runs:/abc/model"}, "base_image", "without a path"),
        ({"base_image": DERIVED}, "base_image", "base_image_registry={'address'"),
        ({"base_image_registry": {"address": "example.com"}}, "base_image_registry", "without base_image"),
        (
            {"base_image": "x", "base_image_registry": {"address": "example.com", "username": "u"}},
            "base_image_registry.password",
            "is required beside username",
        ),
        (
            {"base_image": "x", "base_image_registry": {"address": "example.com", "password": "p"}},
            "base_image_registry.username",
            "is required beside password",
        ),
        (
            {"base_image": "a.example/x", "base_image_registry": {"address": "b.example"}},
            "base_image_registry.address",
            "base_image lies in a.example, got 'b.example'",
        ),
        (
            {"base_image": "x", "base_image_registry": {"address": "https://b.example"}},
            "base_image_registry.address",
            "is no registry",
        ),
        ({"enable_gpu": True, "cuda_version": "10.0"}, "cuda_version", "no package for Python 3.10 or newer"),
        ({"enable_gpu": True, "cuda_version": "9.1"}, "cuda_version", "no package for Python 3.10 or newer"),
        ({"enable_gpu": True, "cuda_version": "twelve"}, "cuda_version", "not a version of CUDA, got 'twelve'"),
        ({"cuda_version": "12"}, "cuda_version", "without enable_gpu"),
    ],
)
def test_mistakes_are_told_at_their_property(given, path, said):
    """With what was given and what to do."""
    (found,) = wrong(**given)

    assert path == found[0]
    assert said in found[1]


def test_several_mistakes_are_told_at_once():
    """In one go, with all others of the image."""
    given = {"name": "x", "base_image": "A/b", "cuda_version": "9", "base_image_registry": {"address": "é"}}

    found = {problem.path for problem in check_image(given)}

    assert {"name", "base_image", "cuda_version", "base_image_registry.address"} == found


@pytest.mark.parametrize(
    "given",
    [
        {"base_image": "me:hunter2@x.example/app:1"},
        {"base_image": "https://me:hunter2@x.example/app:1"},
        {"base_image": "x:hunter2@x.example:5000/a/b@sha256:" + "0" * 64},
        {"base_image": "app:1", "base_image_registry": {"address": "me:hunter2@x.example"}},
    ],
)
def test_a_login_in_an_address_is_not_repeated(given):
    """Messages stand in logs."""
    (found,) = base_problems(given)

    assert "hunter2" not in found.message
    assert "log in with docker login" in found.message


def test_a_login_is_never_shown():
    """Whatever is wrong with it."""
    given = {
        "name": "abc",
        "base_image": "x",
        "base_image_registry": {"address": "b.example", "username": "u", "password": 7},
    }

    (found,) = check_image(given)

    assert "base_image_registry.password" == found.path
    assert "7" not in found.message


@pytest.mark.parametrize(
    "image",
    [
        "azureml/o16n-sample-user-base/ubuntu-miniconda",
        "azureml/o16n-sample-user-base/ubuntu-miniconda:latest",
        "azureml/onnxruntime:v0.4.0",
        "azureml/onnxruntime:v0.4.0-cuda10.0-cudnn7",
        "azureml/onnxruntime:v0.4.0-tensorrt19.03",
        "azureml/base:0.2.4",
        "azureml/base-gpu:0.2.4",
        "azureml/intelmpi2018.3-ubuntu16.04",
        "azureml/openmpi3.1.2-ubuntu18.04",
    ],
)
def test_microsofts_images_of_2019_are_refused_by_name(image):
    """Written whole, or with their registry as the address."""
    (whole,) = wrong(base_image=f"mcr.microsoft.com/{image}")
    (apart,) = wrong(base_image=image, base_image_registry={"address": "mcr.microsoft.com"})

    assert ("base_image", whole) == (whole[0], apart)
    assert "on which the runtime cannot run" in whole[1]
    assert "Python 3.10 or newer" in whole[1]


@pytest.mark.parametrize(
    "image",
    [
        "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04",
        "mcr.microsoft.com/azureml/curated/minimal-py312-cuda12.4-inference",
        "mcr.microsoft.com/azureml/onnxruntime:v1.18",
        "example.azurecr.io/azureml/base:0.2.4",
        "scratch",
        "runs:/0123456789abcdef0123456789abcdef",
    ],
)
def test_newer_images_and_others_copies_are_left_to_their_layers(image):
    """What is in them is read, not guessed."""
    assert [] == wrong(base_image=image)


def test_runtimes_of_v1_are_honoured_or_told():
    """There is Python, and there is no Spark."""
    assert (None, None) == (runtime_problem("python"), runtime_problem("python-slim"))
    assert "pyspark" in str(runtime_problem("spark-py"))
    assert "must be 'python', got 'r'" in str(runtime_problem("r"))


@pytest.mark.parametrize("name", ["docker_file", "base_dockerfile"])
def test_a_dockerfile_is_refused_with_the_way_out(name):
    """As v1's images and environments called theirs."""
    assert "base_image" in str(why_not_image(name))


def test_other_names_of_v1_lead_to_ours():
    """A word that nobody has is left to the general answer."""
    assert "did you mean 'entry_script'?" in str(why_not_image("execution_script"))
    assert "did you mean 'extra_docker_file_steps'?" in str(why_not_image("extra_dockerfile_steps"))
    assert why_not_image("flavour") is None
