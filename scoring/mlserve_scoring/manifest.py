"""The one JSON file in an image that tells the runtime everything: entry, models, contract, limits.

Standard library only: the image builder writes manifests with these types. All paths in it are relative to the root.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring.contract import Contract, ContractError, JsonObject, Sample, samples_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
MANIFEST_PATH: Final = "opt/mlserve/manifest.json"


class ManifestError(ValueError):
    """The manifest is missing or not of the documented form; the message names the place."""


@dataclass(frozen=True)
class ModelEntry:
    """One model of the image.

    Attributes:
        name: The model's name in the store.
        version: Its version, from 1.
        digest: ``sha256:<hex>`` of its content.
        path: The folder that holds its files, relative to the root.
        base: The name of the one file or folder in there.
        framework: What v1 calls ``model_framework``, such as ``Onnx``; ``None`` when not given.
    """

    name: str
    version: int
    digest: str
    path: str
    base: str
    framework: str | None = None


@dataclass(frozen=True)
class Limits:
    """What the image asks of every service made from it; a service's settings win."""

    max_body_bytes: int = 104_857_600
    scoring_timeout_ms: int = 60_000


@dataclass(frozen=True)
class Manifest:
    """Everything the runtime knows about an image.

    Attributes:
        image: The image's name.
        recipe: ``sha256:<hex>`` of what the image is made of.
        python: Minor version, such as ``3.11``.
        entry_script: Path below ``app_root``; ``None`` when a model answers by itself.
        models: The models, in the order given.
        app_root, site_packages, runtime: Folders relative to the root.
        variables: Environment variables that the script sees.
        samples: Requests to answer before reporting ready; ``None`` leaves that to the script's decorators.
        contract: What the trial found; ``None`` without one.
        limits: Body size and scoring time.
        features: What of the runtime the image holds beyond scoring, such as ``telemetry``.
        base_packages: Packages that the base image brings; with any, all that its Python has can be imported.
    """

    image: str
    recipe: str
    python: str
    entry_script: str | None = None
    models: tuple[ModelEntry, ...] = ()
    app_root: str = "var/azureml-app"
    site_packages: str = "opt/mlserve/site-packages"
    runtime: str = "opt/mlserve/runtime"
    variables: Mapping[str, str] = field(default_factory=dict)
    samples: tuple[Sample, ...] | None = None
    contract: Contract | None = None
    limits: Limits = field(default_factory=Limits)
    features: tuple[str, ...] = ()
    base_packages: tuple[str, ...] = ()


def load(root: Path | str) -> Manifest:
    """Return the manifest of the image unpacked at a root.

    Raises:
        ManifestError: It is missing, unreadable or of another form.
    """
    path = Path(root) / MANIFEST_PATH
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read, {error}; give the root of an unpacked image") from error
    return parse(text, str(path))


def parse(text: str, path: str = "manifest") -> Manifest:
    """Return the manifest in a JSON text; ``path`` names it in messages.

    Raises:
        ManifestError: The text is no JSON, of a newer schema or of another form.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ManifestError(f"{path}: is no JSON, {error}") from error
    if not isinstance(value, dict):
        raise ManifestError(f"{path}: is no object, got {type(value).__name__}")
    if value.get("schema") != SCHEMA:
        raise ManifestError(
            f"{path}: schema is not known here, got {value.get('schema')!r}; this runtime reads schema {SCHEMA}, "
            "build the image again with a matching version"
        )
    known = {"schema", *Manifest.__dataclass_fields__}
    unknown = sorted(set(value) - known)
    if unknown:
        raise ManifestError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        return _manifest(value)
    except ContractError as error:
        raise ManifestError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"{path}: is not of the documented form, {type(error).__name__} {error}") from error


def dump(manifest: Manifest) -> str:
    """Return the manifest's canonical text: sorted keys, two spaces, a newline at the end.

    Raises:
        ManifestError: A sample or variable cannot be written as JSON.
    """
    try:
        text = json.dumps(to_json(manifest), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ManifestError(f"manifest: cannot be written as JSON, {error}") from error
    return text + "\n"


def to_json(manifest: Manifest) -> JsonObject:
    """Return the manifest as the JSON object that the file holds."""
    return {
        "schema": SCHEMA,
        "image": manifest.image,
        "recipe": manifest.recipe,
        "python": manifest.python,
        "entry_script": manifest.entry_script,
        "app_root": manifest.app_root,
        "site_packages": manifest.site_packages,
        "runtime": manifest.runtime,
        "models": [dict(vars(model)) for model in manifest.models],
        "variables": dict(manifest.variables),
        "samples": None if manifest.samples is None else [sample.to_json() for sample in manifest.samples],
        "contract": None if manifest.contract is None else manifest.contract.to_json(),
        "limits": dict(vars(manifest.limits)),
        # Absent rather than empty: an image without any stays the image that it was before there were features.
        **({"features": list(manifest.features)} if manifest.features else {}),
        **({"base_packages": list(manifest.base_packages)} if manifest.base_packages else {}),
    }


def _manifest(value: JsonObject) -> Manifest:
    defaults = Manifest(image="", recipe="", python="")
    samples, contract = value.get("samples"), value.get("contract")
    return Manifest(
        image=_text(value, "image"),
        recipe=_text(value, "recipe"),
        python=_text(value, "python"),
        entry_script=None if value.get("entry_script") is None else _text(value, "entry_script"),
        models=tuple(_model(entry) for entry in _list(value.get("models", []))),
        app_root=_text(value, "app_root", defaults.app_root),
        site_packages=_text(value, "site_packages", defaults.site_packages),
        runtime=_text(value, "runtime", defaults.runtime),
        variables={str(key): str(entry) for key, entry in _object(value.get("variables", {})).items()},
        samples=None if samples is None else samples_from_json(samples),
        contract=None if contract is None else Contract.from_json(contract),
        limits=Limits(**{key: _count(entry, key) for key, entry in _object(value.get("limits", {})).items()}),
        features=tuple(map(str, _list(value.get("features", [])))),
        base_packages=tuple(map(str, _list(value.get("base_packages", [])))),
    )


def _model(value: object) -> ModelEntry:
    entry = _object(value)
    return ModelEntry(
        name=_text(entry, "name"),
        version=_count(entry["version"], "version"),
        digest=_text(entry, "digest"),
        path=_text(entry, "path"),
        base=_text(entry, "base"),
        framework=None if entry.get("framework") is None else _text(entry, "framework"),
    )


def _text(value: JsonObject, key: str, default: str | None = None) -> str:
    text = value.get(key, default)
    if not isinstance(text, str):
        raise TypeError(f"{key}: must be a text, got {text!r}")
    return text


def _count(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError(f"{key}: must be a whole number above 0, got {value!r}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"must be a list, got {value!r}")
    return value


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError(f"must be an object, got {value!r}")
    return value
