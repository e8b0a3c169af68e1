"""What a service's process is started with: its settings file, its environment, and when two of them are the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path

from mlserve_scoring.settings import Collection, Entra, Settings, Telemetry, dump

from pulumi_mlserve.clients.processes.ports import LOOPBACK, Listeners, port_of
from pulumi_mlserve.clients.processes.service_keys import Keys
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.service_identity import is_service_id

_RUNTIME = "opt/mlserve/runtime"

# What a program needs to find its files, its libraries, its devices, its language and its time; nothing that tends to
# hold secrets. A service that needs more is given it by its settings.
_PASSED_ON = (
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NVIDIA_VISIBLE_DEVICES",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
)
_NO_RESTART = frozenset(
    {"decided", "grpc_port", "holder", "keys", "owner", "port", "service_id", "start_limit", "start_seconds"}
)
_ALWAYS = frozenset({"schema", "root"})
_THREAD_COUNTS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What is to run: one revision of one service.

    Attributes:
        service_id: The identity of the service on this machine; names its folder, so letters, digits, `.`, `_` and `-`.
        service: The service's name, as people see it.
        root: The folder that holds the image's files (`opt/mlserve`, `var/azureml-app`).
        python: The interpreter that runs it.
        revision: The revision's name; a process of the same revision and settings is left alone.
        port: Where it listens on the loopback address; None keeps the port it has, or takes a free one.
        grpc_enabled: Whether it speaks gRPC too.
        grpc_port: Where it does, by the same rule as `port`.
        keys: The keys that open it; None switches authentication off.
        cpu_cores: How many cores it may use; None for no limit.
        memory_gb: How much memory it may use, in GB of 2**30 bytes; None for no limit.
        scoring_timeout_ms: Longest time for one answer.
        max_body_bytes: Largest request.
        max_concurrent_requests: How many requests are scored at once; None lets the runtime choose.
        max_queue: How many requests may wait.
        drain_seconds: How long requests in flight may take to end when the process is replaced or stopped.
        start_seconds: How long it may take to become ready.
        start_limit: What a program calls the setting that says so.
        path_prefix: What comes before `/score` in the URL.
        server_name: The name in the URL; empty for the loopback address.
        certificate, certificate_key: PEM files, with which it speaks HTTPS; both or none.
        log_level, log_format, access_log: How and what the runtime logs.
        variables: Environment variables of the service.
        cors_origins: Origins whose browser code may call it.
        read_timeout_s: How long a request may take to arrive.
        idle_timeout_s: How long a connection may do nothing.
        workers: Processes that share the port.
        model_threads: Processors for one run of a model without a script.
        onnx_providers: What runs ONNX models, best first.
        onnx_provider_options: What onnxruntime is told of them.
        metrics, health, docs: Which routes there are, and for whom.
        strict_v1: Whether to answer as v1's server did where a client could depend on it.
        entra: Tokens that open it.
        collection: Where inputs and predictions are kept.
        telemetry: Where requests, failures and printed lines go.
        decided: Settings that a program gives and that a variable of Azure ML v1 contradicts.
        owner: A token of whoever starts it; what has another one does not stop it.
        holder: The resource that has it started, by its URN; another one's live service is not taken over.
    """

    service_id: str
    service: str
    root: Path
    python: Path
    revision: str
    port: int | None = None
    grpc_enabled: bool = False
    grpc_port: int | None = None
    keys: Keys | None = None
    cpu_cores: float | None = None
    memory_gb: float | None = None
    scoring_timeout_ms: int = 60_000
    max_body_bytes: int = 104_857_600
    max_concurrent_requests: int | None = None
    max_queue: int = 1_000
    drain_seconds: float = 30.0
    start_seconds: float = 310.0
    start_limit: str = "start_seconds"
    path_prefix: str = ""
    server_name: str = ""
    certificate: Path | None = None
    certificate_key: Path | None = None
    log_level: str = "INFO"
    log_format: str = "text"
    access_log: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()
    read_timeout_s: float = 60.0
    idle_timeout_s: float = 150.0
    workers: int = 1
    model_threads: int = 1
    onnx_providers: tuple[str, ...] = ("cpu",)
    onnx_provider_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    metrics: str = "protected"
    health: str = "open"
    docs: bool = True
    strict_v1: bool = False
    entra: Entra | None = None
    collection: Collection | None = None
    telemetry: Telemetry | None = None
    decided: frozenset[str] = frozenset()
    owner: str = ""
    holder: str = ""


def check_service_id(service_id: str) -> str:
    """Return the identity if a folder can have that name.

    Raises:
        OperationError: It cannot.
    """
    if not is_service_id(service_id):
        raise OperationError(f"service {service_id!r}: not a name for a folder; use letters, digits, '.', '_' and '-'")
    return service_id


def check_runnable(spec: ProcessSpec) -> None:
    """Return if the image's files and the interpreter are there.

    Raises:
        OperationError: They are not.
    """
    if not (spec.root / _RUNTIME).is_dir():
        raise OperationError(f"service {spec.service}: no image at {spec.root}; build the image again")
    if not spec.python.is_file():
        raise OperationError(f"service {spec.service}: no Python at {spec.python}; install that version")


def taken_name(name: str, holder: str) -> str:
    """Return in words that a service's name is that of another resource already, which has this URN."""
    other = holder.rpartition("::")[2]
    return (
        f"{name!r} is the name of LocalService {other!r} already; "
        "give another name, or an alias if the resource was renamed"
    )


def fingerprint(spec: ProcessSpec) -> str:
    """Return a hash of what needs another process when it changes: all but the port, the owner and the keys' text.

    What is as it is by default does not count, so that a later release's settings restart nothing.
    """
    given = {f.name: getattr(spec, f.name) for f in fields(spec) if getattr(spec, f.name) != f.default}
    values = {name: value for name, value in given.items() if name not in _NO_RESTART}
    values |= {"variables": dict(spec.variables), "auth": spec.keys is not None}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=_plain).encode()).hexdigest()


def settings_text(spec: ProcessSpec, listeners: Listeners, *, control: Path, keys_file: Path) -> str:
    """Return the text of the runtime's settings file for a process that listens on these sockets.

    What is as it is by default is left out, unless a variable would decide it then: an image may hold an earlier
    runtime, which knows fewer settings.
    """
    settings = Settings(
        root=spec.root,
        service=spec.service,
        revision=spec.revision,
        host=LOOPBACK,
        port=port_of(listeners.http),
        fd=listeners.http.fileno(),
        grpc_port=None if listeners.grpc is None else port_of(listeners.grpc),
        grpc_fd=None if listeners.grpc is None else listeners.grpc.fileno(),
        control=str(control),
        keys_file=None if spec.keys is None else str(keys_file),
        scoring_timeout_ms=spec.scoring_timeout_ms,
        max_body_bytes=spec.max_body_bytes,
        max_concurrent_requests=spec.max_concurrent_requests,
        max_queue=spec.max_queue,
        drain_seconds=spec.drain_seconds,
        path_prefix=spec.path_prefix,
        log_level=spec.log_level,
        log_format=spec.log_format,
        access_log=spec.access_log,
        variables=spec.variables,
        cors_origins=spec.cors_origins,
        read_timeout_s=spec.read_timeout_s,
        idle_timeout_s=spec.idle_timeout_s,
        workers=spec.workers,
        model_threads=spec.model_threads,
        onnx_providers=spec.onnx_providers,
        onnx_provider_options=spec.onnx_provider_options,
        tls_certificate=None if spec.certificate is None else str(spec.certificate),
        tls_key=None if spec.certificate_key is None else str(spec.certificate_key),
        metrics=spec.metrics,
        health=spec.health,
        docs=spec.docs,
        strict_v1=spec.strict_v1,
        entra=spec.entra,
        collection=spec.collection,
        telemetry=spec.telemetry,
    )
    said, default = (json.loads(dump(of)) for of in (settings, Settings(settings.root)))
    kept = {name: value for name, value in said.items() if name in _ALWAYS | spec.decided or value != default[name]}
    return json.dumps(kept, sort_keys=True, indent=2) + "\n"


def program(spec: ProcessSpec, settings: Path) -> list[str]:
    """Return the command that serves; all it needs to know is in the settings file."""
    return [str(spec.python), "-m", "mlserve_scoring", "serve", "--settings", str(settings)]


def environment(spec: ProcessSpec, ours: Mapping[str, str], pycache: Path) -> dict[str, str]:
    """Return the process's whole environment.

    Args:
        spec: What is to run.
        ours: Our own environment, most of which stays with us.
        pycache: Where compiled Python files of an image without any go, so that its files stay as they are.
    """
    result = {name: ours[name] for name in _PASSED_ON if name in ours}
    if spec.cpu_cores is not None:
        result |= dict.fromkeys(_THREAD_COUNTS, str(max(1, math.ceil(spec.cpu_cores / spec.workers))))
    result |= spec.variables
    result["PYTHONPATH"] = str(spec.root / _RUNTIME)
    result["PYTHONNOUSERSITE"] = result["PYTHONSAFEPATH"] = result["PYTHONUNBUFFERED"] = "1"
    if next((spec.root / _RUNTIME).glob("*/__pycache__"), None):
        result["PYTHONDONTWRITEBYTECODE"] = "1"  # the image brings its compiled files, which a prefix would hide
    else:
        result["PYTHONPYCACHEPREFIX"] = str(pycache)
    return result


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
