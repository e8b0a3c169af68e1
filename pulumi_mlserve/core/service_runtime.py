"""What a service's settings are to the runtime: the same under the names of its settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pulumi_mlserve.core.service_parts import CollectionSpec, EntraSpec, TelemetrySpec

_RENAMED: Final = {"environment_variables": "variables", "ssl_cname": "server_name"}
_MADE: Final = frozenset(
    {
        "app_insights_connection_string",
        "collect_model_data",
        "data_collection",
        "enable_app_insights",
        "entra",
        "otlp_endpoint",
        "ssl_cert_pem_file",
        "ssl_enabled",
        "ssl_key_pem_file",
        "telemetry",
    }
)


def runtime_form(given: Mapping[str, Any], *, collected: str) -> dict[str, Any]:
    """Return checked settings as a process takes them; lists are tuples.

    Args:
        given: The settings that are given, none of them None.
        collected: The folder for collected data where no target is given.
    """
    made: dict[str, Any] = {
        _RENAMED.get(name, name): tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name not in _MADE
    }
    if given.get("ssl_enabled"):
        made |= {"certificate": given["ssl_cert_pem_file"], "certificate_key": given["ssl_key_pem_file"]}
    if given.get("entra") is not None:
        made["entra"] = EntraSpec.model_validate(given["entra"]).for_runtime()
    if given.get("collect_model_data"):
        made["collection"] = CollectionSpec.model_validate(given.get("data_collection") or {}).for_runtime(collected)
    insights = given["app_insights_connection_string"] if given.get("enable_app_insights") else None
    if insights or given.get("otlp_endpoint"):
        spec = TelemetrySpec.model_validate(given.get("telemetry") or {})
        made["telemetry"] = spec.for_runtime(insights, given.get("otlp_endpoint"))
    return made
