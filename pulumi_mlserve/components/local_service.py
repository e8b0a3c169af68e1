"""``LocalService``: an image runs as a process of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import pulumi
from typing_extensions import Required, TypedDict, Unpack

from pulumi_mlserve.components.arguments import Rules, arguments
from pulumi_mlserve.components.own_resource import OwnResource
from pulumi_mlserve.components.scoring_image import ScoringImage
from pulumi_mlserve.core.declarations import token
from pulumi_mlserve.core.image_declarations import ImageRef, PulledImageOutputs
from pulumi_mlserve.core.images.reference import has_registry, is_local, pulled_problem
from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service_address import beside
from pulumi_mlserve.core.service_declarations import (
    DataCollection,
    EntraSettings,
    ServiceRecordInputs,
    TelemetrySettings,
)
from pulumi_mlserve.core.service_keys import check_auth
from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.core.shapes import PLAIN, SECRET, shape_of


class LocalServiceArgs(TypedDict, total=False):
    """What runs, and the rules of the service."""

    image: Required[pulumi.Input[ImageRef] | ScoringImage]
    """What runs: a ``ScoringImage``, its ``ref``, or in Python the reference of an image made elsewhere,
    ``REGISTRY/REPOSITORY@sha256:…``, or of one in the local store, ``NAME@sha256:…``."""
    name: pulumi.Input[str]
    """The service's name; the resource's name by default. Lower-case letters, digits and ``-``, 3 to 32."""
    port: pulumi.Input[int]
    """The port on 127.0.0.1, 1 to 65535; by default a free one, chosen once and kept."""
    grpc_enabled: pulumi.Input[bool]
    """Whether the Open Inference Protocol is spoken over gRPC too, at a port of its own; needs the image's feature
    ``grpc``; false by default."""
    grpc_port: pulumi.Input[int]
    """The port of gRPC on 127.0.0.1, 1 to 65535; by default a free one, chosen once and kept."""
    auth_enabled: Annotated[bool, PLAIN]
    """Whether a request must carry one of two keys; false by default, as only this machine can reach the service."""
    primary_key: Annotated[pulumi.Input[str], SECRET]
    """The first key; made for you by default."""
    secondary_key: Annotated[pulumi.Input[str], SECRET]
    """The second key; made for you by default."""
    primary_key_generation: pulumi.Input[int]
    """Raise it to replace the first key; 1 by default."""
    secondary_key_generation: pulumi.Input[int]
    """Raise it to replace the second key; 1 by default."""
    cpu_cores: pulumi.Input[float]
    """The most cores the service may use; no limit by default."""
    memory_gb: pulumi.Input[float]
    """The most memory the service may use, in GB; no limit by default."""
    scoring_timeout_ms: pulumi.Input[int]
    """How long one request may take, in ms; 60,000 by default."""
    max_concurrent_requests: pulumi.Input[int]
    """How many requests run at once; 1 with an entry script, automatic without."""
    max_queue: pulumi.Input[int]
    """How many requests may wait; 1,000 by default, 503 beyond."""
    max_body_bytes: pulumi.Input[int]
    """The largest request body in bytes; 104,857,600 by default."""
    drain_seconds: pulumi.Input[int]
    """How long a stopping process may finish its requests, in s; 30 by default."""
    start_seconds: pulumi.Input[float]
    """How long the start may take, from loading the model to the last sample answered, in s; 310 by default."""
    cors_origins: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Origins whose pages may call the service; none by default."""
    environment_variables: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Variables the entry script sees, on top of the image's; none by default."""
    read_timeout_s: pulumi.Input[float]
    """How long a request may take to arrive, in s; 60 by default."""
    idle_timeout_s: pulumi.Input[float]
    """How long a connection may do nothing, in s; 150 by default."""
    workers: pulumi.Input[int]
    """How many processes share the port, each with a script or model of its own; 1 by default."""
    model_threads: pulumi.Input[int]
    """How many processors one run of a model without a script may use; 1 by default."""
    onnx_providers: pulumi.Input[Sequence[pulumi.Input[str]]]
    """What runs ONNX models, best first: ``cpu``, ``cuda``, ``tensorrt`` …; ``cpu`` by default."""
    onnx_provider_options: pulumi.Input[Mapping[str, pulumi.Input[Mapping[str, pulumi.Input[str]]]]]
    """What onnxruntime is told of a provider, by its name, such as ``{"cuda": {"gpu_mem_limit": "2147483648"}}``."""
    path_prefix: pulumi.Input[str]
    """What comes before ``/score`` in the service's URLs, such as ``/api/v1/service/diabetes``; empty by default."""
    log_level: pulumi.Input[str]
    """The least level that is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL; INFO by default."""
    log_format: pulumi.Input[str]
    """``text``, or ``json`` for one object a line; ``text`` by default."""
    access_log: pulumi.Input[bool]
    """Whether every request is logged; false by default."""
    metrics: pulumi.Input[str]
    """``/metrics``: ``open``, ``protected`` where a key or token is asked for elsewhere, or ``off``; ``protected`` by
    default."""
    health: pulumi.Input[str]
    """``/``, ``/healthz``, ``/readyz``, the protocol's health and that of gRPC: ``open``, or ``protected`` where a key
    or token is asked for elsewhere; ``open`` by default."""
    docs: pulumi.Input[bool]
    """Whether ``/docs`` shows the contract as a page; true by default."""
    strict_v1: pulumi.Input[bool]
    """Whether to answer as Azure ML v1's server did where a client could depend on it; false by default."""
    ssl_enabled: pulumi.Input[bool]
    """Whether the service speaks HTTPS alone; false by default."""
    ssl_cert_pem_file: pulumi.Input[str]
    """The PEM file of the certificate, its chain after it; read where the service runs, and again when it changes."""
    ssl_key_pem_file: pulumi.Input[str]
    """The PEM file of its private key, without a passphrase; read where the service runs, and never kept."""
    ssl_cname: pulumi.Input[str]
    """The name in the service's URLs, which the certificate must be for."""
    entra: pulumi.Input[EntraSettings]
    """Lets in who shows a token of Microsoft Entra ID; needs the image's feature ``entra``."""
    collect_model_data: pulumi.Input[bool]
    """Whether inputs and predictions are kept; false by default."""
    data_collection: pulumi.Input[DataCollection]
    """Where and how they are kept; without it as in Azure ML v1: all of them, as CSV, in a folder of this machine."""
    enable_app_insights: pulumi.Input[bool]
    """Whether requests, failures and printed lines go to Application Insights; needs the image's feature
    ``telemetry``; false by default."""
    app_insights_connection_string: Annotated[pulumi.Input[str], SECRET]
    """The connection string of the Application Insights resource; no environment variable takes its place."""
    otlp_endpoint: pulumi.Input[str]
    """The HTTP address of an OpenTelemetry collector that gets the same; needs the image's feature ``telemetry``."""
    telemetry: pulumi.Input[TelemetrySettings]
    """How much of it is sent."""
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Words to find the service by; none by default."""
    properties: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Facts about the service; none by default."""
    description: pulumi.Input[str]
    """What the service is; empty by default."""


_AUTH_BY_DEFAULT: Final = False
_PARTS: Final = tuple(name for name in ImageRef.__annotations__ if name in PulledImageOutputs.__annotations__)


def _check(given: Mapping[str, Any]) -> list[Problem]:
    problems, image = check_auth(given, default=_AUTH_BY_DEFAULT), given.get("image")
    if isinstance(image, str) and not is_local(image):
        problems += [Problem("image", wrong)] if (wrong := _image_problem(image)) else []
    return problems


def _image_problem(text: str) -> str | None:
    if has_registry(text) or "://" in text:
        return pulled_problem(text)
    return (
        f"must be a ScoringImage, its ref, NAME@sha256:… of the local image store, or REGISTRY/REPOSITORY@sha256:…, "
        f"got {text!r}"
    )


class LocalService(pulumi.ComponentResource):
    """A service on 127.0.0.1 that outlives ``pulumi up`` and is updated without losing a request.

    A new revision takes over the listening socket only after it has answered the image's samples; if it cannot,
    the old one serves on and the update fails.
    """

    scoring_uri: pulumi.Output[str]
    """Where requests go."""
    swagger_uri: pulumi.Output[str]
    """The OpenAPI document."""
    state: pulumi.Output[str]
    """``Healthy``, ``Unhealthy`` or ``Stopped``."""
    auth_enabled: pulumi.Output[bool]
    """Whether a request must carry a key."""
    primary_key: Annotated[pulumi.Output[str], SECRET]
    """The first key; empty without authentication."""
    secondary_key: Annotated[pulumi.Output[str], SECRET]
    """The second key; empty without authentication."""
    revision: pulumi.Output[str]
    """Names the image and settings that serve."""
    contract: pulumi.Output[Any]
    """What the service accepts and returns."""
    openapi_uri: pulumi.Output[str]
    """The OpenAPI 3.1 document of all routes."""
    docs_uri: pulumi.Output[str]
    """The contract as a page; empty with ``docs=False``."""
    metrics_uri: pulumi.Output[str]
    """The metrics, in Prometheus' form; empty with ``metrics="off"``."""
    grpc_address: pulumi.Output[str]
    """Where gRPC is spoken, as ``HOST:PORT``; empty without ``grpc_enabled``."""

    rules = Rules(why_not_local, _check)

    def __init__(
        self,
        resource_name: str,
        args: LocalServiceArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
        **kwargs: Unpack[LocalServiceArgs],
    ) -> None:
        given = arguments("LocalService", shape_of(LocalServiceArgs), args, kwargs, self.rules)
        auth = bool(given.get("auth_enabled", _AUTH_BY_DEFAULT))
        super().__init__(token("LocalService"), resource_name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        name = given.get("name", resource_name)
        # Part by part, so that a preview shows which of them it does not know yet.
        image = _image(resource_name, given["image"], child)

        settings = {key: value for key, value in given.items() if key in shape_of(LocalProcessInputs).by_name}
        inputs = {**settings, "name": name, "image": image}
        keys = _keys(resource_name, name, given, child) if auth else None
        if keys is not None:
            inputs["keys"] = pulumi.Output.all(
                primary=keys.output("primary_key"), secondary=keys.output("secondary_key")
            )
        process = OwnResource("LocalProcess", resource_name, inputs, child)

        record = {key: given[key] for key in _described() if key in given}
        record |= {"service": name, "target": "local", "image": image}
        record |= {"scoring_uri": process.output("scoring_uri"), "revision": process.output("revision")}
        # Written last: the record says what serves, never what was hoped for.
        OwnResource("ServiceRecord", resource_name, record, pulumi.ResourceOptions(parent=self, depends_on=[process]))

        self.scoring_uri = process.output("scoring_uri")
        self.swagger_uri = process.output("swagger_uri")
        self.state = process.output("state")
        self.auth_enabled = pulumi.Output.from_input(auth)
        self.primary_key = keys.output("primary_key") if keys else pulumi.Output.secret("")
        self.secondary_key = keys.output("secondary_key") if keys else pulumi.Output.secret("")
        self.revision = process.output("revision")
        self.contract = pulumi.Output.from_input(image).apply(lambda known: known.get("contract"))
        self.openapi_uri = self.scoring_uri.apply(lambda uri: beside(uri, "openapi.json"))
        self.docs_uri = _route(self.scoring_uri, "docs", given.get("docs", True))
        self.metrics_uri = _route(self.scoring_uri, "metrics", given.get("metrics", "protected"))
        # A release before this one left none in the state.
        self.grpc_address = process.output("grpc_address").apply(lambda address: address or "")
        self.register_outputs(
            {
                "scoringUri": self.scoring_uri,
                "swaggerUri": self.swagger_uri,
                "state": self.state,
                "authEnabled": self.auth_enabled,
                "primaryKey": self.primary_key,
                "secondaryKey": self.secondary_key,
                "revision": self.revision,
                "contract": self.contract,
                "openapiUri": self.openapi_uri,
                "docsUri": self.docs_uri,
                "metricsUri": self.metrics_uri,
                "grpcAddress": self.grpc_address,
            }
        )


def _route(scoring_uri: pulumi.Output[str], route: str, setting: Any) -> pulumi.Output[str]:
    """Return where a route is, and nothing where the setting leaves it out."""
    both = pulumi.Output.all(uri=scoring_uri, setting=setting)
    return both.apply(lambda known: "" if known["setting"] in {False, "off"} else beside(known["uri"], route))


def _image(resource_name: str, given: Any, opts: pulumi.ResourceOptions) -> Any:
    if isinstance(given, ScoringImage):
        return given.parts
    if isinstance(given, str):
        return _looked_up(resource_name, given, opts)
    if isinstance(given, Mapping) and "reference" in given and "models" not in given:
        # Named by hand: the record needs to know what is inside.
        return {**_looked_up(resource_name, given["reference"], opts), **given}
    return given


def _looked_up(resource_name: str, reference: Any, opts: pulumi.ResourceOptions) -> dict[str, Any]:
    """Return what an image says of itself, wherever it lies."""
    found = OwnResource("PulledImage", resource_name, {"reference": reference}, opts)
    return {name: found.output(name) for name in _PARTS}


def _described() -> frozenset[str]:
    return frozenset(shape_of(ServiceRecordInputs).by_name) & {"tags", "properties", "description"}


def _keys(resource_name: str, name: Any, given: Mapping[str, Any], opts: pulumi.ResourceOptions) -> OwnResource:
    inputs = {
        "service": name,
        "primary_key": given.get("primary_key"),
        "secondary_key": given.get("secondary_key"),
        "primary_generation": given.get("primary_key_generation"),
        "secondary_generation": given.get("secondary_key_generation"),
    }
    return OwnResource("ServiceKeys", resource_name, inputs, opts)
