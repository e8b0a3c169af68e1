"""What every target's service has: its settings, under Azure ML v1's names where it had them, two keys and a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.image_declarations import ImageRef
from pulumi_mlserve.core.shapes import COMPUTED, SECRET


class EntraSettings(TypedDict, total=False):
    """Tokens of Microsoft Entra ID that open a service."""

    tenant_id: Required[str]
    """The tenant's id, a GUID."""
    audiences: Required[Sequence[str]]
    """Whom a token must be for, its claim ``aud``: such as ``api://diabetes``."""
    roles: Sequence[str]
    """When given, a token must have one of them, as a role or a scope; any token of the audience by default."""
    authority: str
    """Where the tenant's keys are published, and part of the issuer that a token must name, ``AUTHORITY/TENANT/v2.0``
    (or that of version 1 tokens of the same cloud); ``https://login.microsoftonline.com`` by default."""
    leeway_s: float
    """The largest difference of clocks, in s; 60 by default."""


class DataCollection(TypedDict, total=False):
    """Where and how inputs and predictions are kept."""

    target: str
    """A folder, by its absolute path, or an address such as ``az://CONTAINER``, which needs the image's feature
    ``collection``; by default a folder of this user's, see the documentation of local services."""
    automatic: bool
    """Whether they are kept without any code; else only what the script hands to a ``ModelDataCollector``; true by
    default."""
    format: str
    """``csv`` as Azure ML v1 wrote it, or ``jsonl``; ``csv`` by default."""
    sample: float
    """The part of the requests that is kept, above 0 and at most 1; 1 by default."""
    max_waiting_mb: float
    """Memory for what was not written yet, in MB; more is lost, and counted; 16 by default."""
    flush_seconds: float
    """The longest time until something is written, in s; 10 by default."""
    workspace: str
    """``SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE`` in the path, as Azure ML v1 had it."""
    version: str
    """The model's version in the path; that of the image's one model by default."""
    options: Annotated[Mapping[str, str], SECRET]
    """What the object store needs to know, such as ``account_name`` and ``account_key``."""


class TelemetrySettings(TypedDict, total=False):
    """How much is sent of requests, failures and printed lines."""

    sample: float
    """The part of the requests that is sent, above 0 and at most 1; 1 by default."""
    log_answers: bool
    """Whether the answer's text is sent too, as in Azure ML v1; true by default."""
    dimensions: Mapping[str, str]
    """What is added to everything that is sent."""


class ServiceSettings(TypedDict, total=False):
    """The settings every target understands."""

    scoring_timeout_ms: int
    """How long one request may take, in ms; 60,000 by default."""
    max_concurrent_requests: int
    """How many requests run at once; 1 with an entry script, automatic without."""
    max_queue: int
    """How many requests may wait; 1,000 by default, 503 beyond."""
    max_body_bytes: int
    """The largest request body; 100 MiB by default."""
    environment_variables: Mapping[str, str]
    """Variables the entry script sees, on top of the image's."""
    cors_origins: Sequence[str]
    """Origins whose pages may call the service."""
    drain_seconds: int
    """How long a stopping process may finish its requests; 30 by default."""
    read_timeout_s: float
    """How long a request may take to arrive, in s; 60 by default."""
    idle_timeout_s: float
    """How long a connection may do nothing, in s; 150 by default."""
    grpc_enabled: bool
    """Whether the Open Inference Protocol is spoken over gRPC too, at a port of its own; needs the image's feature
    ``grpc``; false by default."""
    workers: int
    """How many processes share the port, each with a script or model of its own; 1 by default."""
    model_threads: int
    """How many processors one run of a model without a script may use; 1 by default."""
    onnx_providers: Sequence[str]
    """What runs ONNX models, best first: ``cpu``, ``cuda``, ``tensorrt`` …; ``cpu`` by default."""
    onnx_provider_options: Mapping[str, Mapping[str, str]]
    """What onnxruntime is told of a provider, by its name, such as ``{"cuda": {"gpu_mem_limit": "2147483648"}}``."""
    path_prefix: str
    """What comes before ``/score`` in the service's URLs, such as ``/api/v1/service/diabetes``; empty by default."""
    log_level: str
    """The least level that is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL; INFO by default."""
    log_format: str
    """``text``, or ``json`` for one object a line; ``text`` by default."""
    access_log: bool
    """Whether every request is logged; false by default."""
    metrics: str
    """``/metrics``: ``open``, ``protected`` where a key or token is asked for elsewhere, or ``off``; ``protected`` by
    default."""
    health: str
    """``/healthz`` and ``/readyz``: ``open``, or ``protected`` where a key or token is asked for elsewhere; ``open`` by
    default."""
    docs: bool
    """Whether ``/docs`` shows the contract as a page; true by default."""
    strict_v1: bool
    """Whether to answer as Azure ML v1's server did where a client could depend on it; false by default."""
    ssl_enabled: bool
    """Whether the service speaks HTTPS alone; false by default."""
    ssl_cert_pem_file: str
    """The PEM file of the certificate, its chain after it; read where the service runs, and again when it changes."""
    ssl_key_pem_file: str
    """The PEM file of its private key, without a passphrase; read where the service runs, and never kept."""
    ssl_cname: str
    """The name in the service's URLs, which the certificate must be for."""
    entra: EntraSettings
    """Lets in who shows a token of Microsoft Entra ID; needs the image's feature ``entra``."""
    collect_model_data: bool
    """Whether inputs and predictions are kept; false by default."""
    data_collection: DataCollection
    """Where and how they are kept; without it as in Azure ML v1: all of them, as CSV, in a folder of this machine."""
    enable_app_insights: bool
    """Whether requests, failures and printed lines go to Application Insights; needs the image's feature
    ``telemetry``; false by default."""
    app_insights_connection_string: Annotated[str, SECRET]
    """The connection string of the Application Insights resource; no environment variable takes its place."""
    otlp_endpoint: str
    """The HTTP address of an OpenTelemetry collector that gets the same; needs the image's feature ``telemetry``."""
    telemetry: TelemetrySettings
    """How much of it is sent."""


class ServiceKeysInputs(TypedDict, total=False):
    """The two keys of a service."""

    service: Required[str]
    """The service's name."""
    primary_key: Annotated[str, SECRET]
    """The first key; made by us if left out."""
    secondary_key: Annotated[str, SECRET]
    """The second key; made by us if left out."""
    primary_generation: int
    """Raise it to replace the first key; 1 by default."""
    secondary_generation: int
    """Raise it to replace the second key; 1 by default."""


class ServiceKeysOutputs(TypedDict, total=False):
    """Both keys; either is accepted."""

    primary_key: Required[Annotated[str, SECRET]]
    """The first key."""
    secondary_key: Required[Annotated[str, SECRET]]
    """The second key."""


class ServiceRecordInputs(TypedDict, total=False):
    """The store's entry saying what a service runs."""

    service: Required[str]
    """The service's name."""
    target: Required[str]
    """Where it runs: ``local``."""
    image: Required[ImageRef]
    """What it runs."""
    scoring_uri: str
    """Where requests go."""
    revision: str
    """Names the image and settings that serve."""
    tags: Mapping[str, str]
    """Words to find the service by."""
    properties: Mapping[str, str]
    """Facts about the service."""
    description: str
    """What the service is."""
    store: Annotated[str, COMPUTED]
    """The id of the model store; ``new`` for one that has none yet."""


class ServiceRecordOutputs(TypedDict, total=False):
    """The entry as stored."""

    key: Required[str]
    """Where the entry lies, relative to the store."""
    since: Required[str]
    """When the present revision was recorded."""
    store: str
    """The id of the model store that has the entry."""
    owner: str
    """Tells this resource's entry from that of one that replaces it."""
