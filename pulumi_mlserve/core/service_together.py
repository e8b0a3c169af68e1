"""Which settings of a service need one another, and what in its features' settings cannot work.

What is not known yet is not judged. The rules of the features are the runtime's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from mlserve_scoring.setting_rules import (
    collection_problems,
    entra_problems,
    is_object_store,
    telemetry_problems,
)
from mlserve_scoring.settings import ONNX_PROVIDERS, options_problem
from pydantic import ValidationError

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service_parts import CollectionSpec, EntraSpec, TelemetrySpec
from pulumi_mlserve.core.setting_names import in_program_names

_SWITCHES: Final = {
    "ssl_enabled": ("ssl_cert_pem_file", "ssl_key_pem_file", "ssl_cname"),
    "collect_model_data": ("data_collection",),
    "enable_app_insights": ("app_insights_connection_string",),
    "grpc_enabled": ("grpc_port",),
}
_STRING: Final = (
    "the connection string of the Application Insights resource, as a secret; the variable "
    "APPLICATIONINSIGHTS_CONNECTION_STRING of whoever runs pulumi is not used"
)
_NEEDED: Final = {
    "ssl_cert_pem_file": ("ssl_enabled", "the PEM file of the certificate, its chain after it"),
    "ssl_key_pem_file": ("ssl_enabled", "the PEM file of its private key, without a passphrase"),
    "app_insights_connection_string": ("enable_app_insights", _STRING),
}


def check_together(given: Mapping[str, Any], later: Collection[str] = ()) -> list[Problem]:
    """Return what does not go together.

    Args:
        given: Settings that are known, each of the right form or not.
        later: Names of settings that are given and not known yet.
    """
    problems = [
        Problem(name, f"is given, but {switch} is not true; switch it on or leave this out")
        for switch, names in _SWITCHES.items()
        for name in names
        if name in given and switch not in later and given.get(switch, False) is False
    ]
    problems += [
        Problem(name, f"is required with {switch}; give {what}")
        for name, (switch, what) in _NEEDED.items()
        if given.get(switch) is True and name not in given and name not in later
    ]
    sends = [given.get("enable_app_insights", False), given.get("otlp_endpoint")]
    if "telemetry" in given and not any(sends) and not {"enable_app_insights", "otlp_endpoint"} & {*later}:
        problems.append(Problem("telemetry", "goes nowhere; give enable_app_insights or otlp_endpoint"))
    if given.get("grpc_port") is not None and given["grpc_port"] == given.get("port"):
        problems.append(Problem("grpc_port", f"is the port of HTTP, got {given['grpc_port']!r}; choose another"))
    options, providers = given.get("onnx_provider_options"), given.get("onnx_providers", ["cpu"])
    if isinstance(options, Mapping) and isinstance(providers, (list, tuple)) and "onnx_providers" not in later:
        problem = options_problem({name: options[name] for name in options if name in ONNX_PROVIDERS}, providers)
        problems += [Problem("onnx_provider_options", problem)] if problem else []
    return [*problems, *_features(given)]


def features_needed(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the features that an image needs to serve with these settings, each with the setting that asks for it."""
    needed = {}
    if given.get("entra") is not None:
        needed["entra"] = "entra"
    if given.get("grpc_enabled"):
        needed["grpc"] = "grpc_enabled"
    for setting in ("otlp_endpoint", "enable_app_insights"):
        if given.get(setting):
            needed["telemetry"] = setting
    collected = given.get("data_collection")
    target = collected.get("target") if isinstance(collected, Mapping) else None
    if given.get("collect_model_data") and isinstance(target, str) and is_object_store(target):
        needed["collection"] = "data_collection"
    return needed


def _features(given: Mapping[str, Any]) -> Iterator[Problem]:
    entra, collected = given.get("entra"), given.get("data_collection")
    if isinstance(entra, Mapping):
        yield from _asked(lambda: entra_problems(EntraSpec.model_validate(entra).for_runtime()))
    if isinstance(collected, Mapping):
        yield from _asked(lambda: collection_problems(CollectionSpec.model_validate(collected).for_runtime()))
    addresses = {name: given.get(name) for name in ("app_insights_connection_string", "otlp_endpoint")}
    if all(address is None or isinstance(address, str) for address in addresses.values()):
        yield from _asked(lambda: telemetry_problems(TelemetrySpec().for_runtime(*addresses.values())))


def _asked(ask: Callable[[], list[str]]) -> Iterator[Problem]:
    """Yield what the runtime says is wrong, at the settings' names here; what has a wrong form was said before."""
    try:
        found = ask()
    except ValidationError:
        return
    for text in found:
        path, _, message = in_program_names(text).partition(": ")
        yield Problem(path, message)
