"""The manifest and the layout layer of an image: what tells the runtime everything, and v1's names for the models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlserve_scoring import v1_variables
from mlserve_scoring.contract import Contract, samples_from_json
from mlserve_scoring.manifest import MANIFEST_PATH, Limits, Manifest, ModelEntry, dump

from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layer_files import LayerEntry
from pulumi_mlserve.core.images.oci import PORT, ports
from pulumi_mlserve.core.images.paths import APP_ROOT, MODEL_LINKS, RUNTIME, SETTINGS, SITE_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi_mlserve.core.images.layers import LayerPlan


def manifest_of(plan: LayerPlan, contract: Mapping[str, Any] | None) -> Manifest:
    """Return the manifest of an image with this plan.

    Raises:
        ContractError: Samples or contract are not of the documented form.
    """
    inputs = plan.inputs
    return Manifest(
        image=inputs.name,
        recipe=plan.recipe,
        python=inputs.python,
        entry_script=inputs.entry_script,
        app_root=APP_ROOT,
        site_packages=SITE_PACKAGES,
        runtime=RUNTIME,
        models=tuple(
            ModelEntry(model.name, model.version, model.digest, model.folder, model.base, model.framework)
            for model in _sorted(inputs)
        ),
        variables=dict(inputs.variables),
        samples=None if inputs.samples is None else samples_from_json(inputs.samples),
        contract=None if contract is None else Contract.from_json(contract),
        limits=Limits(inputs.max_body_bytes, inputs.scoring_timeout_ms),
        features=inputs.features,
        base_packages=inputs.base_packages,
    )


def container_settings(inputs: ImageInputs) -> dict[str, Any]:
    """Return the settings with which a container serves when its target brings no others.

    What a variable of Azure ML v1 decides is left to it.
    """
    _, *grpc_ports = ports(inputs)
    grpc = {"grpc_port": grpc_ports[0]} if grpc_ports else {}
    providers = {"onnx_providers": ["cuda", "cpu"]} if inputs.onnx_on_gpu else {}
    settings: dict[str, Any] = {
        "schema": 1,
        "root": "/",
        "service": inputs.name,
        "revision": "",
        "host": "0.0.0.0",  # noqa: S104 - inside a container; the target decides what is published
        "port": PORT,
        "fd": None,
        "control": None,
        "keys_file": None,
        "scoring_timeout_ms": inputs.scoring_timeout_ms,
        "max_body_bytes": inputs.max_body_bytes,
        "max_concurrent_requests": 1 if inputs.entry_script else None,
        "max_queue": 1000,
        "drain_seconds": 30,
        "path_prefix": "",
        "log_level": "INFO",
        "variables": {},
        "cors_origins": [],
        **providers,
        **grpc,
    }
    decided = v1_variables.defaults(inputs.variables)
    return {name: value for name, value in settings.items() if name not in decided}


def layout_entries(plan: LayerPlan, contract: Mapping[str, Any] | None) -> list[LayerEntry]:
    """Return what the layout layer holds: v1's names for the models, the manifest, a container's settings."""
    entries = [link for model in _sorted(plan.inputs) for link in model_links(model)]
    settings = json.dumps(container_settings(plan.inputs), sort_keys=True, indent=2) + "\n"
    for path, text in ((MANIFEST_PATH, dump(manifest_of(plan, contract))), (SETTINGS, settings)):
        content = text.encode()
        entries.append(LayerEntry(path, "file", content, len(content)))
    entries.append(LayerEntry(APP_ROOT, "folder"))  # the working directory exists without code, too
    return entries


def model_links(model: ImageModel) -> list[LayerEntry]:
    """Return v1's names for a model: links, relative, so that they hold wherever the root lies."""
    folder = f"{MODEL_LINKS}/{model.name}/{model.version}"
    upwards = "../" * len(folder.split("/"))
    return [
        LayerEntry(f"{folder}/{base}", "link", target=f"{upwards}{model.folder}/{base}")
        for base in sorted({file.path.partition("/")[0] for file in model.files})
    ]


def _sorted(inputs: ImageInputs) -> list[ImageModel]:
    return sorted(inputs.models, key=lambda model: model.name)
