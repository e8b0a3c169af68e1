"""What an image is: its spec as the program gives it, what goes into it, and what was built.

Says what may be asked for and what must be remembered. The plan of its layers is made in `layers`, the bytes in
`clients.images.image_store`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pulumi_mlserve.core.environments.runtime_packages import feature_problem
from pulumi_mlserve.core.images.base_image import SCRATCH, base_problems
from pulumi_mlserve.core.images.cuda import CPU
from pulumi_mlserve.core.images.paths import MODELS
from pulumi_mlserve.core.images.platforms import PLATFORMS, meant_platform
from pulumi_mlserve.core.images.refusals import why_not_image
from pulumi_mlserve.core.model import model_name_problem
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.spec_problems import refused, spec_problems
from pulumi_mlserve.core.suggest import did_you_mean
from pulumi_mlserve.core.variables import v1_problems, variable_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi_mlserve.core.digest import FileEntry

MAX_BODY_BYTES: Final = 100 * 1024 * 1024
SCORING_TIMEOUT_MS: Final = 60_000

_IMAGE_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SECRET: Final = frozenset({"environment_variables", "base_image_registry.password"})
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PYTHON = re.compile(r"3\.\d{1,2}")


@dataclass(frozen=True)
class ImageModel:
    """A model as it goes into an image.

    Attributes:
        name: Its name in the store.
        version: Its number in the store; in links and manifest only, never in the recipe.
        digest: What identifies its content, ``sha256:…``.
        files: Its files; each path starts with the base name.
        framework: What it was made with, if recorded.
    """

    name: str
    version: int
    digest: str
    files: tuple[FileEntry, ...]
    framework: str | None = None

    @property
    def folder(self) -> str:
        """Where the model's files lie in an image: by name, so that one changed file moves no other's layer."""
        return f"{MODELS}/{self.name}"

    @property
    def base(self) -> str:
        """The base name: of the file, or of the folder that was registered."""
        return min((file.path.partition("/")[0] for file in self.files), default="")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class ImageInputs:
    """Everything that goes into an image, by content: what the recipe is made of.

    Attributes:
        name: The image's name.
        python: The Python version inside, ``3.11``.
        lock_key: What identifies the installed packages (lock, Python and platform); none without dependencies.
        runtime_digest: The runtime's files.
        code_digest: The source directory's files; none without one.
        models: The models inside.
        entry_script: The script with ``init`` and ``run``, relative to the source directory.
        platform: Operating system and processor, ``linux/amd64``.
        variables: What the entry script sees in its environment.
        samples: Requests, with their answers where known, that a service answers before it is ready.
        max_body_bytes: The largest request.
        scoring_timeout_ms: How long one request may take unless the service says otherwise.
        base: Digest of the base image; none for an image without one.
        features: What of the runtime goes in beyond scoring, sorted.
        base_packages: Packages that the base brings, sorted.
        compiler: The exact version of the Python that compiles the Python files, ``3.11.7``; none leaves them as they
            are.
        device: ``cpu``, or ``cuda`` for an image that is for NVIDIA's GPUs.
        onnx_on_gpu: Whether its onnxruntime can run ONNX models on such a device.
    """

    name: str
    python: str
    lock_key: str | None
    runtime_digest: str
    code_digest: str | None = None
    models: tuple[ImageModel, ...] = ()
    entry_script: str | None = None
    platform: str = "linux/amd64"
    variables: Mapping[str, str] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    scoring_timeout_ms: int = SCORING_TIMEOUT_MS
    base: str | None = None
    features: tuple[str, ...] = ()
    base_packages: tuple[str, ...] = ()
    compiler: str | None = None
    device: str = CPU
    onnx_on_gpu: bool = False


@dataclass(frozen=True)
class ImageLayer:
    """One layer of a built image.

    Attributes:
        kind: ``dependencies``, ``runtime``, ``code``, ``model`` or ``layout``.
        name: The kind, or ``model:NAME``, or ``model:NAME/PATH`` for a large file of a model.
        key: The hash of what went in; equal keys are the same layer.
        digest: The hash of the layer's blob as a registry knows it.
        diff_id: The hash of the uncompressed tar.
        size: Bytes of the blob.
        media_type: The blob's type.
    """

    kind: str
    name: str
    key: str
    digest: str
    diff_id: str
    size: int
    media_type: str

    @property
    def model_folder(self) -> str:
        """Where the files of a model's layer lie in an image, as ``ImageModel.folder`` says."""
        return f"{MODELS}/{self.name.partition(':')[2].partition('/')[0]}"


@dataclass(frozen=True)
class BuiltImage:
    """An image in the local image store.

    Attributes:
        name: The image's name.
        digest: The hash of the OCI manifest, which is what identifies the image.
        config_digest: The hash of the OCI config.
        recipe: The hash of everything that went in.
        python: The Python version inside.
        platform: Operating system and processor, ``linux/amd64``.
        layers: From the bottom up.
        size: Bytes of all blobs together.
        contract: What a service of this image accepts and returns, if known.
        models: Name, version and digest of each model inside.
        created: When it was first built here, ISO 8601; no part of the digest.
        written: The layers that this build had to write; empty when read back.
        existed: Whether the image was there already.
        features: What of the runtime it holds beyond scoring.
        device: ``cpu``, or ``cuda`` for an image that is for NVIDIA's GPUs.
        sbom: Digest of the OCI artifact that lists what is inside and refers to the image.
        lock: The packages with the hashes of their wheels, if known; no part of the image.
        origin: Where it was pulled from, by digest; empty for one that was built here.
    """

    name: str
    digest: str
    config_digest: str
    recipe: str
    python: str
    platform: str
    layers: tuple[ImageLayer, ...]
    size: int
    contract: Mapping[str, Any] | None
    models: tuple[tuple[str, int, str], ...]
    created: str
    written: tuple[str, ...] = ()
    existed: bool = False
    features: tuple[str, ...] = ()
    sbom: str | None = None
    device: str = CPU
    lock: str = ""
    origin: str = ""

    @property
    def reference(self) -> str:
        """The image's name and digest: what a service is given."""
        return f"{self.name}@{self.digest}"


def is_image_name(value: str) -> bool:
    """Tell whether this may name an image."""
    return 3 <= len(value) <= 32 and _IMAGE_NAME.fullmatch(value) is not None  # noqa: PLR2004  Azure ML v1's rule


def _image_name(value: str) -> str:
    if not is_image_name(value):
        raise refused(
            f"not a name for an image, got {value!r}; use 3 to 32 lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends"
        )
    return value


def _model_name(value: str) -> str:
    if wrong := model_name_problem(value):
        raise refused(wrong)
    return value


def _digest(value: str) -> str:
    if not _DIGEST.fullmatch(value):
        raise refused(f"not a digest, got {value!r}; give 'sha256:' and 64 hexadecimal digits")
    return value


def _python(value: str) -> str:
    if not _PYTHON.fullmatch(value):
        raise refused(f"not a Python version, got {value!r}; give two numbers such as '3.11'")
    return value


def _platform(value: str) -> str:
    if value not in PLATFORMS:
        meant = meant_platform(value)
        todo = f"did you mean {meant!r}?" if meant else f"use one of {', '.join(PLATFORMS)}"
        raise refused(f"no images are made for it, got {value!r}; {todo}")
    return value


def _entry_script(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value:
        raise refused(f"must lie inside the source directory, got {value!r}; give a path relative to it")
    if path.suffix != ".py":
        raise refused(f"must be a Python file, got {value!r}; its name must end in '.py'")
    if not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise refused(f"cannot be imported by that name, got {value!r}; use letters, digits and '_', not a digit first")
    return str(path)


def _feature(value: str) -> str:
    if wrong := feature_problem(value):
        raise refused(wrong)
    return value


def _package(value: str) -> str:
    if not _PACKAGE.fullmatch(value):
        raise refused(f"not the name of a package, got {value!r}; write the name alone, without a version")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelChoice(_Strict):
    """A version of a model, as an image's spec names it."""

    name: Annotated[str, AfterValidator(_model_name)]
    digest: Annotated[str, AfterValidator(_digest)]
    version: Annotated[int, Field(ge=1)] | None = None
    uri: str | None = None
    framework: str | None = None


TRIAL_SECONDS: Final = 120.0
"""How long a trial may take unless a program says otherwise."""
MOST_TRIAL_SECONDS: Final = 3600.0
"""How long a program may let a trial take."""


class RegistryAccess(_Strict):
    """Where a base image lies, and who may read it."""

    address: str
    username: str | None = None
    password: str | None = None


class BuilderSteps(_Strict):
    """How a builder made a base image.

    Attributes:
        stands_on: The reference of what the steps ran on.
        steps: The lines of the Dockerfile that ran there as root.
    """

    stands_on: str
    steps: tuple[str, ...] = Field(strict=False)


class ImageSpec(_Strict):
    """An image as the program asks for it; names and rules are those of Azure ML v1."""

    name: Annotated[str, AfterValidator(_image_name)]
    models: tuple[ModelChoice, ...] = Field(default=(), strict=False)
    entry_script: Annotated[str, AfterValidator(_entry_script)] | None = None
    source_directory: str | None = None
    conda_file: str | None = None
    requirements_file: str | None = None
    extras: tuple[str, ...] = Field(default=(), strict=False)
    python_version: Annotated[str, AfterValidator(_python)] | None = None
    platform: Annotated[str, AfterValidator(_platform)] | None = None
    environment_variables: dict[Annotated[str, AfterValidator(variable_name)], str] = Field(default_factory=dict)
    samples: tuple[Any, ...] | None = Field(default=None, strict=False)
    trial: Literal["auto", "required", "off"] = "auto"
    trial_seconds: Annotated[float, Field(gt=0, le=MOST_TRIAL_SECONDS, allow_inf_nan=False)] = TRIAL_SECONDS
    features: tuple[Annotated[str, AfterValidator(_feature)], ...] = Field(default=(), strict=False)
    upgrade: tuple[Literal["lock", "runtime", "base_image"], ...] = Field(default=(), strict=False)
    base_packages: tuple[Annotated[str, AfterValidator(_package)], ...] = Field(default=(), strict=False)
    standins: bool = True
    registry: str | None = None
    repository: str | None = None
    registry_tag: str | None = None
    base_image: str | None = None
    base_image_registry: RegistryAccess | None = None
    base_image_steps: BuilderSteps | None = None
    enable_gpu: bool | None = None
    cuda_version: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    properties: dict[str, str] = Field(default_factory=dict)
    description: str | None = None


def check_image(raw: Mapping[str, Any]) -> list[Problem]:
    """Return everything wrong with an image's inputs by themselves, except what is merely absent; no file is read."""
    problems = []
    try:
        ImageSpec.model_validate(raw)
    except ValidationError as error:
        problems = spec_problems(error, unknown=_unknown, secret=_SECRET)
    return [*problems, *v1_problems(raw.get("environment_variables")), *_conflicts(raw)]


def _conflicts(raw: Mapping[str, Any]) -> list[Problem]:
    """Return what does not fit together, whatever else is wrong."""
    problems = []
    models = raw.get("models")
    names = [str(model.get("name")) for model in models or () if isinstance(model, Mapping)]
    for index, name in enumerate(names):
        if name in names[:index]:
            text = f"the same name twice, got {name!r}; an image holds one version of a model"
            problems.append(Problem(f"models[{index}].name", text))
    if raw.get("entry_script") is not None and raw.get("source_directory") is None:
        text = "is required when there is an entry script; give the folder the script lies in"
        problems.append(Problem("source_directory", text))
    if raw.get("base_packages") and raw.get("base_image") in {None, SCRATCH}:
        problems.append(Problem("base_image", "is required beside base_packages; give the image that has them"))
    if raw.get("conda_file") is not None and raw.get("requirements_file") is not None:
        problems.append(Problem("requirements_file", "given beside conda_file; give one of the two"))
    return problems + base_problems(raw)


def _unknown(name: str) -> str:
    return why_not_image(name) or f"is no property of an image{did_you_mean(name, ImageSpec.model_fields)}"
