"""The settings of one running service, read once at start into a frozen object. Standard library only.

What they mean is decided where they are used; here only their form is checked, all problems at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = 1
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ONNX_PROVIDERS: Final = ("cpu", "cuda", "tensorrt", "rocm", "migraphx", "openvino", "dnnl")


class SettingsError(ValueError):
    """The settings cannot work; the message holds every problem, one a line."""


@dataclass(frozen=True)
class Entra:
    """Tokens of Microsoft Entra ID that open.

    Attributes:
        tenant: The tenant's id.
        audiences: Accepted ``aud`` claims, such as ``api://diabetes``.
        roles: When given, a token must have one of them, as role or scope.
        authority: Where the tenant's keys are published; tokens of version 2 name ``AUTHORITY/TENANT/v2.0`` as their
            issuer.
        leeway_s: Largest difference of clocks.
    """

    tenant: str
    audiences: tuple[str, ...]
    roles: tuple[str, ...] = ()
    authority: str = "https://login.microsoftonline.com"
    leeway_s: float = 60


@dataclass(frozen=True)
class Collection:
    """What is kept of requests and answers.

    Attributes:
        target: A folder, or ``az://CONTAINER`` or another address of an object store.
        automatic: Keep inputs and predictions without any code in the script.
        format: ``csv`` in the layout of v1, or ``jsonl``.
        sample: The part of requests that is kept, above 0 and at most 1.
        max_waiting_mb: Memory for what was not written yet; more is lost, and counted.
        flush_s: Longest time until something is written.
        workspace: ``SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE`` in the path, as v1 had it.
        version: The model's version in the path.
        options: For the object store, such as ``account_name``.
    """

    target: str
    automatic: bool = True
    format: str = "csv"
    sample: float = 1
    max_waiting_mb: float = 16
    flush_s: float = 10
    workspace: str = "default/default/default"
    version: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Telemetry:
    """Where requests, exceptions, printed lines and custom dimensions go.

    Attributes:
        connection_string: Of Application Insights; ``None`` when not sent there.
        otlp_endpoint: Of an OpenTelemetry collector over HTTP; ``None`` when not sent there.
        sample: The part of requests that is sent, above 0 and at most 1.
        log_answers: Whether the answer's text is a dimension, as in v1.
        dimensions: Added to everything.
    """

    connection_string: str | None = field(default=None, repr=False)  # whoever has it can send
    otlp_endpoint: str | None = None
    sample: float = 1
    log_answers: bool = True
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """How one process serves one revision.

    Attributes:
        root: The unpacked image; ``/`` in a container.
        service: The service's name.
        revision: What this process says it is when asked.
        host, port: Where to listen; port 0 takes any free one and the control socket tells which.
        fd: An inherited listening socket to use instead of ``host`` and ``port``.
        grpc_port: Where gRPC is spoken, at the same host; 0 takes any free one, ``None`` is for nowhere.
        grpc_fd: An inherited listening socket to use instead of ``host`` and ``grpc_port``.
        control: Path of the control socket; ``None`` for none.
        keys_file: JSON with ``primary`` and ``secondary``; ``None`` switches authentication off.
        scoring_timeout_ms: Longest time one ``run()`` may take, and longest wait for its turn.
        max_body_bytes: Larger requests are refused.
        max_concurrent_requests: Calls of ``run()`` at a time; ``None``: 1 with a script, else by the processors.
        max_queue: Requests that may wait for their turn.
        drain_seconds: Longest time to finish once told to stop.
        drain_delay_seconds: How long requests are still accepted once told to stop, while the service says that it is
            not ready: whoever sends requests here needs that time to notice.
        path_prefix: Routes answer below this path too, such as ``/api/v1/service/diabetes``.
        log_level: Least level that is logged.
        variables: Environment variables of the service; they win over the image's.
        cors_origins: Origins that browsers may call from; ``*`` for all.
        workers: Processes that share the port, each with a script or model of its own.
        model_threads: Processors that one run of a model without a script may use.
        onnx_providers: What runs ONNX models, best first: ``cpu``, ``cuda``, ``tensorrt`` …
        onnx_provider_options: What onnxruntime is told of them, such as ``{"cuda": {"gpu_mem_limit": "2147483648"}}``.
        tls_certificate, tls_key: PEM files; both or none. Read again when they change.
        health: ``open``, or ``protected`` where a key is needed elsewhere.
        metrics: ``open``, ``protected`` where a key is needed elsewhere, or ``off``.
        docs: Whether ``/docs`` shows the contract as a page.
        strict_v1: Answer as v1's server did where a client could depend on it.
        read_timeout_s: Longest time in which a request must have arrived.
        idle_timeout_s: Longest time that a connection may do nothing.
        log_format: ``text``, or ``json`` for one object a line.
        access_log: Whether every request is logged.
        entra: Who may ask with a token of Microsoft Entra ID; ``None`` for nobody.
        collection: What is kept of requests and answers; ``None`` for nothing.
        telemetry: Where traces go; ``None`` for nowhere.
    """

    root: Path
    service: str = "service"
    revision: str = ""
    host: str = "127.0.0.1"
    port: int = 8890
    fd: int | None = None
    grpc_port: int | None = None
    grpc_fd: int | None = None
    control: str | None = None
    keys_file: str | None = None
    scoring_timeout_ms: int = 60_000
    max_body_bytes: int = 104_857_600
    max_concurrent_requests: int | None = None
    max_queue: int = 1000
    drain_seconds: float = 30
    drain_delay_seconds: float = 0
    path_prefix: str = ""
    log_level: str = "INFO"
    variables: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()
    workers: int = 1
    model_threads: int = 1
    onnx_providers: tuple[str, ...] = ("cpu",)
    onnx_provider_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tls_certificate: str | None = None
    tls_key: str | None = None
    health: str = "open"
    metrics: str = "protected"
    docs: bool = True
    strict_v1: bool = False
    read_timeout_s: float = 60
    idle_timeout_s: float = 150
    log_format: str = "text"
    access_log: bool = False
    entra: Entra | None = None
    collection: Collection | None = None
    telemetry: Telemetry | None = None

    @property
    def speaks_grpc(self) -> bool:
        """Return whether gRPC is spoken too."""
        return self.grpc_port is not None or self.grpc_fd is not None

    def of_grpc(self) -> Settings:
        """Return the same settings with gRPC's place to listen for that of HTTP."""
        return replace(self, port=self.grpc_port or 0, fd=self.grpc_fd)


def load(path: Path | str) -> Settings:
    """Return the settings in a file.

    Raises:
        SettingsError: The file cannot be read, or what it says cannot work.
    """
    return made(given(path))


def parse(text: str, path: str = "settings") -> Settings:
    """Return the settings in a JSON text; ``path`` names it in messages.

    Raises:
        SettingsError: What it says cannot work; all problems at once.
    """
    return made(_given(text, path))


def given(path: Path | str) -> dict[str, object]:
    """Return what a file says, looked at: of each setting that is in it, the value.

    Raises:
        SettingsError: The file cannot be read, or what it says cannot work.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read, {error}") from error
    return _given(text, str(path))


def made(value: Mapping[str, object]) -> Settings:
    """Return the settings that ``given`` has looked at, with whatever was put to them."""
    return Settings(**_made(Settings, value))


def _given(text: str, path: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{path}: is no JSON, {error}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: is no object, got {type(value).__name__}")
    if value.get("schema") != SCHEMA:
        raise SettingsError(
            f"{path}: schema is not known here, got {value.get('schema')!r}; this runtime reads schema {SCHEMA}"
        )
    problems = _problems(value)
    if problems:
        raise SettingsError("\n".join(f"{path}: {problem}" for problem in problems))
    return {key: entry for key, entry in value.items() if key != "schema"}


def dump(settings: Settings) -> str:
    """Return the settings as the text that ``parse`` reads."""
    value = {"schema": SCHEMA} | _plain(settings)
    return json.dumps(value, sort_keys=True, indent=2) + "\n"


def _plain(record: object) -> dict[str, object]:
    def plain(entry: object) -> object:
        if isinstance(entry, Path):
            return str(entry)
        if isinstance(entry, tuple):
            return list(entry)
        if isinstance(entry, Mapping):
            return dict(entry)
        return _plain(entry) if is_dataclass(entry) else entry

    return {entry.name: plain(getattr(record, entry.name)) for entry in fields(record)}  # type: ignore[arg-type]  # a record


def _made(kind: type, value: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of a record; what they are was looked at before."""
    made: dict[str, Any] = {}
    for key, entry in value.items():
        part = _PARTS.get(key) if kind is Settings else None
        if part is not None and isinstance(entry, Mapping):
            made[key] = part(**_made(part, entry))
        elif isinstance(entry, list):
            made[key] = tuple(entry)
        elif key == "root":
            made[key] = Path(str(entry))
        elif key == "path_prefix":
            made[key] = str(entry).rstrip("/")
        elif key == "log_level":
            made[key] = str(entry).upper()
        else:
            made[key] = entry
    return made


def _problems(value: Mapping[str, object]) -> list[str]:
    given = {key: entry for key, entry in value.items() if key != "schema"}
    found = _record_problems(Settings, given, "")
    for key, part in _PARTS.items():
        entry = given.get(key)
        if isinstance(entry, Mapping):
            found += _record_problems(part, entry, f"{key}.")
        elif entry is not None:
            found.append(f"{key}: must be an object or null, got {entry!r}")
    prefix = value.get("path_prefix", "")
    if isinstance(prefix, str) and prefix and not prefix.startswith("/"):
        found.append(f"path_prefix: must begin with '/', got {prefix!r}")
    if value.get("grpc_port") not in {None, 0} and value.get("grpc_port") == value.get("port", Settings.port):
        found.append(f"grpc_port: is the port of HTTP, got {value['grpc_port']!r}; choose another")
    if (value.get("tls_certificate") is None) != (value.get("tls_key") is None):
        found.append("tls_key: is needed together with tls_certificate, give both or none")
    options, providers = value.get("onnx_provider_options"), value.get("onnx_providers", Settings.onnx_providers)
    if isinstance(options, dict) and isinstance(providers, (list, tuple)):
        problem = options_problem(options, providers)
        found += [f"onnx_provider_options: {problem}"] if problem else []
    telemetry = value.get("telemetry")
    if isinstance(telemetry, Mapping) and not telemetry.get("connection_string") and not telemetry.get("otlp_endpoint"):
        found.append("telemetry: goes nowhere; give connection_string or otlp_endpoint")
    return found


def _record_problems(kind: type, value: Mapping[str, object], place: str) -> list[str]:
    known = {entry.name: entry for entry in fields(kind)}
    found = [f"{place}{key}: is no setting; known are {', '.join(known)}" for key in sorted(set(value) - {*known})]
    for name, entry in known.items():
        needed = entry.default is MISSING and entry.default_factory is MISSING
        if name not in value:
            found += [f"{place}{name}: is missing"] if needed else []
            continue
        wrong = _wrong(place + name, str(entry.type), value[name])
        if wrong:
            secret = place + name in _SECRETS
            found.append(f"{place}{name}: {wrong}" + ("" if secret else f", got {value[name]!r}"))
    return found


def _wrong(name: str, kind: str, value: object) -> str:
    """Return what is wrong with a value, by the setting's name and its type as declared; empty when nothing is."""
    if value is None and kind.endswith("| None"):
        return ""
    kind = kind.removesuffix(" | None")
    if name in _WORDS:
        folded = value.upper() if name == "log_level" and isinstance(value, str) else value
        return "" if folded in _WORDS[name] else f"must be one of {', '.join(_WORDS[name])}"
    if kind in {"int", "float"}:
        least, most = _NUMBERS[name]
        number = isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)
        return "" if number and least <= value <= most else f"must be a number from {least} to {most}"  # type: ignore[operator]  # a number
    texts = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    pairs = isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())
    fitting = {
        "bool": (isinstance(value, bool), "must be true or false"),
        "str": (isinstance(value, str), "must be a text"),
        "Path": (isinstance(value, str), "must be a text"),
        "tuple[str, ...]": (texts, "must be a list of texts"),
        "Mapping[str, str]": (pairs, "must be an object of texts"),
        "Mapping[str, Mapping[str, str]]": (_are_options(value), "must be objects of texts by name"),
    }
    fits, text = fitting.get(kind, (True, ""))
    if fits and name == "onnx_providers" and isinstance(value, list):
        text = provider_problem(value)
        fits = not text
    return "" if fits else text


def _are_options(value: object) -> bool:
    entries = list(value.values()) if isinstance(value, dict) else [value]
    return all(isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()) for entry in entries)


def options_problem(options: Mapping[str, object], providers: Sequence[str]) -> str:
    """Return what is wrong with giving these options to providers, by name; empty when nothing is."""
    strange = [name for name in options if name not in providers]
    if strange:
        return f"is for {strange[0]!r}, which is not among onnx_providers"
    # onnxruntime 1.31 takes any for it and forgets them; of the others it refuses what it does not know.
    return "is for 'cpu', which takes none; leave it out" if options.get("cpu") else ""


def provider_problem(value: Sequence[str]) -> str:
    """Return what is wrong with the names of what is to run ONNX models, best first; empty when nothing is."""
    if not value or any(entry not in ONNX_PROVIDERS for entry in value):
        return f"must name some of {', '.join(ONNX_PROVIDERS)}"
    if len(value) != len(set(value)):
        return "must name each one once"
    # It runs every part of every model, so nothing would ever come to the next one.
    return "must name cpu last, if at all" if "cpu" in value[:-1] else ""


_SECRETS: Final = ("telemetry.connection_string", "collection.options")
_PARTS: Final[dict[str, type]] = {"entra": Entra, "collection": Collection, "telemetry": Telemetry}
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "log_level": LOG_LEVELS,
    "log_format": ("text", "json"),
    "health": ("open", "protected"),
    "metrics": ("open", "protected", "off"),
    "collection.format": ("csv", "jsonl"),
}
_NUMBERS: Final[dict[str, tuple[float, float]]] = {
    "port": (0, 65_535),
    "fd": (0, 1_048_576),
    "grpc_port": (0, 65_535),
    "grpc_fd": (0, 1_048_576),
    "scoring_timeout_ms": (1, 86_400_000),
    "max_body_bytes": (1, 1 << 40),
    "max_concurrent_requests": (1, 10_000),
    "max_queue": (0, 1_000_000),
    "drain_seconds": (0, 86_400),
    "drain_delay_seconds": (0, 3_600),
    "workers": (1, 1_024),
    "model_threads": (1, 1_024),
    "read_timeout_s": (0.1, 86_400),
    "idle_timeout_s": (0.1, 86_400),
    "entra.leeway_s": (0, 600),
    "collection.sample": (1e-6, 1),
    "collection.max_waiting_mb": (0.1, 65_536),
    "collection.flush_s": (0.1, 3_600),
    "telemetry.sample": (1e-6, 1),
}
