"""The resources of our own that the engine remembers: their tokens, and what declares the inputs and outputs of each.

The provider checks against these, components register them, and the package schema is made from them. A property
marked ``COMPUTED`` is filled in by the provider's check, so that a preview can show what a change will mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pulumi_mlserve.core.image_declarations import ImageInputs, ImageOutputs, PulledImageInputs, PulledImageOutputs
from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs, LocalProcessOutputs
from pulumi_mlserve.core.model_declarations import ModelInputs, ModelOutputs
from pulumi_mlserve.core.service_declarations import (
    ServiceKeysInputs,
    ServiceKeysOutputs,
    ServiceRecordInputs,
    ServiceRecordOutputs,
)

PACKAGE: Final = "mlserve"


def token(name: str) -> str:
    """Return the type token of one of our resources or components."""
    return f"{PACKAGE}:index:{name}"


@dataclass(frozen=True)
class Declaration:
    """A resource of ours.

    Attributes:
        name: Its name in the package.
        inputs: The typed dictionary of its inputs.
        outputs: The typed dictionary of its outputs.
        imported_by: What names one that ``pulumi import`` can take over; empty where only a program can make it.
    """

    name: str
    inputs: type
    outputs: type
    imported_by: str = ""


RESOURCES: Final[tuple[Declaration, ...]] = (
    Declaration("Image", ImageInputs, ImageOutputs),
    Declaration("LocalProcess", LocalProcessInputs, LocalProcessOutputs),
    Declaration("Model", ModelInputs, ModelOutputs, imported_by="NAME:VERSION"),
    Declaration("PulledImage", PulledImageInputs, PulledImageOutputs),
    Declaration("ServiceKeys", ServiceKeysInputs, ServiceKeysOutputs),
    Declaration("ServiceRecord", ServiceRecordInputs, ServiceRecordOutputs),
)
