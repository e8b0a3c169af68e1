"""What a local service's outputs tell of it before it runs: its addresses, and the name of its revision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pulumi_mlserve.clients.processes.ports import LOOPBACK
from pulumi_mlserve.core.service_address import ServiceAddress
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, is_unknown

_HIDDEN: Final = frozenset({"app_insights_connection_string"})


def addresses(news: Mapping[str, Any], port: Any, grpc_port: Any, prefix: Any) -> dict[str, Any]:
    """Return the service's ports, and where its clients find it.

    Args:
        news: What the program gives.
        port: Where it listens.
        grpc_port: Where it would speak gRPC; counts only where it does.
        prefix: What its URLs' paths begin with.
    """
    tls, host, grpc = (news.get(name) for name in ("ssl_enabled", "ssl_cname", "grpc_enabled"))
    grpc_port = UNKNOWN if has_unknown(grpc) else grpc_port if grpc else 0
    found = {"name": news["name"], "port": port, "grpc_port": grpc_port}
    found |= dict.fromkeys(("scoring_uri", "swagger_uri", "grpc_address"), UNKNOWN)
    if has_unknown([tls, host]):
        return found
    at = host if tls and host else LOOPBACK
    if not has_unknown([port, prefix]):
        address = ServiceAddress(at, port, prefix or "", tls=bool(tls))
        found |= {"scoring_uri": address.scoring_uri, "swagger_uri": address.swagger_uri}
    if not has_unknown(grpc_port):
        found["grpc_address"] = ServiceAddress(at, grpc_port).authority if grpc_port else ""
    return found


def revision_of(call: Call, settings: Iterable[str]) -> Any:
    """Return the name of the revision that the program asks for.

    Args:
        call: What it gives.
        settings: The names of the settings that move it.
    """
    inputs = dict(call.news)
    variables = inputs.get("environment_variables")
    if "environment_variables" in call.secrets and isinstance(variables, Mapping):
        # A revision is shown to everyone: nothing secret goes into it, not even hashed.
        inputs["environment_variables"] = sorted(variables)
    for name in (call.secrets | _HIDDEN) - {"environment_variables"}:
        if inputs.get(name) is not None:
            inputs[name] = _without_values(inputs[name])
    # What is not given does not count, so that a later release's settings leave a revision its name.
    given = {name: inputs[name] for name in settings if name != "start_seconds" and inputs.get(name) is not None}
    image = inputs["image"]
    if has_unknown([image if is_unknown(image) else (image["name"], image["digest"]), given]):
        return UNKNOWN
    # Where the image lies does not count, nor what is told of it: by its digest it is the same.
    name, digest = image["name"], image["digest"]
    content = [{"name": name, "digest": digest, "reference": f"{name}@{digest}"}, given]
    hashed = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return hashed[:12]


def _without_values(value: Any) -> Any:
    """Return of a value that holds a secret the names in it."""
    if isinstance(value, Mapping):
        return {name: _without_values(item) for name, item in value.items()}
    return True
