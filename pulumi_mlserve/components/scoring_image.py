"""``ScoringImage``: environment, entry script and models become an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import pulumi
from typing_extensions import TypedDict, Unpack

from pulumi_mlserve.components.arguments import Rules, arguments
from pulumi_mlserve.components.built_base import base_of, built_base_problems
from pulumi_mlserve.components.found import FoundModel
from pulumi_mlserve.components.own_resource import OwnResource
from pulumi_mlserve.components.registered_model import RegisteredModel
from pulumi_mlserve.core.declarations import token
from pulumi_mlserve.core.image_declarations import ImageRef, RegistryAccess
from pulumi_mlserve.core.images.base_image import runtime_problem
from pulumi_mlserve.core.images.refusals import why_not_image
from pulumi_mlserve.core.model_declarations import ModelRef
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.shapes import PATH, shape_of


class ScoringImageArgs(TypedDict, total=False):
    """What goes into an image."""

    models: Sequence[pulumi.Input[ModelRef] | RegisteredModel]
    """The models the image holds: ``RegisteredModel`` or its ``ref``; none by default."""
    name: pulumi.Input[str]
    """The image's name; the resource's name by default. Lower-case letters, digits, ``-`` and ``.``, 3 to 32."""
    entry_script: pulumi.Input[str]
    """The script with ``init()`` and ``run()``, relative to ``source_directory``; none for an ONNX model alone."""
    source_directory: Annotated[pulumi.Input[str | pulumi.FileArchive], PATH]
    """The folder whose whole content goes into the image; needed with an entry script."""
    conda_file: pulumi.Input[str]
    """The conda environment file, relative to ``source_directory`` if it lies there, else to the program."""
    requirements_file: pulumi.Input[str]
    """A pip requirements file, a ``pyproject.toml`` or a ready lock, in place of ``conda_file``."""
    extras: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Extras and dependency groups of a ``pyproject.toml`` that go in, too; none by default."""
    python_version: pulumi.Input[str]
    """The Python version inside, such as ``3.11``; by default the environment file's, else 3.11."""
    platform: pulumi.Input[str]
    """Where it will run, such as ``linux/arm64``; by default ``linux/amd64`` for an image with a registry or a base,
    else this machine's platform, and kept from then on."""
    environment_variables: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Variables the entry script sees; none by default."""
    samples: pulumi.Input[Sequence[Any]]
    """Requests answered before a service reports ready, ``{"input": …, "output": …}`` or bare inputs.
    By default those of the script's schema decorators, else the model's own ``sample_input``."""
    trial: pulumi.Input[str]
    """Whether preview runs ``init`` and the samples once in a throw-away process: ``auto`` (the default),
    ``required`` (fail where it cannot run) or ``off`` (for programs you do not trust)."""
    trial_seconds: pulumi.Input[float]
    """How long ``init`` and the samples may take there, in seconds; 120 by default, 3600 at most."""
    standins: pulumi.Input[bool]
    """Whether small stand-ins take the place of ``azureml-defaults`` and its kin; true by default."""
    base_packages: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Packages, or modules called otherwise, that the base image brings: they are not installed, not looked for, and
    the script is then not tried here; none by default."""
    features: pulumi.Input[Sequence[pulumi.Input[str]]]
    """What of the runtime goes in beyond scoring: ``telemetry``, ``entra``, ``collection``, ``grpc``, ``simdjson``;
    nothing by default."""
    upgrade: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Which pinned parts to resolve anew: ``lock``, ``runtime``, ``base_image``; none by default."""
    registry: pulumi.Input[str]
    """Where the image is pushed, ``HOST[:PORT][/FOLDER]`` such as ``example.azurecr.io/ml``; by default the stack's
    ``mlserve:registry``, and without one it stays in the local image store. An empty text keeps it there."""
    repository: pulumi.Input[str]
    """The repository below the registry; the image's name by default."""
    registry_tag: pulumi.Input[str]
    """The tag that moves to each new image in the registry, for people; the stack's name by default. Services are
    given the digest."""
    base_image: pulumi.Input[str]
    """What the image stands on: a reference, ``runs:/RUN_ID`` for the image of a training run, or ``scratch`` for
    nothing. By default nothing while the image stays on this machine, else an image of its Python's version."""
    base_image_registry: pulumi.Input[RegistryAccess]
    """The base image's registry, where its reference does not name one, and a login for it; by default the logins of
    this machine."""
    enable_gpu: pulumi.Input[bool]
    """Whether the image is for NVIDIA GPUs; by default as the base image is."""
    cuda_version: pulumi.Input[str]
    """The version of CUDA that packages and base image must have, such as ``12``; needs ``enable_gpu``."""
    builder: str
    """What makes the image: ``native`` (the default), or for one whose base has steps of its own ``docker`` here or
    ``acr`` in a registry of Azure; the rest is written without Docker either way."""
    acr_id: pulumi.Input[str]
    """The ARM id of the container registry whose task builds, with ``builder="acr"``."""
    extra_docker_file_steps: str
    """A file of Dockerfile lines that Docker runs on the base as root, relative to the program; needs
    ``builder="docker"`` or ``"acr"``, and a registry."""
    runtime: str
    """v1's word: ``python``, which is the only one."""
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Words to find the image by; none by default."""
    properties: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Facts about the image; none by default."""
    description: pulumi.Input[str]
    """What the image is; empty by default."""


def _check(given: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if isinstance(given.get("models", ()), pulumi.Output | str):
        problems.append(Problem("models", "decides on layers, so it must be a list itself; its items may be outputs"))
    runtime = given.get("runtime")
    if runtime is not None and not isinstance(runtime, str):
        problems.append(Problem("runtime", "must be a plain text; write 'python' or leave it out"))
    elif runtime is not None and (text := runtime_problem(runtime)):
        problems.append(Problem("runtime", text))
    return problems + built_base_problems(given)


def _part(model: Any) -> Any:
    """Return a model as the image's resource takes it."""
    if isinstance(model, pulumi.Output):
        return model.apply(lambda known: known.ref if isinstance(known, FoundModel) else known)
    if isinstance(model, RegisteredModel):
        return model.parts
    return model.ref if isinstance(model, FoundModel) else model


def _if_told(told: pulumi.Output[Any], digest: pulumi.Output[str]) -> pulumi.Output[Any]:
    """Return an output, and None where an earlier release has left it out of the state of an image that is made.

    In a preview such an output is not known, and nothing that it is a part of would be.
    """

    def settled(value: Any) -> Any:
        return digest.apply(lambda _digest: None) if pulumi.contains_unknowns(value) else value

    return told.apply(settled, run_with_unknowns=True)


class ScoringImage(pulumi.ComponentResource):
    """An image that answers scoring requests, made without Docker and tried before anything is touched."""

    digest: pulumi.Output[str]
    """The digest of the image's manifest, ``sha256:…``."""
    reference: pulumi.Output[str]
    """Where the image lies: ``REGISTRY/REPOSITORY@sha256:…``, or ``NAME@sha256:…`` for the local image store."""
    ref: pulumi.Output[ImageRef]
    """The image as services take it."""
    contract: pulumi.Output[Any]
    """What a service of this image accepts and returns: JSON Schema and samples."""
    lock: pulumi.Output[str]
    """The exact packages with their hashes."""
    size: pulumi.Output[int]
    """Bytes of all layers together."""

    rules = Rules(why_not=why_not_image, check=_check)

    def __init__(
        self,
        resource_name: str,
        args: ScoringImageArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
        **kwargs: Unpack[ScoringImageArgs],
    ) -> None:
        given = arguments("ScoringImage", shape_of(ScoringImageArgs), args, kwargs, self.rules)
        super().__init__(token("ScoringImage"), resource_name, None, opts)
        inputs = {**given, "name": given.get("name", resource_name)}
        inputs |= base_of(resource_name, given, inputs["name"], self)
        for decided in ("acr_id", "builder", "extra_docker_file_steps", "runtime"):
            inputs.pop(decided, None)
        if "extra_docker_file_steps" in given:  # the builder knew where its own base lies
            inputs.pop("base_image_registry", None)
        inputs["models"] = [_part(model) for model in given.get("models", [])]
        image = OwnResource("Image", resource_name, inputs, pulumi.ResourceOptions(parent=self))
        self.digest = image.output("digest")
        self.reference = image.output("reference")
        self.parts: dict[str, pulumi.Output[Any]] = {
            name: image.output(name)
            for name in ("name", "digest", "reference", "python", "platform", "models", "contract")
        }
        # Known before the image is: a service that does not fit them is refused in the first preview.
        self.parts["features"] = pulumi.Output.from_input(given.get("features", []))
        self.parts["entry_script"] = pulumi.Output.from_input(given.get("entry_script", ""))
        self.parts["device"] = image.output("device")
        if "base_packages" in given:
            self.parts["base_packages"] = pulumi.Output.from_input(given["base_packages"])
        self.parts["variables"] = _if_told(image.output("variables"), self.digest)
        self.ref = pulumi.Output.all(**self.parts).apply(lambda parts: cast("ImageRef", parts))
        self.contract = image.output("contract")
        self.lock = image.output("lock")
        self.size = image.output("size")
        self.register_outputs(
            {
                "digest": self.digest,
                "reference": self.reference,
                "ref": self.ref,
                "contract": self.contract,
                "lock": self.lock,
                "size": self.size,
            }
        )
