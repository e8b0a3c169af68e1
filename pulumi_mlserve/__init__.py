"""Declarative deployment of machine-learning models for Pulumi."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulumi_mlserve.components.found import FoundModel, FoundService, get_service, get_service_output
    from pulumi_mlserve.components.local_service import LocalService, LocalServiceArgs
    from pulumi_mlserve.components.registered_model import RegisteredModel, RegisteredModelArgs
    from pulumi_mlserve.components.scoring_image import ScoringImage, ScoringImageArgs
    from pulumi_mlserve.registration import register_model

__all__ = [
    "FoundModel",
    "FoundService",
    "LocalService",
    "LocalServiceArgs",
    "RegisteredModel",
    "RegisteredModelArgs",
    "ScoringImage",
    "ScoringImageArgs",
    "get_service",
    "get_service_output",
    "register_model",
]

# Imported when first asked for: a training job that registers a model needs no Pulumi, nor does the command.
_HOMES = {
    "FoundModel": "components.found",
    "FoundService": "components.found",
    "LocalService": "components.local_service",
    "LocalServiceArgs": "components.local_service",
    "RegisteredModel": "components.registered_model",
    "RegisteredModelArgs": "components.registered_model",
    "ScoringImage": "components.scoring_image",
    "ScoringImageArgs": "components.scoring_image",
    "get_service": "components.found",
    "get_service_output": "components.found",
    "register_model": "registration",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
