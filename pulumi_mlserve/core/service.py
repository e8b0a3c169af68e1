"""What a service's settings may be: the rules common to all targets, and those of a local service."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from pulumi_mlserve.core.problems import Problem


class LocalServiceSpec(BaseModel):
    """The settings of a service that runs as a process of this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    properties: dict[str, str] = Field(default_factory=dict)
    port: int | None = None
    host: str = "127.0.0.1"
    auth_enabled: bool = False
    primary_key: str | None = Field(default=None, repr=False)
    secondary_key: str | None = Field(default=None, repr=False)
    cpu_cores: float = 1.0
    memory_gb: float = 1.0
    scoring_timeout_ms: int = 60_000
    max_concurrent_requests: int | None = None
    max_queue: int = 1_000
    max_body_bytes: int = 104_857_600
    start_seconds: float = 310.0
    drain_seconds: float = 30.0
    path_prefix: str = ""
    log_level: str = "INFO"
    environment_variables: dict[str, str] = Field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()


def check_local_service(raw: Mapping[str, object]) -> list[Problem]:
    """Return everything that is wrong with the settings of a local service, given as a program gives them."""
    raise NotImplementedError
