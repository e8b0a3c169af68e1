"""The config and the manifest of an image as OCI has them, each with one form only, so that their hashes identify it.

See https://github.com/opencontainers/image-spec: ``config.md`` and ``manifest.md``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.reserved_variables import SET_AS_V1

from pulumi_mlserve.core.images.cuda import CPU, CUDA, VARIABLES, WHEELS
from pulumi_mlserve.core.images.image import ImageInputs, ImageLayer
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.paths import APP_ROOT, MODEL_LINKS, RUNTIME, SETTINGS, SITE_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
TAR_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

PORT: Final = 5001
"""The port v1's containers listen on."""
GRPC_PORT: Final = 8081
"""The port at which containers of this field speak gRPC, those of KServe and MLServer."""
USER: Final = "1000"
"""A number, since Kubernetes cannot tell from a name that it is not root."""
MAX_LABEL_BYTES: Final = 32 * 1024
"""A longer contract stays out of the labels; the manifest inside the image always has it."""

EPOCH: Final = "1970-01-01T00:00:00Z"
_ANNOTATION: Final = "org.opencontainers.image"
_NOT_INHERITED: Final = (*SET_AS_V1, "MLSERVE_")
"""Variables of a base that would tell the runtime of another image's script and models."""
_OWN_LABELS: Final = (f"{_ANNOTATION}.", "mlserve.")
"""What a base's labels of these names say does not hold of what stands on it."""


@dataclass(frozen=True)
class Base:
    """A base image to stand on.

    Attributes:
        digest: The hash of its manifest.
        layers: Its layers' descriptors, from the bottom up.
        diff_ids: The hashes of its layers' tars, from its config.
        env: Its environment variables, ``NAME=value``.
        name: The reference it was found by, such as ``docker.io/library/python:3.11-slim``.
        python: How its Python is called.
        labels: What it tells of itself.
    """

    digest: str
    layers: tuple[Mapping[str, Any], ...]
    diff_ids: tuple[str, ...]
    env: tuple[str, ...] = field(default=())
    name: str = ""
    python: str = "python3"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """What is told of where an image comes from; part of its digest, not of its recipe.

    Attributes:
        created: When, as ISO 8601 in UTC; a fixed time unless one is asked for.
        source: Address of the source code.
    """

    created: str = EPOCH
    source: str = ""


FIXED: Final = Origin()
"""Tells nothing of the moment and the place."""


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def ports(inputs: ImageInputs) -> tuple[int, ...]:
    """Return where a container of the image listens: for HTTP, and for gRPC with its feature."""
    return (PORT, GRPC_PORT) if "grpc" in inputs.features else (PORT,)


def config_json(  # noqa: PLR0913  each is one thing that it tells
    inputs: ImageInputs,
    *,
    recipe: str,
    layers: Sequence[ImageLayer],
    contract: Mapping[str, Any] | None = None,
    base: Base | None = None,
    origin: Origin = FIXED,
) -> bytes:
    """Return the image's config."""
    system, _, architecture = inputs.platform.partition("/")
    architecture, _, variant = architecture.partition("/")
    document: dict[str, Any] = {
        "architecture": architecture,
        "config": {
            "Cmd": ["--settings", f"/{SETTINGS}"],
            "Entrypoint": [base.python if base else "python3", "-m", "mlserve_scoring", "serve"],
            "Env": [f"{name}={value}" for name, value in sorted(environment(inputs, base).items())],
            "ExposedPorts": {f"{port}/tcp": {} for port in ports(inputs)},
            "Labels": _inherited(base)
            | labels(inputs, recipe=recipe, contract=contract)
            | origin_annotations(inputs.name, base, origin),
            "StopSignal": "SIGTERM",
            "User": USER,
            "WorkingDir": f"/{APP_ROOT}",
        },
        "created": origin.created,
        "history": [{"created": origin.created, "created_by": f"mlserve {layer.name}"} for layer in layers],
        "os": system,
        "rootfs": {
            "diff_ids": [*(base.diff_ids if base else ()), *(layer.diff_id for layer in layers)],
            "type": "layers",
        },
    }
    if base:
        document["history"] = [{"created": EPOCH, "created_by": "base"} for _ in base.diff_ids] + document["history"]
    if variant:
        document["variant"] = variant
    return canonical(document).encode()


def manifest_json(
    name: str,
    config: bytes,
    layers: Sequence[ImageLayer],
    *,
    base: Base | None = None,
    origin: Origin = FIXED,
) -> bytes:
    """Return the image's OCI manifest, whose hash is the image's digest."""
    document: dict[str, Any] = {
        "annotations": origin_annotations(name, base, origin),
        "config": {"digest": digest_of(config), "mediaType": CONFIG_TYPE, "size": len(config)},
        "layers": [
            *(base.layers if base else ()),
            *({"digest": layer.digest, "mediaType": layer.media_type, "size": layer.size} for layer in layers),
        ],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    return canonical(document).encode()


def origin_annotations(name: str, base: Base | None = None, origin: Origin = FIXED) -> dict[str, str]:
    """Return what registries and their pages show of an image, in the keys that OCI names."""
    found = {f"{_ANNOTATION}.title": name, f"{_ANNOTATION}.created": origin.created}
    if origin.source:
        found[f"{_ANNOTATION}.source"] = origin.source
    if base:
        found[f"{_ANNOTATION}.base.digest"] = base.digest
        if base.name:
            found[f"{_ANNOTATION}.base.name"] = base.name
    return found


def environment(inputs: ImageInputs, base: Base | None = None) -> dict[str, str]:
    """Return the variables of a container: v1's, ours, and on top the user's."""
    if len(inputs.models) == 1:
        (model,) = inputs.models
        model_folder = f"/{MODEL_LINKS}/{model.name}/{model.version}"
    else:
        model_folder = f"/{MODEL_LINKS}" if inputs.models else ""
    variables = dict(text.split("=", 1) for text in (base.env if base else ()))
    variables = {name: value for name, value in variables.items() if not name.startswith(_NOT_INHERITED)}
    if inputs.device == CUDA:
        libraries = [*filter(None, [variables.get("LD_LIBRARY_PATH")]), *(f"/{SITE_PACKAGES}/{one}" for one in WHEELS)]
        variables = {**VARIABLES, **variables, "LD_LIBRARY_PATH": ":".join(libraries)}
    variables.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    variables |= {
        "AML_APP_ROOT": f"/{APP_ROOT}",
        "AZUREML_MODEL_DIR": model_folder,
        "LANG": "C.UTF-8",
        "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime's Linux wheels report usage otherwise
        "PATH": f"{variables['PATH']}:/{SITE_PACKAGES}/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"/{RUNTIME}:{variables['PYTHONPATH']}" if variables.get("PYTHONPATH") else f"/{RUNTIME}",
        "PYTHONUNBUFFERED": "1",
    }
    if inputs.entry_script:
        variables["AZUREML_ENTRY_SCRIPT"] = inputs.entry_script
    given = dict(inputs.variables)
    if "PYTHONPATH" in given:  # as in a Dockerfile, what is set last counts; the runtime's own part stays
        given["PYTHONPATH"] = f"/{RUNTIME}:{given['PYTHONPATH']}"
    return variables | given


def _inherited(base: Base | None) -> dict[str, str]:
    found = base.labels if base else {}
    return {name: value for name, value in found.items() if not name.startswith(_OWN_LABELS)}


def labels(inputs: ImageInputs, *, recipe: str, contract: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the labels by which an image tells what it is without being unpacked."""
    found = {
        "mlserve.name": inputs.name,
        "mlserve.python": inputs.python,
        "mlserve.recipe": recipe,
        "mlserve.models": canonical(
            [
                {"digest": model.digest, "name": model.name, "version": model.version}
                for model in sorted(inputs.models, key=lambda model: model.name)
            ]
        ),
    }
    if inputs.device != CPU:
        found["mlserve.device"] = inputs.device
    if contract is not None:
        text = canonical(contract)
        if len(text.encode()) <= MAX_LABEL_BYTES:
            found["mlserve.contract"] = text
        found["mlserve.contract.digest"] = digest_of(text.encode())
    return found
