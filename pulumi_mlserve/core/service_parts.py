"""What the objects among a service's settings may hold, and what they are to the runtime."""

from __future__ import annotations

from typing import Annotated, Literal

from mlserve_scoring.settings import Collection, Entra, Telemetry
from pydantic import BaseModel, ConfigDict, Field

_Texts = dict[str, str]
_Names = Annotated[tuple[str, ...], Field(strict=False)]
_Part = Annotated[float, Field(ge=1e-6, le=1)]

FOLDER_OF_TARGET = "/"
"""Stands for the folder that a target without one collects to, while the settings are judged."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EntraSpec(_Strict):
    """Tokens that open."""

    tenant_id: str
    audiences: _Names
    roles: _Names = ()
    authority: str = Entra.authority
    leeway_s: Annotated[float, Field(ge=0, le=600)] = Entra.leeway_s

    def for_runtime(self) -> Entra:
        """Return it as the runtime's settings have it."""
        return Entra(self.tenant_id, self.audiences, self.roles, self.authority, self.leeway_s)


class CollectionSpec(_Strict):
    """Where and how inputs and predictions are kept."""

    target: Annotated[str, Field(min_length=1)] | None = None
    automatic: bool = Collection.automatic
    format: Literal["csv", "jsonl"] = "csv"
    sample: _Part = Collection.sample
    max_waiting_mb: Annotated[float, Field(ge=0.1, le=65_536)] = Collection.max_waiting_mb
    flush_seconds: Annotated[float, Field(ge=0.1, le=3_600)] = Collection.flush_s
    workspace: str = Collection.workspace
    version: str = Collection.version
    options: _Texts = Field(default_factory=dict, repr=False)

    def for_runtime(self, folder: str = FOLDER_OF_TARGET) -> Collection:
        """Return it as the runtime's settings have it; without a target it collects to a folder."""
        given = self.model_dump(exclude={"target", "flush_seconds"})
        return Collection(self.target or folder, flush_s=self.flush_seconds, **given)


class TelemetrySpec(_Strict):
    """How much is sent."""

    sample: _Part = Telemetry.sample
    log_answers: bool = Telemetry.log_answers
    dimensions: _Texts = Field(default_factory=dict)

    def for_runtime(self, connection_string: str | None, otlp_endpoint: str | None) -> Telemetry:
        """Return it as the runtime's settings have it."""
        return Telemetry(connection_string, otlp_endpoint, **self.model_dump())
