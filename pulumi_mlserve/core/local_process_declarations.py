"""What the resource of a local service's process takes and gives, beside the settings of every target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.image_declarations import ImageRef
from pulumi_mlserve.core.service_declarations import ServiceSettings
from pulumi_mlserve.core.shapes import COMPUTED, SECRET


class LocalProcessInputs(ServiceSettings, total=False):
    """A service that runs as a process of this machine."""

    name: Required[str]
    """The service's name: lower-case letters, digits and ``-``, 3 to 32, the first a letter."""
    image: Required[ImageRef]
    """What runs."""
    port: int
    """The port on 127.0.0.1; chosen once and kept if left out."""
    grpc_port: int
    """The port of gRPC on 127.0.0.1; chosen once and kept if left out."""
    cpu_cores: float
    """The most cores the process may use; no limit by default."""
    memory_gb: float
    """The most memory the process may use, in GB; no limit by default."""
    start_seconds: float
    """How long the start may take, in s; 310 by default."""
    keys: Annotated[Mapping[str, str], SECRET]
    """The two keys; without them the service answers everyone on this machine."""
    running: Annotated[bool, COMPUTED]
    """True; a stopped process is a difference that the next update mends."""


class LocalProcessOutputs(TypedDict, total=False):
    """What runs."""

    name: Required[str]
    """The service's name."""
    port: Required[int]
    """The port on 127.0.0.1."""
    scoring_uri: Required[str]
    """Where requests go."""
    swagger_uri: Required[str]
    """The OpenAPI document."""
    state: Required[str]
    """``Healthy``, ``Unhealthy`` or ``Stopped``."""
    revision: Required[str]
    """Names the image and settings that serve."""
    pid: Required[int]
    """The process."""
    host: str
    """The machine it runs on."""
    owner: str
    """Tells this resource from another that took the process over."""
    grpc_port: int
    """The port of gRPC on 127.0.0.1; 0 where it is not spoken."""
    grpc_address: str
    """Where gRPC is spoken, as HOST:PORT; empty where it is not."""
