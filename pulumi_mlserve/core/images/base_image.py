"""What a program may say of an image's base: a reference, a training run, a registry with its login, v1's words.

Nothing is asked here. Which base is meant when none is given is a rule, too: `default_base`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.images.reference import (
    Reference,
    has_registry,
    parse_reference,
    reference_problem,
    registry_problem,
)
from pulumi_mlserve.core.problems import Problem

SCRATCH: Final = "scratch"
"""As in a Dockerfile: no base at all."""
RUN: Final = "runs:/"
"""Begins what names a training run in place of an image."""

_RELEASE: Final = "bookworm"
_DEFAULTS: Final[Mapping[str, str]] = {
    python: f"docker.io/library/python:{python}-slim-{_RELEASE}" for python in ("3.10", "3.11", "3.12", "3.13")
}
# The same for every device: CUDA comes with the wheels, since no public image has each Python beside each CUDA.

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,255}")
_DERIVED: Final = re.compile(r"azureml/azureml_[0-9a-f]{32}(?:[:@].*)?")
_CUDA: Final = re.compile(r"1[1-9](?:\.\d{1,2}){0,2}")
_OLD_CUDA: Final = re.compile(r"(?:\d|10)(?:\.\d{1,2}){0,2}")
_V1_RUNTIMES: Final = ("python", "python-slim")

# Images of Microsoft whose Python cannot run the runtime. Of those that were renewed under one name for years only the
# tags of 2019 are meant.
_OLD: Final = (
    ("azureml/o16n-", "", "images of 2019 for scoring, with Ubuntu 16.04 and Python 3.6 or 3.7"),
    ("azureml/onnxruntime", r"v0\..*", "images of ONNX Runtime 0.4 of 2019, with Ubuntu 16.04 and Python 3.5 to 3.7"),
    ("azureml/base", "", "images of 2019 with Ubuntu 16.04 and Python 3.6 or 3.7"),
    ("azureml/intelmpi2018", "", "images of 2019 and 2020 with Ubuntu 16.04 or 18.04 and Python 3.6 or 3.7"),
    ("azureml/openmpi3.1.2", "", "images of 2019 to 2021 with Ubuntu 16.04 or 18.04 and Python 3.6 or 3.7"),
    ("azureml/minimal-ubuntu18.04-py3", "", "images of 2021 with Ubuntu 18.04 and Python 3.6 or 3.7"),
)
_MICROSOFT: Final = "mcr.microsoft.com"
_ENOUGH: Final = "leave base_image out for the default, or give one with Python 3.10 or newer"


@dataclass(frozen=True)
class BaseChoice:
    """Which base an image asks for.

    Attributes:
        text: What was asked for, in one form; while it is the same, the base that was found for it stays.
        reference: The image; None where a run names it.
        run: The id of the training run that names it.
        address: The registry of the image that the run names, if it was given.
    """

    text: str
    reference: Reference | None = None
    run: str = ""
    address: str = ""


def default_base(python: str) -> str:
    """Return the base of an image for which none was asked, for every device.

    Raises:
        KeyError: The runtime does not run on that version of Python.
    """
    return _DEFAULTS[python]


def base_choice(base_image: str, address: str = "") -> BaseChoice:
    """Return what a ``base_image`` without problems asks for.

    Args:
        base_image: A reference, or ``runs:/`` with a run's id.
        address: The registry, where the reference does not name one.
    """
    if base_image.startswith(RUN):
        run = base_image.removeprefix(RUN)
        return BaseChoice(f"{base_image} in {address}" if address else base_image, None, run, address)
    reference = parse_reference(_joined(base_image, address))
    return BaseChoice(str(reference), reference)


def image_of_run(name: str, address: str) -> Reference:
    """Return the image that a run names, in a registry where the name does not say one.

    Raises:
        ValueError: It is no reference, or nothing says where it lies.
    """
    if not address and _DERIVED.fullmatch(name):
        raise ValueError(_no_registry(name))
    return parse_reference(_joined(name, address))


def base_problems(raw: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with what an image says of its base, without asking anybody."""
    return [*_image_problems(raw), *_registry_problems(raw), *_cuda_problems(raw)]


def runtime_problem(runtime: str) -> str | None:
    """Return why a ``runtime`` of v1 cannot be honoured, or None for one that can."""
    if runtime in _V1_RUNTIMES:
        return None
    if runtime == "spark-py":
        return (
            "there is no image with Spark, got 'spark-py'; use 'python', and where the script needs Spark ask for "
            "pyspark in the environment and give a base_image with Java"
        )
    return f"must be 'python', got {runtime!r}; the version is python_version's, the base is base_image's"


def _image_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    given = raw.get("base_image")
    address = _address(raw)
    if not isinstance(given, str) or given == SCRATCH:
        return
    if given.startswith(RUN):
        run = given.removeprefix(RUN)
        if not _RUN_ID.fullmatch(run):
            text = f"names no run, got {given!r}; write runs:/ and the run's id, without a path"
            yield Problem("base_image", text)
        return
    if wrong := reference_problem(given):
        yield Problem("base_image", wrong)
        return
    if _DERIVED.fullmatch(given) and not address:
        yield Problem("base_image", _no_registry(given))
        return
    joined = _joined(given, address)
    if reference_problem(joined) is None and (old := _old(parse_reference(joined))):
        yield Problem("base_image", old)


def _registry_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    registry = raw.get("base_image_registry")
    if not isinstance(registry, Mapping):
        return
    at = "base_image_registry"
    given, address = raw.get("base_image"), _address(raw)
    if "base_image" not in raw or given == SCRATCH:
        yield Problem(at, "given without base_image; give the image that lies there")
    for name, other in (("username", "password"), ("password", "username")):
        if registry.get(name) is not None and registry.get(other) is None:
            text = f"is required beside {name}; give both, or neither where a login of this machine is to be used"
            yield Problem(f"{at}.{other}", text)
    if not address:
        return
    if "@" in address:
        yield Problem(f"{at}.address", str(registry_problem(address)))
    elif wrong := reference_problem(f"{address}/x"):
        yield Problem(f"{at}.address", f"is no registry, got {address!r}; {wrong.partition(': ')[2]}")
    elif isinstance(given, str) and reference_problem(given) is None and has_registry(given):
        named, wanted = parse_reference(given).registry, parse_reference(f"{address}/x").registry
        if named != wanted:
            text = f"base_image lies in {named}, got {address!r}; let both name one registry"
            yield Problem(f"{at}.address", text)


def _cuda_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    version = raw.get("cuda_version")
    if not isinstance(version, str):
        return
    if _OLD_CUDA.fullmatch(version):
        text = (
            f"no package for Python 3.10 or newer is built for CUDA {version}; leave it out, or write the version "
            "that the environment's packages are for, such as '12'"
        )
        yield Problem("cuda_version", text)
    elif not _CUDA.fullmatch(version):
        yield Problem("cuda_version", f"not a version of CUDA, got {version!r}; write one such as '12' or '12.4'")
    if raw.get("enable_gpu") is not True:
        yield Problem("cuda_version", "given without enable_gpu; add enable_gpu=True, or leave it out")


def _address(raw: Mapping[str, Any]) -> str:
    registry = raw.get("base_image_registry")
    found = registry.get("address") if isinstance(registry, Mapping) else ""
    return found if isinstance(found, str) else ""


def _joined(name: str, address: str) -> str:
    return name if not address or has_registry(name) else f"{address}/{name}"


def _old(reference: Reference) -> str | None:
    if reference.registry != _MICROSOFT:
        return None
    for begin, tag, what in _OLD:
        if reference.repository.startswith(begin) and (not tag or re.fullmatch(tag, reference.tag or "")):
            return f"is one of Microsoft's {what}, on which the runtime cannot run, got {str(reference)!r}; {_ENOUGH}"
    return None


def _no_registry(name: str) -> str:
    return (
        f"is the name of an image in the registry of a workspace, got {name!r}; name that registry by "
        "base_image_registry={'address': 'NAME.azurecr.io'}"
    )
