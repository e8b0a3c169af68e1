"""What a service's settings may be: the rules common to all targets, and those of a local service.

Names, units and rules are those of Azure ML SDK v1; where a target cannot do what a setting asks, the setting is
refused and never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.core.spec_problems import refused, spec_problems
from pulumi_mlserve.core.suggest import did_you_mean
from pulumi_mlserve.core.variables import variable_name

# The rule of azureml-core 1.61, _model_management/_util.py.
_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SHORTEST_NAME, _LONGEST_NAME = 3, 32
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,]+", re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_KEY = re.compile(r"[!-~]+")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or not _SHORTEST_NAME <= len(value) <= _LONGEST_NAME:
        raise refused(
            f"not a service name, got {value!r}; use lower-case letters, digits and '-', 3 to 32 of them,"
            " the first a letter, the last no '-'"
        )
    return value


def _variable_value(value: str) -> str:
    if "\0" in value:
        raise refused("holds a NUL character, which no variable can; encode the value")
    return value


def _origin(value: str) -> str:
    if value not in {"*", "null"} and not _ORIGIN.fullmatch(value):
        trimmed = value.rstrip("/")
        meant = f"; did you mean {trimmed!r}?" if _ORIGIN.fullmatch(trimmed) else "; such as 'https://app.example.com'"
        raise refused(f"not an origin, got {value!r}{meant}")
    return value


def _prefix(value: str) -> str:
    if value and not _PREFIX.fullmatch(value):
        raise refused(f"not the beginning of a URL's path, got {value!r}; such as '/api/v1/service/diabetes'")
    return value


def _key(value: str) -> str:
    if not _KEY.fullmatch(value):
        raise refused("a key is sent in a header: use visible ASCII characters without spaces, at least one")
    return value


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Texts = dict[str, str]


class ServiceSpec(BaseModel):
    """The settings that every target understands.

    Attributes:
        name: The service's name.
        description: What the service is.
        tags: Words to find the service by; may change at any time.
        properties: Facts about the service.
        auth_enabled: Whether a request must carry one of two keys.
        primary_key: The first key; made for the service if left out.
        secondary_key: The second key; made for the service if left out.
        cpu_cores: Cores.
        memory_gb: Memory in GB.
        scoring_timeout_ms: How long one request may take.
        max_concurrent_requests: How many requests run at once; 1 with an entry script, automatic without.
        max_queue: How many requests may wait.
        max_body_bytes: The largest request body.
        drain_seconds: How long a stopping process may finish its requests.
        environment_variables: Variables that the entry script sees, on top of the image's.
        cors_origins: Origins whose pages may call the service; ``*`` for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, AfterValidator(_name)]
    description: str | None = None
    tags: _Texts = Field(default_factory=dict)
    properties: _Texts = Field(default_factory=dict)
    auth_enabled: bool = True
    primary_key: Annotated[str, AfterValidator(_key)] | None = Field(default=None, repr=False)
    secondary_key: Annotated[str, AfterValidator(_key)] | None = Field(default=None, repr=False)
    cpu_cores: _Positive | None = 1.0
    memory_gb: _Positive | None = 1.0
    scoring_timeout_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 60_000
    max_concurrent_requests: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_queue: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    max_body_bytes: Annotated[int, Field(ge=1, le=1 << 40)] = 104_857_600
    drain_seconds: Annotated[float, Field(ge=0, le=86_400)] = 30
    environment_variables: dict[
        Annotated[str, AfterValidator(variable_name)], Annotated[str, AfterValidator(_variable_value)]
    ] = Field(default_factory=dict, repr=False)
    cors_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], Field(strict=False)] = ()


class LocalServiceSpec(ServiceSpec):
    """The settings of a service that runs as a process of this machine.

    Attributes:
        port: Where it listens on 127.0.0.1; by default a free port, chosen once and kept.
        auth_enabled: False by default, as only this machine can reach the service.
        cpu_cores: The most cores the service may use; no limit by default.
        memory_gb: The most memory the service may use, in GB; no limit by default.
        start_seconds: How long the service may take to become ready.
        path_prefix: What comes before ``/score`` in its URL.
        log_level: Least level that is logged.
    """

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    auth_enabled: bool = False
    cpu_cores: _Positive | None = None
    memory_gb: _Positive | None = None
    start_seconds: _Positive = 310
    path_prefix: Annotated[str, AfterValidator(_prefix)] = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"


def check_local_service(raw: Mapping[str, object]) -> list[Problem]:
    """Return everything that is wrong with the settings of a local service; what is absent or None is not judged.

    Args:
        raw: The settings as a program gives them, under the names of ``LocalServiceSpec``.
    """
    given = {name: value for name, value in raw.items() if value is not None}
    problems = []
    try:
        LocalServiceSpec.model_validate(given)
    except ValidationError as error:
        problems = spec_problems(error, unknown=_unknown, secret=_KEYS | {"environment_variables"})
    if given.get("auth_enabled") is False:
        problems += [
            Problem(name, "is given, but auth_enabled is false; switch it on or leave the key out")
            for name in sorted(_KEYS & given.keys())
        ]
    return problems


_KEYS: Final = frozenset({"primary_key", "secondary_key"})


def _unknown(name: str) -> str:
    return why_not_local(name) or f"there is no such setting{did_you_mean(name, LocalServiceSpec.model_fields)}"
