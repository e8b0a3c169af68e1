"""What a service's settings may be, one by one: the rules common to all targets, and those of a local service.

Names, units and rules are those of Azure ML SDK v1; where a target cannot do what a setting asks, the setting is
refused and never ignored. Authentication and keys are ruled by ``service_keys``, what needs one another by
``service_together``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Final, Literal

from mlserve_scoring.settings import ONNX_PROVIDERS, provider_problem
from mlserve_scoring.v1_variables import is_origin, is_path_prefix
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service_parts import CollectionSpec, EntraSpec, TelemetrySpec
from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.core.service_together import check_together
from pulumi_mlserve.core.spec_problems import refused, spec_problems
from pulumi_mlserve.core.suggest import did_you_mean
from pulumi_mlserve.core.variables import v1_problems, variable_name

# The rule of azureml-core 1.61, _model_management/_util.py.
_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SHORTEST_NAME, _LONGEST_NAME = 3, 32
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
_SECRETS: Final = frozenset({"environment_variables", "data_collection.options", "app_insights_connection_string"})


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
    if not is_origin(value):
        trimmed = value.rstrip("/")
        meant = f"; did you mean {trimmed!r}?" if is_origin(trimmed) else "; such as 'https://app.example.com'"
        raise refused(f"not an origin, got {value!r}{meant}")
    return value


def _prefix(value: str) -> str:
    if not is_path_prefix(value):
        meant = f"/{value.strip('/')}"
        is_near = meant != "/" and is_path_prefix(meant)
        todo = f"did you mean {meant!r}?" if is_near else "such as '/api/v1/service/diabetes'"
        rule = "write a '/' before it and none after it"
        raise refused(f"not the beginning of a URL's path, got {value!r}; {rule}; {todo}")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise refused(f"not a host's name, got {value!r}; such as 'diabetes.example.com'")
    return value


def _provider(value: str) -> str:
    if value not in ONNX_PROVIDERS:
        meant = did_you_mean(value.lower().removesuffix("executionprovider"), ONNX_PROVIDERS)
        raise refused(f"must be one of {', '.join(ONNX_PROVIDERS)}, got {value!r}{meant}")
    return value


def _providers(value: tuple[str, ...]) -> tuple[str, ...]:
    problem = provider_problem(value)
    if problem:
        raise refused(f"{problem}, got {list(value)}")
    return value


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Texts = dict[str, str]
_File = Annotated[str, Field(min_length=1)]
_Seconds = Annotated[float, Field(ge=0.1, le=86_400)]
_Port = Annotated[int, Field(ge=1, le=65_535)]
_Share = Annotated[int, Field(ge=1, le=1_024)]


class ServiceSpec(BaseModel):
    """The settings that every target understands.

    Attributes:
        name: The service's name.
        description: What the service is.
        tags: Words to find the service by; may change at any time.
        properties: Facts about the service.
        cpu_cores: Cores.
        memory_gb: Memory in GB.
        scoring_timeout_ms: How long one request may take.
        max_concurrent_requests: How many requests run at once; 1 with an entry script, automatic without.
        max_queue: How many requests may wait.
        max_body_bytes: The largest request body.
        drain_seconds: How long a stopping process may finish its requests.
        environment_variables: Variables that the entry script sees, on top of the image's.
        cors_origins: Origins whose pages may call the service; ``*`` for all.
        read_timeout_s: How long a request may take to arrive.
        idle_timeout_s: How long a connection may do nothing.
        grpc_enabled: Whether it speaks gRPC too.
        workers: Processes that share the port.
        model_threads: Processors for one run of a model without a script.
        onnx_providers: What runs ONNX models, best first.
        onnx_provider_options: What onnxruntime is told of them.
        path_prefix: What comes before ``/score`` in its URL.
        log_level: Least level that is logged.
        log_format: Text or JSON.
        access_log: Whether every request is logged.
        metrics: Who may read them, or that there are none.
        health: Who may ask for it.
        docs: Whether the contract is shown as a page.
        strict_v1: Whether to answer as v1's server did where a client could depend on it.
        ssl_enabled: Whether it speaks HTTPS.
        ssl_cert_pem_file: The certificate's file.
        ssl_key_pem_file: Its private key's file.
        ssl_cname: The name in its URLs.
        entra: Tokens that open it.
        collect_model_data: Whether inputs and predictions are kept.
        data_collection: Where and how.
        enable_app_insights: Whether requests, failures and printed lines go to Application Insights.
        app_insights_connection_string: To which.
        otlp_endpoint: The collector that they go to, too.
        telemetry: How much of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, AfterValidator(_name)]
    description: str | None = None
    tags: _Texts = Field(default_factory=dict)
    properties: _Texts = Field(default_factory=dict)
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
    read_timeout_s: _Seconds = 60
    idle_timeout_s: _Seconds = 150
    grpc_enabled: bool = False
    workers: _Share = 1
    model_threads: _Share = 1
    onnx_providers: Annotated[
        tuple[Annotated[str, AfterValidator(_provider)], ...],
        Field(strict=False, min_length=1),
        AfterValidator(_providers),
    ] = ("cpu",)
    onnx_provider_options: dict[Annotated[str, AfterValidator(_provider)], _Texts] = Field(default_factory=dict)
    path_prefix: Annotated[str, AfterValidator(_prefix)] = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    access_log: bool = False
    metrics: Literal["open", "protected", "off"] = "protected"
    health: Literal["open", "protected"] = "open"
    docs: bool = True
    strict_v1: bool = False
    ssl_enabled: bool = False
    ssl_cert_pem_file: _File | None = None
    ssl_key_pem_file: _File | None = None
    ssl_cname: Annotated[str, AfterValidator(_host)] | None = None
    entra: EntraSpec | None = None
    collect_model_data: bool = False
    data_collection: CollectionSpec | None = None
    enable_app_insights: bool = False
    app_insights_connection_string: Annotated[str | None, Field(repr=False)] = None
    otlp_endpoint: str | None = None
    telemetry: TelemetrySpec | None = None


class LocalServiceSpec(ServiceSpec):
    """The settings of a service that runs as a process of this machine.

    Attributes:
        port: Where it listens on 127.0.0.1; by default a free port, chosen once and kept.
        grpc_port: Where it speaks gRPC, by the same rule.
        cpu_cores: The most cores the service may use; no limit by default.
        memory_gb: The most memory the service may use, in GB; no limit by default.
        start_seconds: How long the service may take to become ready.
    """

    port: _Port | None = None
    grpc_port: _Port | None = None
    cpu_cores: _Positive | None = None
    memory_gb: _Positive | None = None
    start_seconds: _Positive = 310


def check_local_service(raw: Mapping[str, object], later: Collection[str] = ()) -> list[Problem]:
    """Return everything that is wrong with the settings of a local service; what is absent or None is not judged.

    Args:
        raw: The settings as a program gives them, under the names of ``LocalServiceSpec``.
        later: Names of settings that are given and not known yet.
    """
    given = {name: value for name, value in raw.items() if value is not None}
    problems = []
    try:
        LocalServiceSpec.model_validate(given)
    except ValidationError as error:
        problems = spec_problems(error, unknown=_unknown, secret=_SECRETS)
    wrong = {place for problem in problems for place in _holding(problem.path)}
    more = [*v1_problems(given.get("environment_variables")), *check_together(given, later)]
    return problems + [problem for problem in more if problem.path not in wrong]


def _holding(path: str) -> list[str]:
    """Return a path and those of everything that holds what lies there."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _unknown(name: str) -> str:
    return why_not_local(name) or f"there is no such setting{did_you_mean(name, LocalServiceSpec.model_fields)}"
