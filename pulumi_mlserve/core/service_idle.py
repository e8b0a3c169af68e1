"""Which settings of a service would do nothing with its image, or without keys and tokens: they are refused.

A setting with the value that it has by default says nothing, and is taken anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pulumi_mlserve.core.problems import Problem

_OF_MODELS: Final[Mapping[str, Any]] = {"model_threads": 1, "onnx_providers": ["cpu"], "onnx_provider_options": {}}
"""Settings of models without a script, with what they are by default."""


def of_models(settings: Mapping[str, Any]) -> list[str]:
    """Return those of the settings that say something of models without a script."""
    said = {name: settings.get(name) for name in _OF_MODELS}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
    return [name for name, value in plain.items() if value is not None and value != _OF_MODELS[name]]


def idle_with_script(settings: Mapping[str, Any], script: str) -> Iterator[Problem]:
    """Yield the settings that an image with this entry script takes no notice of."""
    for name in of_models(settings):
        text = f"is for models without a script, and the image has {script!r}; leave it out, and say it in the script"
        yield Problem(name, text)


def idle_with_model(settings: Mapping[str, Any], kind: str) -> Iterator[Problem]:
    """Yield the settings that a model of this kind, answering by itself, takes no notice of."""
    for name in of_models(settings):
        if name.startswith("onnx"):
            yield Problem(name, f"is for ONNX models, and the image answers with a {kind} model; leave it out")


def idle_when_open(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the settings that mean nothing for a service that asks nobody for a key or token."""
    if settings.get("health") == "protected":
        text = "nobody is asked for a key or token; give auth_enabled or entra, or leave this out"
        yield Problem("health", text)
