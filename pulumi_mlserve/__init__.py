"""Declarative deployment of machine-learning models for Pulumi."""

from pulumi_mlserve.components.local_service import LocalService, LocalServiceArgs
from pulumi_mlserve.components.registered_model import RegisteredModel, RegisteredModelArgs
from pulumi_mlserve.components.scoring_image import ScoringImage, ScoringImageArgs

__all__ = [
    "LocalService",
    "LocalServiceArgs",
    "RegisteredModel",
    "RegisteredModelArgs",
    "ScoringImage",
    "ScoringImageArgs",
]
